// Delayed records that were read before they were due: how they are divided, and when more are
// read.
#include <algorithm>

#include "server/broker/delivery/delivery_cut.h"
#include "server/broker/delivery/delivery_group.h"

namespace leat::broker {
namespace {
constexpr std::size_t kAheadBytes = 1 << 20;  // at a time: others wait for the disk meanwhile
}  // namespace

// ---- of one queue ----

// Its batches hold what is at hand and nothing else. What nobody could take stays at hand; what is
// left to be tried again, or waits for its key, is read then.
Result<DeliveryQueue::Taken> DeliveryQueue::take_at_hand(const Asked& asked, Takers& takers) {
  Cut cut(asked, takers);
  if (by_key_) begin_by_key(cut);
  for (const storage::StoredBatches& stored : asked.read.batches) {
    cut.stored = &stored;
    for (Bytes rest = stored.bytes; !rest.empty() && !cut.ends;) {
      const auto part = RecordBatchView::parse(rest);
      if (!part) return fail(part.error());
      rest = rest.subspan(part->bytes().size());
      const auto ok = by_key_ ? take_part_by_key(*part, cut) : take_part(*part, cut);
      for (const RecordView& record : *part)
        if (ready_.cut({record.offset, record.offset}).empty()) ahead_.forget(record.offset);
      if (!ok) return fail(ok.error());
    }
  }
  return std::move(cut.taken);
}

Result<> DeliveryQueue::take_part(const RecordBatchView& part, Cut& cut) {
  std::vector<Open> open;
  for (const RecordView& record : part)
    if (!open.empty() && open.back().range.last + 1 == record.offset)
      open.back().range.last = record.offset;
    else
      open.push_back({{record.offset, record.offset}});
  return take_open(part, open, next_, cut);
}

Result<> DeliveryQueue::take_part_by_key(const RecordBatchView& part, Cut& cut) {
  BatchParts parts(part, cut.takers.size());
  cut.batch = &part;
  cut.parts = &parts;
  cut.parked_in.assign(cut.takers.size(), KeyedRecords::kNone);
  for (auto record = part.begin(); record != part.end(); ++record)
    make_ready({record->offset, record->offset});
  for (auto record = part.begin(); record != part.end(); ++record)
    if (!take_record(record, cut)) break;
  cut.give_parts();
  return {};
}

// ---- of a group ----

bool DeliveryGroup::give_at_hand(Queue& queue, Now now) {
  Takers takers = this->takers(queue, now);
  if (takers.size() == 0) return false;
  std::uint64_t most = 0;
  for (const Taker& taker : takers) most += taker.most_records;
  ReadAhead& ahead = queue.records.ahead();
  const std::size_t before = ahead.at_hand();
  const auto due = ahead.some_at_hand(std::min(most, kMostRanges), bytes_for(takers));
  auto taken = queue.records.take_at_hand(
      {due, acks(queue), settings_.max_deliveries, times(queue), now}, takers);
  const std::size_t left = ahead.at_hand();
  return hand_out(queue, takers, std::move(taken), now) || left < before;
}

void DeliveryGroup::read_ahead(PartitionId partition, Now now) {
  Queue* queue = find(partition);
  if (!queue) return;
  queue->in_ahead_turn = false;
  // What is due is read first, and brings along what is wanted.
  if (queue->reading || queue->stopped) return;
  ReadAhead& ahead = queue->records.ahead();
  const auto from = ahead.next();
  if (!from) queue->records.refill(now);  // decides when there is more
  if (!from || *from < house_.storage.bounds(partition).log_start) return list(*queue);
  const storage::ReadToken token = new_token(partition);
  auto outcome = house_.storage.read(partition, *from, kAheadBytes, token);
  if (std::holds_alternative<storage::ReadLater>(outcome)) {
    queue->reading_ahead = house_.reading_ahead = token;
    return;
  }
  house_.reads.erase(token);
  ahead.keep(std::get<storage::ReadResult>(outcome));
  if (!ahead.is_sweeping()) queue->records.refill(now);
  list(*queue);
}

}  // namespace leat::broker
