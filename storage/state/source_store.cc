#include "storage/state/source_store.h"

#include <algorithm>

#include "protocol/names.h"
#include "storage/keys.h"
#include "storage/partition_log.h"

namespace leat::storage {
namespace {

std::string called(std::string_view source) {
  return "source '" + escaped(source) + "'";
}

SourcePosition read_position(ByteReader& reader) {
  const auto high = reader.le<std::uint64_t>(), low = reader.le<std::uint64_t>();
  return {high, low};
}

}  // namespace

// ---- entries and rows ----

std::vector<std::byte> SourceAdvanced::encode() const {
  return EntryWriter().text(source).le(to.high).le(to.low).take();
}

JournalEntry SourceAdvanced::encode_alone() const {
  return EntryWriter()
      .le(partition.value)
      .text(source)
      .le(to.high)
      .le(to.low)
      .finish(EntryKind::kSourceMoved);
}

Result<SourceAdvanced> SourceAdvanced::of(const JournalEntry& entry) {
  SourceAdvanced advanced;
  ByteReader reader(entry.body);
  const bool alone = entry.kind == static_cast<std::uint16_t>(EntryKind::kSourceMoved);
  if (alone) {
    advanced.partition = PartitionId(reader.le<std::uint32_t>());
  } else {
    const auto records = RecordsAppended::decode(entry);
    if (!records) return fail(records.error());
    advanced.partition = records->partition;
    reader = ByteReader(records->behind);
  }
  advanced.source = read_text(reader);
  advanced.to = read_position(reader);
  if (!reader.failed()) advanced.behind = reader.bytes(reader.remaining());
  if (reader.failed() || advanced.source.empty() || (alone && !advanced.behind.empty()))
    return fail(ErrorCode::kCorruptStorage, "malformed 'records from source'");
  return advanced;
}

Result<> SourceStore::load(const FamilyReader& rows) {
  return rows.each(std::string_view(&keys::kSourceLetter, 1),
                   [this](std::string_view key, std::string_view value) -> Result<> {
                     const auto parsed = keys::parse_source(key);
                     ByteReader reader(as_bytes(value));
                     const SourcePosition to = read_position(reader);
                     if (!parsed || !reader.finished())
                       return fail(ErrorCode::kCorruptStorage, "malformed position of a source");
                     apply({parsed->first, parsed->second, to});
                     changed_.clear();
                     return {};
                   });
}

void SourceStore::persist_changes(FamilyWriter& rows) {
  for (const auto& [partition, source] : std::exchange(changed_, {})) {
    const std::string row = keys::source(partition, source);
    const SourcePosition* position = find(partition, source);
    if (position == nullptr)
      rows.remove(row);
    else
      rows.put(row, as_text(EntryWriter().le(position->high).le(position->low).take()));
  }
}

// ---- decide ----

const SourcePosition* SourceStore::find(PartitionId partition, std::string_view source) const {
  const auto sources = partitions_.find(partition);
  if (sources == partitions_.end()) return nullptr;
  const auto it = sources->second.find(source);
  return it == sources->second.end() ? nullptr : &it->second;
}

SourcePosition SourceStore::position(PartitionId partition, std::string_view source) const {
  const SourcePosition* found = find(partition, source);
  return found == nullptr ? SourcePosition() : *found;
}

Result<bool> SourceStore::check(PartitionId partition, const SourceStep& step) const {
  if (step.from >= step.to)
    return fail(ErrorCode::kInvalidRequest, called(step.source) + ": a batch from " +
                                                text_of(step.from) + " to " + text_of(step.to) +
                                                "; positions rise from one record to the next");
  const SourcePosition* stored = find(partition, step.source);
  const SourcePosition at = stored == nullptr ? SourcePosition() : *stored;
  if (at >= step.to) return false;
  if (at != step.from)
    return fail(ErrorCode::kSourceConflict,
                called(step.source) + " is stored up to " + text_of(at) +
                    ", the batch continues from " + text_of(step.from) + " to " + text_of(step.to) +
                    ": another producer of this name is at work, or what was stored is lost; ask "
                    "for the source's position and send from there");
  if (stored == nullptr && size_ >= limit_)
    return fail(ErrorCode::kLimitReached,
                called(step.source) + " would be one more than the " + std::to_string(limit_) +
                    " positions of sources in partitions that are kept; use names again, delete "
                    "topics that are no longer wanted, or raise limits.sources");
  return true;
}

// ---- apply ----

void SourceStore::apply(const SourceAdvanced& advanced) {
  Sources& sources = partitions_[advanced.partition];
  auto it = sources.find(advanced.source);
  if (it == sources.end()) {
    it = sources.try_emplace(std::string(advanced.source)).first;
    ++size_;
  }
  it->second = std::max(it->second, advanced.to);
  changed_.emplace(advanced.partition, it->first);
}

void SourceStore::apply(const TopicDeleted& deleted) {
  for (const PartitionId partition : deleted.partitions) {
    const auto it = partitions_.find(partition);
    if (it == partitions_.end()) continue;
    size_ -= it->second.size();
    for (const auto& [source, position] : it->second) changed_.emplace(partition, source);
    partitions_.erase(it);
  }
}

}  // namespace leat::storage
