#include "server/broker/delivery/delivery_queue.h"

#include <algorithm>

#include "protocol/record_batch.h"

namespace leat::broker {
namespace {

constexpr MonotonicTime kNow = MonotonicTime::min();
constexpr Duration kLongestWait = std::chrono::hours(24 * 30);  // whatever the wall clock says

std::uint64_t count(OffsetRange range) {
  return static_cast<std::uint64_t>(range.last - range.first) + 1;
}

MonotonicTime due_of(const storage::Retry& retry, Now now) {
  const auto wait = std::chrono::milliseconds(retry.due_ms - now.wall.time_since_epoch().count());
  if (wait <= wait.zero()) return kNow;
  return now.monotonic + std::min<Duration>(wait, kLongestWait);
}

}  // namespace

// One take(): what may be taken still, and what was.
struct DeliveryQueue::Cut {
  const Taker& taker;
  const storage::PartitionAcks* acks;
  std::uint64_t left;
  Taken taken{};
  const storage::StoredBatches* stored = nullptr;  // that the batch lies in

  bool ends() const { return left == 0; }
  void add(std::shared_ptr<const void> owner, Bytes bytes) {
    DeliveredBatches& out = taken.delivered;
    out.bytes += bytes.size();
    auto& all = out.batches;
    if (!all.empty() && all.back().owner == owner &&
        all.back().bytes.data() + all.back().bytes.size() == bytes.data())
      all.back().bytes = {all.back().bytes.data(), all.back().bytes.size() + bytes.size()};
    else
      all.push_back({std::move(owner), bytes});
  }
};

// ---- what there is ----

void DeliveryQueue::begin(Offset floor, const storage::PartitionAcks* acks, Now now) {
  next_ = floor;
  if (!acks || by_key_) return;  // by key they are found when their keys are seen
  for (const auto& [first, run] : acks->retries()) {
    const MonotonicTime due = due_of(run.retry, now);
    auto& place = due == kNow ? ready_ : waiting_;
    place.add({first, run.last}, due, std::nullopt);
  }
}

void DeliveryQueue::trim(Offset log_start) {
  next_ = std::max(next_, log_start);
  if (log_start.value == 0) return;
  const OffsetRange below{Offset(0), log_start + -1};
  for (auto* ranges : {&ready_, &waiting_})
    for (const auto& piece : ranges->cut(below)) end(piece.range, piece.value);
}

std::uint64_t DeliveryQueue::available(Offset high_watermark) const {
  const std::int64_t fresh = is_full() ? 0 : high_watermark - next_;
  return ready_.offsets() + static_cast<std::uint64_t>(std::max<std::int64_t>(fresh, 0));
}

Offset DeliveryQueue::read_from(const storage::PartitionAcks* acks) {
  if (acks) next_ = acks->next_open(next_);
  return std::min(ready_.first().value_or(next_), next_);
}

// ---- taking ----

Result<DeliveryQueue::Taken> DeliveryQueue::take(const storage::ReadResult& read,
                                                 const Taker& taker,
                                                 const storage::PartitionAcks* acks) {
  Cut cut{taker, acks, taker.most_records};
  for (const storage::StoredBatches& stored : read.batches) {
    cut.stored = &stored;
    for (Bytes rest = stored.bytes; !rest.empty() && !cut.ends();) {
      const auto batch = RecordBatchView::parse(rest);
      if (!batch) return fail(batch.error());
      rest = rest.subspan(batch->bytes().size());
      if (!by_key_)
        take_batch(*batch, cut);
      else if (auto ok = take_by_key(*batch, cut); !ok)
        return fail(ok.error());
    }
  }
  cut.taken.delivered.partition = place_.partition;
  cut.taken.delivered.topic = place_.topic;
  return std::move(cut.taken);
}

// What of a batch is new and not done.
std::vector<OffsetRange> DeliveryQueue::open_in(OffsetRange batch,
                                                const storage::PartitionAcks* acks) const {
  std::vector<OffsetRange> open;
  for (Offset at = std::max(batch.first, next_); at <= batch.last;) {
    if (acks) at = acks->next_open(at);
    if (at > batch.last) break;
    const auto done = acks ? acks->next_done(at) : std::nullopt;
    const Offset last = done ? std::min(*done + -1, batch.last) : batch.last;
    for (const OffsetRange ready : ready_.missing({at, last}))
      for (const OffsetRange part : waiting_.missing(ready)) open.push_back(part);
    at = last + 1;
  }
  return open;
}

void DeliveryQueue::take_batch(const RecordBatchView& batch, Cut& cut) {
  const OffsetRange whole{batch.base_offset(), batch.last_offset()};
  std::vector<OffsetRange> ranges = open_in(whole, cut.acks);
  for (const auto& piece : ready_.cut(whole)) ranges.push_back(piece.range);
  std::ranges::sort(ranges);
  bool any = false;
  for (OffsetRange& range : ranges) {
    if (!cut.ends()) {
      OffsetRange part = range;
      if (count(part) > cut.left) part.last = part.first + static_cast<std::int64_t>(cut.left) + -1;
      any = lease(part, std::nullopt, cut) || any;
      if (part.last == range.last) continue;
      range.first = part.last + 1;
    }
    make_ready(range, std::nullopt);
  }
  next_ = std::max(next_, whole.last + 1);
  if (any) cut.add(cut.stored->owner, batch.bytes());
}

Result<> DeliveryQueue::take_by_key(const RecordBatchView& batch, Cut& cut) {
  const OffsetRange whole{batch.base_offset(), batch.last_offset()};
  const auto first_ready = ready_.first();
  if (whole.last < next_ && (!first_ready || *first_ready > whole.last)) return {};
  auto reader = RecordReader::open(batch);
  if (!reader) return fail(reader.error());
  std::vector<Offset> taken;
  Offset expected = whole.first;
  bool all = true;
  for (const RecordView& record : *reader) {
    if (cut.ends()) break;
    if (record.offset > expected) skip({expected, record.offset + -1}, cut);
    expected = record.offset + 1;
    if (take_record(record, cut))
      taken.push_back(record.offset);
    else
      all = false;
  }
  if (!cut.ends() && expected <= whole.last) skip({expected, whole.last}, cut);
  if (taken.empty()) return {};
  if (all && taken.size() == static_cast<std::size_t>(batch.record_count())) {
    cut.add(cut.stored->owner, batch.bytes());
    return {};
  }
  auto filtered = filter_records(batch, [&](const RecordView& record) {
    return std::ranges::binary_search(taken, record.offset);
  });
  if (!filtered) return fail(filtered.error());
  auto bytes = std::make_shared<const std::vector<std::byte>>(std::move(filtered->bytes));
  cut.add(bytes, Bytes(*bytes));
  return {};
}

bool DeliveryQueue::take_record(const RecordView& record, Cut& cut) {
  const Offset offset = record.offset;
  const KeyHash key = hash_of(record.key);
  const bool passes = gate_.passes(key, offset, cut.taker.member);
  if (offset < next_) {
    if (ready_.cut({offset, offset}).empty()) return false;
  } else {
    if (is_full() && !passes) {
      cut.left = 0;
      return false;
    }
    next_ = offset + 1;
    if (cut.acks && cut.acks->is_done(offset)) return false;
    const auto retry = cut.acks ? cut.acks->retry(offset) : std::nullopt;
    if (const auto due = retry ? due_of(*retry, cut.taker.now) : kNow; due != kNow) {
      gate_.fail(key, offset);
      waiting_.add({offset, offset}, due, key);
      return false;
    }
  }
  if (!passes) {
    gate_.hold(key, offset);
    return false;
  }
  return lease({offset, offset}, key, cut);
}

// Offsets without a record: compaction took it.
void DeliveryQueue::skip(OffsetRange gap, Cut& cut) {
  for (const auto& piece : ready_.cut(gap)) {
    cut.taken.gone.push_back(piece.range);
    end(piece.range, piece.value);
  }
  for (const OffsetRange open : open_in(gap, cut.acks)) cut.taken.gone.push_back(open);
  next_ = std::max(next_, gap.last + 1);
}

// What has failed too often dies. False: all of it.
bool DeliveryQueue::lease(OffsetRange range, KeyHash key, Cut& cut) {
  bool any = false;
  const std::uint32_t most =
      cut.taker.max_deliveries > 0 ? cut.taker.max_deliveries : kDeadAttempts;
  for (Offset at = range.first; at <= range.last;) {
    const auto [last, attempts] = attempts_at(at, range.last, cut.acks);
    const OffsetRange part{at, last};
    at = last + 1;
    if (attempts >= most) {
      const char* why = attempts == kDeadAttempts ? "rejected" : "max_deliveries";
      dying({part, kNow, {cut.taker.member, key}}, why);
      gate_.lease(key, part.first, cut.taker.member);
      continue;
    }
    leases_.add(part, cut.taker.deadline, {cut.taker.member, key});
    gate_.lease(key, part.first, cut.taker.member);
    cut.taken.delivered.ranges.push_back({part, attempts + 1});
    cut.left -= count(part);
    any = true;
  }
  return any;
}

std::pair<Offset, std::uint32_t> attempts_at(Offset at, Offset last,
                                             const storage::PartitionAcks* acks) {
  if (!acks || acks->retries().empty()) return {last, 0};
  const auto& runs = acks->retries();
  const auto next = runs.upper_bound(at);
  if (next != runs.begin())
    if (const auto& [first, run] = *std::prev(next); run.last >= at)
      return {std::min(last, run.last), run.retry.attempts};
  if (next == runs.end() || next->first > last) return {last, 0};
  return {next->first + -1, 0};
}

// ---- what comes back ----

void DeliveryQueue::make_ready(OffsetRange range, KeyHash key) {
  ready_.add(range, kNow, key);
}

void DeliveryQueue::let_go(const std::vector<Offset>& offsets, KeyHash key) {
  for (const Offset offset : offsets) make_ready({offset, offset}, key);
}

// By key, ranges are of one record.
void DeliveryQueue::end(OffsetRange range, KeyHash key) {
  if (key) let_go(gate_.end(key, range.first), key);
}

DeliveryQueue::Pieces DeliveryQueue::leased(OffsetRange range, const MemberKey& member) {
  return leases_.cut(range, [&](const Lease& lease) { return lease.member == member; });
}

DeliveryQueue::Pieces DeliveryQueue::leased_by(const MemberKey& member) {
  return leases_.cut_if([&](const Lease& lease) { return lease.member == member; });
}

void DeliveryQueue::extend(const Pieces& pieces, MonotonicTime deadline) {
  for (const auto& piece : pieces) leases_.add(piece.range, deadline, piece.value);
}

std::vector<OffsetRange> DeliveryQueue::returned(OffsetRange range) {
  std::vector<OffsetRange> returned;
  if (by_key_) return returned;
  for (auto* ranges : {&ready_, &waiting_})
    for (const auto& piece : ranges->cut(range)) returned.push_back(piece.range);
  return returned;
}

void DeliveryQueue::done(const TimedRanges<Lease>::Piece& piece) {
  end(piece.range, piece.value.key);
}

std::uint64_t DeliveryQueue::failed(const TimedRanges<Lease>::Piece& piece, MonotonicTime due,
                                    MonotonicTime now) {
  const KeyHash key = piece.value.key;
  gate_.fail(key, piece.range.first);
  std::uint64_t revoked = 0;
  for (const Offset behind : gate_.revoke_behind(key, piece.range.first))
    revoked += leases_.cut({behind, behind}).size();
  if (due <= now)
    make_ready(piece.range, key);
  else
    waiting_.add(piece.range, due, key);
  return revoked;
}

void DeliveryQueue::give_back(const TimedRanges<Lease>::Piece& piece) {
  gate_.fail(piece.value.key, piece.range.first);
  make_ready(piece.range, piece.value.key);
}

void DeliveryQueue::dying(const TimedRanges<Lease>::Piece& piece, std::string_view reason) {
  for (Offset at = piece.range.first; at <= piece.range.last; at = at + 1)
    dying_[at] = {piece.value.key, std::string(reason)};
}

std::optional<std::pair<Offset, std::string>> DeliveryQueue::first_dying() const {
  if (dying_.empty()) return std::nullopt;
  return std::pair(dying_.begin()->first, dying_.begin()->second.second);
}

void DeliveryQueue::died(Offset offset) {
  const auto it = dying_.find(offset);
  if (it == dying_.end()) return;
  const KeyHash key = it->second.first;
  dying_.erase(it);
  end({offset, offset}, key);
}

// ---- time ----

void DeliveryQueue::on_time(MonotonicTime now) {
  for (const auto& piece : waiting_.take_due(now)) make_ready(piece.range, piece.value);
}

std::optional<MonotonicTime> DeliveryQueue::next_deadline() const {
  const auto lease = leases_.next_due(), wait = waiting_.next_due();
  if (!lease || !wait) return lease ? lease : wait;
  return std::min(*lease, *wait);
}

void DeliveryQueue::shift(Duration gap) {
  leases_.shift(gap);
  waiting_.shift(gap);
}

}  // namespace leat::broker
