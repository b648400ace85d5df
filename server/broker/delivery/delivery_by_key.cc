// How the records of a partition are divided by key.
#include <algorithm>

#include "protocol/batch_cursor.h"
#include "server/broker/delivery/delivery_cut.h"

namespace leat::broker {
namespace {

// Reading goes no further ahead of what is held back, unless somebody would stand idle.
constexpr std::size_t kHeldInPassing = 4'000;

// The records of a part, by how often each was tried; gives the last offset of their batch.
Offset add_attempts(DeliveredBatches& to, Bytes part, const storage::PartitionAcks* acks) {
  const auto batch = RecordBatchView::parse(part);
  LEAT_ASSERT(batch.has_value());  // our own
  const Offset last = batch->last_offset();
  const auto [until, tried] = attempts_at(batch->base_offset(), last, acks);
  if (until >= last) {
    const Offset first = batch->begin()->offset;
    add_span(to, {first, first}, 0, tried + 1);
    add_span(to, {last, last}, static_cast<std::uint64_t>(batch->record_count()), tried + 1);
    return last;
  }
  for (auto at = batch->begin(); at != batch->end(); ++at)
    add_span(to, {at->offset, at->offset}, 1, attempts_at(at->offset, at->offset, acks).second + 1);
  return last;
}

}  // namespace

void DeliveryQueue::see_who_waits(std::optional<MonotonicTime> idle_since, Now now) {
  if (!by_key_) return;
  const bool eased =
      passing() <= kHeldInPassing / 2 && keyed_.parked_bytes() <= most_parked_bytes_ / 2;
  patience_.see(is_crowded(), eased, idle_since, now.monotonic);
}

void DeliveryQueue::begin_by_key(Cut& cut) const {
  cut.any_idle = cut.takers.anybody_idle();
  cut.held_before = keyed_.held();
  cut.loans.assign(cut.takers.size(), KeyedRecords::kNone);
  for (const Taker& taker : cut.takers) cut.parked.push_back(keyed_.has_parked(taker.member));
}

// What waits for members, who make room soon, unlike what is held back behind a retry.
std::size_t DeliveryQueue::passing() const {
  return waiting_.empty() ? keyed_.held() : keyed_.parked();
}

bool DeliveryQueue::is_crowded() const {
  return passing() >= kHeldInPassing || keyed_.parked_bytes() >= most_parked_bytes_;
}

// Whoever is idle gets something, and not little.
bool DeliveryQueue::holds_enough(const Cut& cut) const {
  if (is_full()) return true;
  if (keyed_.held() < kHeldInPassing && keyed_.parked_bytes() < most_parked_bytes_) return false;
  if (!patience_.impatient() && is_crowded())
    return !cut.any_idle || passing() >= 2 * kHeldInPassing ||
           keyed_.parked_bytes() >= most_parked_bytes_;
  if (cut.takers.anybody_idle()) return false;
  return !cut.any_idle || keyed_.held() >= cut.held_before + kHeldInPassing;
}

Result<> DeliveryQueue::take_by_key(const RecordBatchView& batch, Cut& cut) {
  const OffsetRange whole{batch.base_offset(), batch.last_offset()};
  const auto first_ready = ready_.first(whole.first);
  const bool any_ready = first_ready && *first_ready <= whole.last;
  if (!any_ready && whole.last < next_) return {};
  if (!any_ready && !patience_.reads()) {
    cut.ends = true;
    return {};
  }
  if (auto ok = open(batch, any_ready ? std::min(*first_ready, next_) : next_, cut); !ok) return ok;
  BatchParts parts(batch, cut.takers.size());
  cut.batch = &batch;
  cut.parts = &parts;
  cut.parked_in.assign(cut.takers.size(), KeyedRecords::kNone);
  const auto read = read_on(batch, cut);
  cut.give_parts();
  return read;
}

// Goes on in the batch where it was left, if that was not behind `from`.
Result<> DeliveryQueue::open(const RecordBatchView& batch, Offset from, const Cut& cut) {
  if (reading_ && reading_->owner == cut.stored->owner && reading_->batch == batch.bytes().data() &&
      reading_->expected <= from)
    return {};
  reading_.reset();
  if (batch.compression() == Compression::kNone) {
    reading_.emplace(cut.stored->owner, batch.bytes().data(), std::nullopt, batch.begin(),
                     batch.end(), batch.base_offset());
    return {};
  }
  auto reader = RecordReader::open(batch, kMaxStoredDecompressedBytes);
  if (!reader) return fail(reader.error());
  const auto begin = reader->begin(), end = reader->end();
  reading_.emplace(cut.stored->owner, batch.bytes().data(), std::move(*reader), begin, end,
                   batch.base_offset());
  return {};
}

// Where every offset has a record, to the first that is ready or new, without decoding the others.
void DeliveryQueue::pass_over(const RecordBatchView& batch) {
  BegunBatch& reading = *reading_;
  if (reading.expected >= next_ || batch.record_count() != batch.last_offset_delta() + 1) return;
  const Offset wanted = std::min(ready_.first(reading.expected).value_or(next_), next_);
  const std::int64_t records = std::min(wanted, batch.last_offset()) - reading.at->offset;
  if (records <= 0) return;
  reading.at.skip(records);
  reading.records += static_cast<std::int32_t>(records);
  reading.expected = reading.expected + records;
}

// The records were checked when they were produced: only what would lose some is checked again.
Result<> DeliveryQueue::read_on(const RecordBatchView& batch, Cut& cut) {
  BegunBatch& reading = *reading_;
  const Offset last = batch.last_offset();
  for (; reading.at != reading.end; ++reading.at, ++reading.records) {
    pass_over(batch);
    if (reading.at == reading.end) break;
    const Offset offset = reading.at->offset;
    if (offset < reading.expected || offset > last)
      return fail(ErrorCode::kInvalidBatch, "records of a batch are not in order");
    if (offset > reading.expected) skip({reading.expected, offset + -1}, cut);
    reading.expected = offset;
    if (!take_record(reading.at, cut)) return {};
    reading.expected = offset + 1;
  }
  if (reading.records != batch.record_count())
    return fail(ErrorCode::kInvalidBatch, "a batch has fewer records than it says");
  if (reading.expected <= last) skip({reading.expected, last}, cut);
  reading_.reset();
  return {};
}

// False: no further. A record that is done, or waits, or was leased before, is passed over.
bool DeliveryQueue::take_record(const Records::Iterator& record, Cut& cut) {
  const Offset offset = record->offset;
  const bool fresh = offset >= next_;
  if (fresh ? cut.is_done(offset) : ready_.empty() || !ready_.find(offset)) {
    next_ = std::max(next_, offset + 1);
    return true;
  }
  if ((!fresh || patience_.reads()) && set_aside(*record, fresh, cut)) return true;
  cut.ends = (fresh && !patience_.reads()) ||
             !put(keyed_.place(hash_of(record->key), offset, fresh), record, fresh, cut);
  return !cut.ends;
}

// Who gets it now: nobody if it waits for its time, stands behind others of its key, or is
// somebody's who may not take more. False: nobody can have it, nor may it be held back.
bool DeliveryQueue::put(const KeyedRecords::Place& place, const Records::Iterator& record,
                        bool fresh, Cut& cut) {
  const KeyedRecords::Turn turn = keyed_.turn(place);
  std::optional<std::size_t> taker, holder;
  if (turn.holder) holder = cut.takers.index_of(*turn.holder);
  // Held back it would wait for ever, nothing of its key being out that could end; and nothing says
  // that a member without leases will ever take more.
  const bool keeps = keyed_.parked_bytes() < most_parked_bytes_ && !cut.may_expire;
  const bool stuck = holder && cut.takers[*holder].idle && cut.takers[*holder].most_records == 0;
  if (turn.had && (!keeps || stuck)) holder.reset();
  const bool free = !turn.holder || (turn.had && !holder);
  if (holder && cut.takers[*holder].most_records > 0 && !cut.parked[*holder])
    taker = holder;
  else if (free && !turn.blocked)
    taker = cut.takers.for_key(place.hash);
  const bool nobody_takes = free && !turn.blocked && !taker;
  if (nobody_takes || (fresh && !taker && holds_enough(cut))) return false;
  const std::uint32_t attempts = cut.attempts(place.offset);
  if (!fresh) {
    ready_.cut({place.offset, place.offset});
  } else {
    next_ = place.offset + 1;
    const auto retry = attempts > 0 ? cut.asked.acks->retry(place.offset) : std::nullopt;
    if (const auto due = retry ? due_of(*retry, cut.asked.now) : kDueNow; due != kDueNow) {
      keyed_.block(place);
      waiting_.add({place.offset, place.offset}, due, {});
      return true;
    }
  }
  if (const char* why = cut.dead(attempts); why && !turn.blocked)
    dying({{place.offset, place.offset}, kDueNow, {}}, std::make_shared<const std::string>(why));
  else if (taker)
    give(place, *taker, record, cut);
  else if (holder && keeps)
    park(place, *holder, record, cut);
  else
    keyed_.hold(place);
  return true;
}

void DeliveryQueue::park(const KeyedRecords::Place& place, std::size_t index,
                         const Records::Iterator& record, Cut& cut) {
  std::uint32_t& part = cut.parked_in[index];
  part = keyed_.park(place, cut.takers[index].member, *cut.batch, record, cut.parts->share(), part);
  cut.parked[index] = true;
}

void DeliveryQueue::give(const KeyedRecords::Place& place, std::size_t index,
                         const Records::Iterator& record, Cut& cut) {
  Taker& taker = cut.takers[index];
  std::uint32_t& loan = cut.loans[index];
  if (loan == KeyedRecords::kNone)
    loan = keyed_.new_loan(taker.member, taker.delivery, taker.deadline);
  keyed_.lease(place, loan);
  DeliveredBatches& delivered = cut.taken.delivered[index];
  add_span(delivered, {place.offset, place.offset}, 1, cut.attempts(place.offset) + 1);
  cut.parts->add(index, record);
  taker.idle = false;
  --taker.most_records;
  if (delivered.ranges.size() >= kMostRanges) taker.most_records = 0;
}

// Offsets without a record: compaction took it.
void DeliveryQueue::skip(OffsetRange gap, Cut& cut) {
  for (const auto& piece : ready_.cut(gap)) {
    cut.taken.gone.push_back(piece.range);
    for (Offset at = piece.range.first; at <= piece.range.last; at = at + 1) end({at, at});
  }
  for (const OffsetRange open : open_in(gap, cut.asked.acks)) cut.taken.gone.push_back(open);
  next_ = std::max(next_, gap.last + 1);
}

// ---- what was parked ----

DeliveredBatches DeliveryQueue::take_parked(Taker& taker, const storage::PartitionAcks* acks) {
  DeliveredBatches delivered;
  std::uint32_t loan = KeyedRecords::kNone;
  Offset behind{-1};  // batches ascend in a delivery
  while (delivered.bytes < taker.most_bytes && taker.most_records > 0 &&
         delivered.ranges.size() < kMostRanges) {
    const auto first = keyed_.first_parked(taker.member);
    if (!first || *first <= behind) break;
    if (loan == KeyedRecords::kNone)
      loan = keyed_.new_loan(taker.member, taker.delivery, taker.deadline);
    auto part = keyed_.unpark(taker.member, taker.most_records, loan);
    taker.most_records -= part.records;
    behind = add_attempts(delivered, part.bytes, acks);
    add_part(delivered, std::move(part.bytes));
  }
  return delivered;
}

// A key that moves is read again, with all that is parked of it: so where there is much to read,
// only for who has had nothing to do for a while.
void DeliveryQueue::free_parked(const Takers& takers, bool reads_on) {
  for (const Taker& taker : takers)
    if (taker.idle && taker.most_records == 0) keyed_.free_parts(taker.member);
  if (patience_.impatient() ? takers.anybody_idle() : !reads_on && !patience_.paused())
    keyed_.free_drained(
        [&takers](const MemberKey& member) { return takers.find(member).has_value(); });
  let_go();
}

// ---- what ends ----

std::uint64_t DeliveryQueue::finish(OffsetRange range, const MemberKey& member,
                                    std::uint64_t delivery, std::vector<OffsetRange>& done) {
  return keyed_.finish(range, member, delivery, done);
}

void DeliveryQueue::extend(OffsetRange range, const MemberKey& member, std::uint64_t delivery,
                           MonotonicTime deadline) {
  keyed_.extend(range, member, delivery, deadline);
}

std::vector<OffsetRange> DeliveryQueue::lost(OffsetRange range, const MemberKey& member,
                                             std::uint64_t delivery) const {
  return keyed_.lost(range, member, delivery);
}

void leave_out(const std::vector<Offset>& lost, DeliveredBatches& delivered) {
  DeliveredBatches left;
  auto tried = delivered.ranges.begin();
  for (const storage::StoredBatches& stored : delivered.batches)
    for (Bytes rest = stored.bytes; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      LEAT_ASSERT(batch.has_value());  // it was read to be delivered
      rest = rest.subspan(batch->bytes().size());
      auto cursor = BatchCursor::open(*batch);
      LEAT_ASSERT(cursor.has_value());
      BatchPart part;
      for (; cursor->at_most(batch->last_offset()); cursor->next()) {
        const Offset offset = cursor->record()->offset;
        while (tried->range.last < offset) ++tried;
        if (std::ranges::binary_search(lost, offset)) continue;
        part.add(*batch, cursor->record());
        add_span(left, {offset, offset}, 1, tried->attempt);
      }
      if (part.count() > 0) add_part(left, part.take());
    }
  delivered.ranges = std::move(left.ranges);
  delivered.batches = std::move(left.batches);
  delivered.bytes = left.bytes;
  delivered.records = left.records;
  delivered.redelivered = left.redelivered;
}

}  // namespace leat::broker
