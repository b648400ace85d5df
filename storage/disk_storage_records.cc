// What producers bring into DiskStorage.
#include "storage/disk_storage.h"

namespace leat::storage {
namespace {
constexpr std::size_t kAdoptedBytes = 16 << 10;  // less is sooner copied
}  // namespace

Result<Appended> DiskStorage::append(PartitionId partition, const TopicConfig& config,
                                     const NewBatch& batch, const NewIds& ids,
                                     const std::optional<SourceStep>& source) {
  PartitionLog* log = find_log(partition);
  LEAT_ASSERT(log);
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  if (auto ok = check_space(); !ok) return fail(ok.error());
  const Offset base = log->next_offset();
  payload_bytes_ += batch.bytes().size();
  EntryKind kind = EntryKind::kRecords;
  std::vector<std::byte> behind;
  if (const auto added = state_.ids.decide(partition, ids)) {
    kind = EntryKind::kRecordsWithIds;
    behind = added->encode();
  }
  if (source) {
    kind = EntryKind::kRecordsFromSource;
    const auto said = SourceAdvanced{partition, source->source, source->to}.encode();
    behind.insert(behind.begin(), said.begin(), said.end());
  }
  const bool stays = batch.may_stay() && behind.empty() && batch.bytes().size() >= kAdoptedBytes;
  JournalEntry entry =
      stays ? RecordsAppended::adopt(partition, base, epoch_, batch.place(), batch.owner())
            : RecordsAppended::encode(partition, base, epoch_, batch.bytes(), kind, behind);
  if (config.durability == Durability::kInterval) entry.max_delay = config.interval;
  if (config.durability == Durability::kMemory) entry.max_delay = Duration::max();
  journal_append(std::move(entry));
  return Appended{base, config.durability};
}

Result<IssuedProducer> DiskStorage::init_producer(std::optional<std::int64_t> id,
                                                  std::int16_t epoch) {
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  std::optional<ProducerId> known;
  if (id) known = ProducerId(*id);
  auto initialized = state_.producers.init(known, epoch);
  if (!initialized) return fail(initialized.error());
  journal_append(initialized->encode());
  return IssuedProducer{initialized->id.value, initialized->epoch};
}

}  // namespace leat::storage
