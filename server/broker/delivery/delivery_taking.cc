// How the records of a partition are divided among those who may take them.
#include <algorithm>

#include "protocol/batch_cursor.h"
#include "protocol/batch_parts.h"
#include "server/broker/delivery/delivery_cut.h"

namespace leat::broker {
namespace {

constexpr MonotonicTime kNow = MonotonicTime::min();
// By key, reading goes no further ahead of what is held back, unless somebody would stand idle.
constexpr std::size_t kHeldInPassing = 1'000;
// Of a larger batch, of whose records less than this share goes out, they are framed anew.
constexpr std::size_t kReframedBytes = 4 << 10;
constexpr std::uint64_t kReframedShare = 4;

}  // namespace

// ---- takers ----

std::optional<std::size_t> Takers::for_key(KeyHash key) {
  const std::size_t first = key ? *key : turn_++;
  for (std::size_t i = 0; i < all_.size(); ++i)
    if (const std::size_t at = (first + i) % all_.size(); all_[at].most_records > 0) return at;
  return std::nullopt;
}

std::optional<std::size_t> Takers::find(const MemberKey& member) const {
  const auto it = std::ranges::lower_bound(all_, member, {}, &Taker::member);
  if (it == all_.end() || it->member != member || it->most_records == 0) return std::nullopt;
  return static_cast<std::size_t>(it - all_.begin());
}

bool Takers::anybody_idle() const {
  return std::ranges::any_of(
      all_, [](const Taker& taker) { return taker.idle && taker.most_records > 0; });
}

// ---- taking ----

bool DeliveryQueue::holds_enough(const Takers& takers) const {
  return is_full() || (gate_.held() >= kHeldInPassing && !takers.anybody_idle());
}

Result<DeliveryQueue::Taken> DeliveryQueue::take(const Asked& asked, Takers& takers) {
  Cut cut{asked, takers, {}};
  cut.taken.delivered.resize(takers.size());
  for (const storage::StoredBatches& stored : asked.read.batches) {
    cut.stored = &stored;
    for (Bytes rest = stored.bytes; !rest.empty() && !cut.ends;) {
      const auto batch = RecordBatchView::parse(rest);
      if (!batch) return fail(batch.error());
      rest = rest.subspan(batch->bytes().size());
      auto ok = by_key_ ? take_by_key(*batch, cut) : take_batch(*batch, cut);
      if (!ok) return fail(ok.error());
    }
  }
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

Result<> DeliveryQueue::take_batch(const RecordBatchView& batch, Cut& cut) {
  const OffsetRange whole{batch.base_offset(), batch.last_offset()};
  std::vector<Open> open;
  for (const OffsetRange range : open_in(whole, cut.asked.acks)) open.push_back({range, true});
  for (const auto& piece : ready_.cut(whole)) open.push_back({piece.range, false});
  std::ranges::sort(open, {}, &Open::range);
  const auto ranges = deliverable(batch, open, cut);
  for (const Open& part : open)
    if (!ranges && !part.fresh) make_ready(part.range, std::nullopt);
  if (!ranges) return fail(ranges.error());
  next_ = std::max(next_, whole.last + 1);
  std::vector<OffsetRange> leased;
  for (OffsetRange range : *ranges) {
    const std::uint64_t most = cut.takers[0].most_records;
    OffsetRange part = range;
    if (count(part) > most) part.last = part.first + static_cast<std::int64_t>(most) + -1;
    if (most > 0 && lease(part, std::nullopt, 0, cut)) leased.push_back(part);
    if (most > 0) range.first = part.last + 1;
    if (range.first <= range.last) make_ready(range, std::nullopt);
  }
  cut.ends = cut.takers[0].most_records == 0;
  if (leased.empty()) return {};
  return add_leased(batch, leased, cut);
}

// The batch as it lies there; but where little of much is delivered, that alone.
Result<> DeliveryQueue::add_leased(const RecordBatchView& batch,
                                   const std::vector<OffsetRange>& leased, Cut& cut) {
  DeliveredBatches& delivered = cut.taken.delivered[0];
  std::uint64_t records = 0;
  for (const OffsetRange range : leased) records += count(range);
  if (batch.bytes().size() < kReframedBytes ||
      records * kReframedShare > static_cast<std::uint64_t>(batch.record_count())) {
    add_batch(delivered, cut.stored->owner, batch.bytes());
    return {};
  }
  BatchParts parts(batch, 1);
  auto cursor = BatchCursor::open(batch);
  if (!cursor) return fail(cursor.error());
  for (const OffsetRange range : leased)
    for (cursor->seek(range.first); cursor->at_most(range.last); cursor->next())
      parts.add(0, cursor->record());
  if (cursor->broken()) return fail(ErrorCode::kInvalidBatch, "records of a batch do not fit");
  if (parts.count(0) > 0) add_part(delivered, parts.take(0));
  return {};
}

Result<> DeliveryQueue::take_by_key(const RecordBatchView& batch, Cut& cut) {
  const OffsetRange whole{batch.base_offset(), batch.last_offset()};
  const auto first_ready = ready_.first();
  if (whole.last < next_ && (!first_ready || *first_ready > whole.last)) return {};
  const auto reader = RecordReader::open(batch);
  if (!reader) return fail(reader.error());
  BatchParts parts(batch, cut.takers.size());
  Offset expected = whole.first;
  for (auto it = reader->begin(); it != reader->end(); ++it) {
    if (it->offset > expected) skip({expected, it->offset + -1}, cut);
    expected = it->offset + 1;
    if (const auto taker = taker_of(*it, cut)) parts.add(*taker, it);
    if (cut.ends) break;
  }
  if (!cut.ends && expected <= whole.last) skip({expected, whole.last}, cut);
  for (std::size_t i = 0; i < cut.takers.size(); ++i) {
    if (parts.count(i) == 0) continue;
    if (parts.count(i) == batch.record_count()) {
      add_batch(cut.taken.delivered[i], cut.stored->owner, batch.bytes());
      continue;
    }
    add_part(cut.taken.delivered[i], parts.take(i));
  }
  return {};
}

// Who gets it now: nobody if it is done, waits for its time, stands behind others of its key, or is
// somebody's who may not take more.
std::optional<std::size_t> DeliveryQueue::taker_of(const RecordView& record, Cut& cut) {
  const Offset offset = record.offset;
  const auto* acks = cut.asked.acks;
  const bool fresh = offset >= next_;
  if (fresh ? acks && acks->is_done(offset) : !ready_.find(offset)) {
    next_ = std::max(next_, offset + 1);
    return std::nullopt;
  }
  if (set_aside(record, fresh, cut)) return std::nullopt;
  const KeyHash key = hash_of(record.key);
  const KeyGate::Turn turn = gate_.turn(key, offset);
  std::optional<std::size_t> taker;
  if (turn.holder)
    taker = cut.takers.find(*turn.holder);
  else if (!turn.blocked)
    taker = cut.takers.for_key(key);
  const bool nobody_takes = !turn.holder && !turn.blocked && !taker;
  if (nobody_takes || (fresh && !taker && holds_enough(cut.takers))) {
    cut.ends = true;
    return std::nullopt;
  }
  if (!fresh) {
    ready_.cut({offset, offset});
  } else {
    next_ = offset + 1;
    const auto retry = acks ? acks->retry(offset) : std::nullopt;
    if (const auto due = retry ? due_of(*retry, cut.asked.now) : kNow; due != kNow) {
      gate_.fail(key, offset);
      waiting_.add({offset, offset}, due, key);
      return std::nullopt;
    }
  }
  if (taker && lease({offset, offset}, key, *taker, cut)) return taker;
  if (!taker) gate_.hold(key, offset);
  return std::nullopt;
}

// Offsets without a record: compaction took it.
void DeliveryQueue::skip(OffsetRange gap, Cut& cut) {
  for (const auto& piece : ready_.cut(gap)) {
    cut.taken.gone.push_back(piece.range);
    end(piece.range, piece.value);
  }
  for (const OffsetRange open : open_in(gap, cut.asked.acks)) cut.taken.gone.push_back(open);
  next_ = std::max(next_, gap.last + 1);
}

// What has failed too often dies. False: all of it.
bool DeliveryQueue::lease(OffsetRange range, KeyHash key, std::size_t index, Cut& cut) {
  Taker& taker = cut.takers[index];
  bool any = false;
  const std::uint32_t most =
      cut.asked.max_deliveries > 0 ? cut.asked.max_deliveries : kDeadAttempts;
  for (Offset at = range.first; at <= range.last;) {
    const auto [last, attempts] = attempts_at(at, range.last, cut.asked.acks);
    const OffsetRange part{at, last};
    at = last + 1;
    gate_.lease(key, part.first, taker.member);
    if (attempts >= most) {
      const char* why = attempts == kDeadAttempts ? "rejected" : "max_deliveries";
      dying({part, kNow, {taker.member, key}}, std::make_shared<const std::string>(why));
      continue;
    }
    leases_.add(part, taker.deadline, {taker.member, key, taker.delivery});
    add_range(cut.taken.delivered[index], part, attempts + 1);
    taker.most_records -= std::min(taker.most_records, count(part));
    if (cut.taken.delivered[index].ranges.size() >= kMostRanges) taker.most_records = 0;
    any = true;
  }
  return any;
}

}  // namespace leat::broker
