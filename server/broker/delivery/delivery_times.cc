// Records that are not to be delivered yet, or no longer (headers leat-deliver-at and
// leat-expires-at, and a topic's time to live).
#include <algorithm>

#include "protocol/batch_cursor.h"
#include "protocol/record_extras.h"
#include "server/broker/delivery/delivery_cut.h"

namespace leat::broker {
namespace {

// Delayed records become ready so many at a time: each has a place of its own then.
constexpr std::size_t kMostReady = 10'000;
// The wall clock may be set while nothing else happens.
constexpr Duration kLookAgain = std::chrono::minutes(1);

std::int64_t ms_of(WallTime time) {
  return time.time_since_epoch().count();
}

std::int64_t expires_at(const RecordView& record, const RecordExtras& extras,
                        std::chrono::milliseconds ttl) {
  const std::int64_t own = extras.expires_at_ms.value_or(INT64_MAX);
  std::int64_t topic = INT64_MAX;
  if (ttl.count() < 0 || __builtin_add_overflow(record.timestamp_ms, ttl.count(), &topic))
    topic = INT64_MAX;
  return std::min(own, topic);
}

// One range where they adjoin.
void add(std::vector<OffsetRange>& to, OffsetRange range) {
  if (!to.empty() && to.back().last + 1 == range.first)
    to.back().last = range.last;
  else
    to.push_back(range);
}

const Reason& expiry() {
  static const Reason reason = std::make_shared<const std::string>(kExpired);
  return reason;
}

struct Fate {
  bool expired = false, may_expire = false;
  std::optional<std::int64_t> due_ms;  // later
};

// Produce refuses what cannot be read; what is there from before it did so has no time.
Fate fate_of(const RecordView& record, bool fresh, const RecordTimes& times, std::int64_t now_ms) {
  if (!times.any || (record.headers.empty() && times.ttl.count() < 0)) return {};
  const auto extras = read_extras(record.headers).value_or(RecordExtras());
  const std::int64_t expires_ms = expires_at(record, extras, times.ttl);
  Fate fate{.expired = expires_ms <= now_ms, .may_expire = expires_ms < INT64_MAX};
  if (fresh && !fate.expired && extras.deliver_at_ms.value_or(0) > now_ms)
    fate.due_ms = extras.deliver_at_ms;
  return fate;
}

}  // namespace

void DeliveryQueue::expire(OffsetRange range, Cut& cut) {
  if (cut.asked.times.dead_letters)
    dying({range, kDueNow, {}}, expiry());
  else
    add(cut.taken.gone, range);
}

// Of the ranges, ascending, what may be delivered now. Where the batch lies nothing has changed.
Result<std::vector<OffsetRange>> DeliveryQueue::deliverable(const RecordBatchView& batch,
                                                            const std::vector<Open>& open,
                                                            Cut& cut) {
  std::vector<OffsetRange> may, gone, ended;
  std::vector<std::pair<DelayedRecords::Delayed, std::int64_t>> later;
  if (!cut.asked.times.any) {
    for (const Open& part : open) may.push_back(part.range);
    return may;
  }
  const std::int64_t now_ms = ms_of(cut.asked.now.wall);
  auto cursor = BatchCursor::open(batch);
  if (!cursor) return fail(cursor.error());
  for (const auto& [range, fresh, position] : open) {
    Offset expected = range.first;
    for (cursor->seek(range.first, position); cursor->at_most(range.last); cursor->next()) {
      const RecordView& record = *cursor->record();
      const OffsetRange one{record.offset, record.offset};
      if (record.offset > expected) add(gone, {expected, record.offset + -1});
      expected = record.offset + 1;
      if (const Fate fate = fate_of(record, fresh, cut.asked.times, now_ms); fate.expired)
        add(ended, one);
      else if (fate.due_ms)
        later.emplace_back(DelayedRecords::Delayed{record.offset, cursor->position()},
                           *fate.due_ms);
      else
        add(may, one);
    }
    if (expected <= range.last) add(gone, {expected, range.last});
  }
  if (cursor->broken()) return fail(ErrorCode::kInvalidBatch, "records of a batch do not fit");
  for (const OffsetRange range : gone) add(cut.taken.gone, range);
  for (const OffsetRange range : ended) expire(range, cut);
  for (const auto& [record, due_ms] : later) delayed_.add(record, due_ms);
  return may;
}

bool DeliveryQueue::set_aside(const RecordView& record, bool fresh, Cut& cut) {
  const Fate fate = fate_of(record, fresh, cut.asked.times, ms_of(cut.asked.now.wall));
  cut.may_expire = fate.may_expire;
  if (!fate.expired && !fate.due_ms) return false;
  const OffsetRange one{record.offset, record.offset};
  next_ = std::max(next_, record.offset + 1);
  if (fate.due_ms) delayed_.add({record.offset}, *fate.due_ms);
  if (!fate.expired) return true;
  if (!ready_.cut(one).empty()) end(one);
  expire(one, cut);
  return true;
}

// ---- delayed ----

void DeliveryQueue::refill(Now now) {
  const std::int64_t now_ms = ms_of(now.wall);
  std::vector<Open> runs;
  while (ready_.size() + runs.size() < kMostReady) {
    const auto record = delayed_.take_due(now_ms);
    if (!record) break;
    if (ahead_.is_due(record->offset)) continue;
    if (!runs.empty() && runs.back().range.last + 1 == record->offset)
      runs.back().range.last = record->offset;
    else
      runs.push_back({{record->offset, record->offset}, false, record->position});
  }
  for (const Open& run : runs) make_ready(run.range, run.position);
  plan(now);
}

// When to look again, by the monotonic clock. What is due already waits for room alone.
void DeliveryQueue::plan(Now now) {
  const std::int64_t now_ms = ms_of(now.wall);
  ahead_.look(delayed_, now_ms);
  auto next_ms = delayed_.next_look_ms(now_ms);
  if (const auto ahead_ms = ahead_.next_look_ms(delayed_); ahead_ms && *ahead_ms > now_ms)
    next_ms = std::min(next_ms.value_or(*ahead_ms), *ahead_ms);
  look_at_.reset();
  if (!next_ms) return;
  const auto wait = std::chrono::milliseconds(*next_ms - now_ms);
  look_at_ = now.monotonic + std::min<Duration>(wait, kLookAgain);
}

std::optional<Offset> DeliveryQueue::rescan_from(Now now) {
  const auto range = delayed_.to_scan(ms_of(now.wall));
  if (!range) return std::nullopt;
  return range->first;
}

Result<> DeliveryQueue::rescan(const storage::ReadResult& read, const storage::PartitionAcks* acks,
                               Now now) {
  for (const storage::StoredBatches& stored : read.batches)
    for (Bytes rest = stored.bytes; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      if (!batch) return fail(batch.error());
      rest = rest.subspan(batch->bytes().size());
      if (auto ok = rescan(*batch, acks, now); !ok) return ok;
    }
  return {};
}

Result<> DeliveryQueue::rescan(const RecordBatchView& batch, const storage::PartitionAcks* acks,
                               Now now) {
  std::optional<BatchCursor> cursor;
  Offset next = batch.base_offset();
  while (const auto range = delayed_.to_scan(ms_of(now.wall))) {
    // Further on, or back again because another round has begun.
    if (range->first > batch.last_offset() || range->first < next) return {};
    if (!cursor) {
      auto opened = BatchCursor::open(batch);
      if (!opened) return fail(opened.error());
      cursor.emplace(std::move(*opened));
    }
    for (cursor->seek(range->first); cursor->at_most(range->last); cursor->next()) {
      const RecordView& record = *cursor->record();
      if (record.headers.empty() || (acks && acks->is_done(record.offset))) continue;
      const auto extras = read_extras(record.headers);
      if (extras && extras->deliver_at_ms)
        delayed_.found({record.offset, cursor->position()}, *extras->deliver_at_ms);
    }
    if (cursor->broken()) return fail(ErrorCode::kInvalidBatch, "records of a batch do not fit");
    next = std::min(range->last, batch.last_offset()) + 1;
    delayed_.scanned(next);
  }
  return {};
}

}  // namespace leat::broker
