// What of a partition a group reads once more: what is delayed, and what dies.
#include "server/broker/delivery/dead_letters.h"
#include "server/broker/delivery/delivery_group.h"
#include "server/broker/delivery/read_span.h"

namespace leat::broker {
namespace {
constexpr std::size_t kRescanBytes = 1 << 20;
constexpr auto kBuryAgain = std::chrono::seconds(1);
}  // namespace

// ---- what is delayed ----

RecordTimes DeliveryGroup::times(const Queue& queue) const {
  const storage::Topic* topic = house_.storage.find_topic(queue.records.place().partition.topic);
  if (!topic) return {};
  const TopicConfig& config = topic->config;
  return {.any = config.timed_records || config.ttl.count() >= 0,
          .ttl = config.ttl,
          .dead_letters = settings_.dead_letter_expired};
}

// A piece at a time, so that everything else goes on meanwhile.
void DeliveryGroup::rescan(Queue& queue, Now now) {
  queue.rescan_at.reset();
  if (queue.reading_delayed || queue.stopped) return;
  const auto from = queue.records.rescan_from(now);
  if (!from || !read_delayed(queue, *from)) return;
  const auto read = std::exchange(queue.fetched_delayed, std::nullopt);
  if (auto ok = queue.records.rescan(*read, acks(queue), now); !ok) {
    queue.stopped = true;
    house_.sink.on_storage_damaged(ok.error());
    return;
  }
  queue.records.refill(now);
  if (queue.records.rescan_from(now)) queue.rescan_at = now.monotonic;
}

bool DeliveryGroup::read_delayed(Queue& queue, Offset from) {
  if (queue.fetched_delayed && covers(*queue.fetched_delayed, from)) return true;
  queue.fetched_delayed.reset();
  const PartitionId id = queue.records.place().id;
  const auto bounds = house_.storage.bounds(id);
  if (from < bounds.log_start) trim(queue, bounds.log_start);
  if (from < bounds.log_start) return false;
  const storage::ReadToken token = new_token(id);
  auto outcome = house_.storage.read(id, from, kRescanBytes, token);
  if (std::holds_alternative<storage::ReadLater>(outcome)) {
    queue.reading_delayed = token;
    return false;
  }
  house_.reads.erase(token);
  queue.fetched_delayed = std::move(std::get<storage::ReadResult>(outcome));
  return covers(*queue.fetched_delayed, from);
}

// ---- dead letters ----

// One after the other; the record must be read once more for it.
void DeliveryGroup::bury(Queue& queue, Now now) {
  while (!queue.reading_dead && !queue.bury_at) {
    const auto dying = queue.records.first_dying();
    if (!dying) return;
    const auto& [offset, reason] = *dying;
    const auto read = read_dead(queue, offset);
    if (queue.reading_dead) return;
    if (read && bury_one(queue, offset, *reason, *read, now)) continue;
    queue.bury_at = now.monotonic + kBuryAgain;
    list(queue);
  }
}

// The batch of the record, or nothing where retention has it; nullopt also when it comes later.
std::optional<storage::ReadResult> DeliveryGroup::read_dead(Queue& queue, Offset offset) {
  const PartitionId id = queue.records.place().id;
  auto fetched = std::exchange(queue.fetched_dead, std::nullopt);
  if (offset < house_.storage.bounds(id).log_start) return storage::ReadResult();
  if (fetched && !*fetched) return std::nullopt;
  // Another, before it, may have begun to die meanwhile.
  if (fetched && covers(**fetched, offset)) return std::move(**fetched);
  const storage::ReadToken token = new_token(id);
  auto outcome = house_.storage.read(id, offset, 1, token);
  if (std::holds_alternative<storage::ReadLater>(outcome)) {
    queue.reading_dead = token;
    return std::nullopt;
  }
  house_.reads.erase(token);
  auto& result = std::get<storage::ReadResult>(outcome);
  if (!covers(result, offset)) return std::nullopt;
  return std::move(result);
}

// A record that compaction or retention has taken needs no letter.
bool DeliveryGroup::bury_one(Queue& queue, Offset offset, const std::string& reason,
                             const storage::ReadResult& read, Now now) {
  const storage::AcksChange change{name_, queue.records.place().partition, {{offset, offset}}, {}};
  bool made = false;
  for (const storage::StoredBatches& stored : read.batches)
    for (Bytes rest = stored.bytes; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      if (!batch) return false;
      rest = rest.subspan(batch->bytes().size());
      if (batch->base_offset() > offset || batch->last_offset() < offset) continue;
      const auto reader = RecordReader::open(*batch, kMaxStoredDecompressedBytes);
      if (!reader) return false;
      for (const RecordView& record : *reader) {
        if (record.offset != offset) continue;
        if (!write_letter(queue, record, reason, change, now)) return false;
        made = true;
      }
    }
  if (!made && !house_.storage.change_acks(change)) return false;
  queue.records.died(offset);
  return true;
}

Result<> DeliveryGroup::write_letter(Queue& queue, const RecordView& record,
                                     const std::string& reason, const storage::AcksChange& change,
                                     Now now) {
  const DeliveryQueue::Place& place = queue.records.place();
  auto topic = house_.dead_letter_topic(
      settings_.dead_letter.empty() ? place.topic + ".dlq" : settings_.dead_letter, now);
  if (!topic) return fail(topic.error());
  // A rejection's deliveries are not counted, but there was one.
  std::uint32_t attempts = attempts_at(record.offset, record.offset, acks(queue)).second;
  if (attempts == kDeadAttempts) attempts = 1;
  auto letter = dead_letter(record, {.reason = reason,
                                     .group = name_,
                                     .topic = place.topic,
                                     .partition = place.partition.partition,
                                     .attempts = attempts,
                                     .at = now.wall});
  if ((*topic)->config.timestamps == TimestampType::kAppendTime)
    assign_append_time(letter, now.wall.time_since_epoch().count());
  const auto& partitions = (*topic)->partitions;
  const auto to = dead_letter_partition(record, place.partition.partition, partitions.size());
  auto written = house_.storage.dead_letter(partitions[static_cast<std::size_t>(to.value)],
                                            (*topic)->config, letter, change);
  if (!written) return fail(written.error());
  ++dead_;
  return {};
}

}  // namespace leat::broker
