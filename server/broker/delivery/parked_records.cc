// KeyedRecords: what is kept for members that may not take more.
#include "server/broker/delivery/keyed_records.h"

namespace leat::broker {

void KeyedRecords::park(const Place& place, const MemberKey& member, const RecordBatchView& batch,
                        const Records::Iterator& record, std::size_t part_bytes) {
  const std::uint32_t at = settle_in(place);
  const std::uint32_t loan = part_for(member, batch, place.offset, part_bytes);
  BatchPart& part = loans_[loan].part;
  const std::size_t before = part.size();
  part.add(batch, record);
  parked_bytes_ += part.size() - before;
  enter(at, loan);
  set_state(at, State::kOut);
}

// The member's latest, where the record belongs behind what is in it.
std::uint32_t KeyedRecords::part_for(const MemberKey& member, const RecordBatchView& batch,
                                     Offset offset, std::size_t part_bytes) {
  auto& parts = parked_[member];
  if (!parts.empty()) {
    const BatchPart& latest = loans_[parts.back()].part;
    if (latest.base_offset() == batch.base_offset() && latest.newest() < offset)
      return parts.back();
  }
  const std::uint32_t loan = parts.emplace_back(loans_.add({.member = member, .parked = true}));
  loans_[loan].part.reserve(part_bytes);
  return loan;
}

std::optional<KeyedRecords::Unparked> KeyedRecords::unpark(const MemberKey& member,
                                                           std::uint64_t most, Offset behind,
                                                           std::uint64_t delivery,
                                                           MonotonicTime deadline) {
  const auto parked = parked_.find(member);
  if (parked == parked_.end()) return std::nullopt;
  const std::uint32_t at = parked->second.front();
  if (loans_[at].part.base_offset() <= behind) return std::nullopt;
  if (loans_[at].count > most) split(at, most);
  parked->second.pop_front();
  if (parked->second.empty()) parked_.erase(parked);
  Loan& loan = loans_[at];
  parked_bytes_ -= loan.part.size();
  Unparked unparked{{}, loan.part.last_offset(), {}};
  unparked.bytes = loan.part.take();
  loan.parked = false;
  parked_records_ -= loan.count;
  leased_ += loan.count;
  loan.delivery = delivery;
  loan.deadline = deadline;
  deadlines_.emplace(deadline, at);
  unparked.offsets.reserve(loan.count);
  for (std::uint32_t i = loan.records.first; i != kNone; i = records_[i].in_loan.behind)
    unparked.offsets.push_back(records_.offset_of(i));
  return unparked;
}

// The records behind so many become a part of their own, the member's second. What has left the
// part since it lay there goes out of the bytes, too.
void KeyedRecords::split(std::uint32_t at, std::uint64_t records) {
  const std::uint32_t rest = loans_.add({.member = loans_[at].member, .parked = true});
  Loan& first = loans_[at];
  parked_bytes_ -= first.part.size();
  const std::vector<std::byte> bytes = first.part.take();
  const auto batch = RecordBatchView::parse(bytes);
  LEAT_ASSERT(batch.has_value());
  const Records all = batch->records();
  std::uint32_t next = first.records.first;
  for (auto record = all.begin(); next != kNone && record != all.end(); ++record) {
    if (record->offset != records_.offset_of(next)) continue;
    const std::uint32_t one = std::exchange(next, records_[next].in_loan.behind);
    const bool stays = records > 0;
    loans_[stays ? at : rest].part.add(*batch, record);
    if (stays) {
      --records;
      continue;
    }
    unlink_from(at, one);
    enter(one, rest);
  }
  parked_bytes_ += loans_[at].part.size() + loans_[rest].part.size();
  auto& parts = parked_.at(loans_[at].member);
  parts.insert(parts.begin() + 1, rest);
}

void KeyedRecords::free_parts(const MemberKey& member) {
  const auto parked = parked_.find(member);
  if (parked == parked_.end()) return;
  std::vector<std::uint64_t> hashes;
  for (const std::uint32_t loan : std::deque(parked->second))
    for (std::uint32_t left = loans_[loan].count; left > 0; --left) {
      const std::uint32_t at = loans_[loan].records.first;
      Key& key = keys_[records_[at].key];
      hashes.push_back(key.hash);
      leave_loan(at);
      set_state(at, State::kHeld);
      if (key.out == 0) key.holder = {};
    }
  for (const std::uint64_t hash : hashes) look_at(by_hash_.find(hash));
}

// Its records are held back like others, from the first that is parked.
void KeyedRecords::hold_parked(std::uint32_t key) {
  for (std::uint32_t at = keys_[key].records.first; at != kNone; at = records_[at].in_key.behind) {
    if (!is_parked(records_[at])) continue;
    leave_loan(at);
    set_state(at, State::kHeld);
  }
}

}  // namespace leat::broker
