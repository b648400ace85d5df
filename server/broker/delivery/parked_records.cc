// KeyedRecords: what is kept for members that may not take more.
#include "server/broker/delivery/keyed_records.h"

namespace leat::broker {

std::uint32_t KeyedRecords::park(const Place& place, const MemberKey& member,
                                 const RecordBatchView& batch, const Records::Iterator& record,
                                 std::size_t part_bytes, std::uint32_t joins) {
  const std::uint32_t at = settle_in(place);
  const std::uint32_t loan =
      joins != kNone ? joins : part_for(member, batch, place.offset, part_bytes);
  BatchPart& part = loans_[loan].part;
  const std::size_t before = part.size();
  part.add(batch, record);
  parked_bytes_ += part.size() - before;
  enter(at, loan);
  set_state(at, State::kOut);
  return loan;
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
  const std::uint32_t loan = parts.emplace_back(loans_.keep(member));
  loans_[loan].part.reserve(part_bytes);
  return loan;
}

std::optional<Offset> KeyedRecords::first_parked(const MemberKey& member) const {
  const auto parked = parked_.find(member);
  if (parked == parked_.end()) return std::nullopt;
  return loans_[parked->second.front()].part.base_offset();
}

// Its records enter the loan as they are, so as not to look at each twice.
KeyedRecords::Unparked KeyedRecords::unpark(const MemberKey& member, std::uint64_t most,
                                            std::uint32_t number) {
  const std::uint32_t at = parked_.at(member).front();
  const auto in_part = static_cast<std::uint32_t>(loans_[at].part.count());
  if (loans_[at].count < in_part)
    divide(at, most);
  else if (loans_[at].count > most)
    return unpark_first(at, static_cast<std::uint32_t>(most), number);
  Loan& from = loans_[at];
  Loan& to = loans_[number];
  drop_part(at);
  if (const std::size_t all = to.records.size() + from.count; all > to.records.capacity())
    to.records.reserve(2 * all);
  for (const std::uint32_t one : from.records) {
    if (records_[one].loan != at) continue;
    records_[one].loan = number;
    to.records.push_back(one);
  }
  to.count += from.count;
  parked_records_ -= from.count;
  leased_ += from.count;
  Unparked unparked{from.part.take(), from.count};
  loans_.remove(at);
  return unparked;
}

// The rest of the part, which nothing has left, stays.
KeyedRecords::Unparked KeyedRecords::unpark_first(std::uint32_t at, std::uint32_t records,
                                                  std::uint32_t number) {
  Loan& from = loans_[at];
  Loan& to = loans_[number];
  parked_bytes_ -= from.part.size();
  BatchPart first = from.part.split(static_cast<std::int32_t>(records));
  parked_bytes_ += from.part.size();
  const auto end = from.records.begin() + records;
  for (auto one = from.records.begin(); one != end; ++one) records_[*one].loan = number;
  to.records.insert(to.records.end(), from.records.begin(), end);
  from.records.erase(from.records.begin(), end);
  from.count -= records;
  to.count += records;
  parked_records_ -= records;
  leased_ += records;
  return {first.take(), records};
}

// It is the member's no more, and its bytes go.
void KeyedRecords::drop_part(std::uint32_t at) {
  parked_bytes_ -= loans_[at].part.size();
  const auto parked = parked_.find(loans_[at].member);
  std::erase(parked->second, at);
  if (parked->second.empty()) parked_.erase(parked);
}

// The records behind so many become a part of their own, the member's second. What has left the
// part since it lay there goes out of the bytes, too.
void KeyedRecords::divide(std::uint32_t at, std::uint64_t records) {
  const MemberKey member = loans_[at].member;
  const std::vector<std::uint32_t> all = records_of(at);
  std::uint32_t rest = kNone;
  if (all.size() > records) {
    rest = loans_.keep(member);
    auto& parts = parked_.at(member);
    parts.insert(parts.begin() + 1, rest);
  }
  Loan& first = loans_[at];
  parked_bytes_ -= first.part.size();
  const std::vector<std::byte> bytes = first.part.take();
  first.records.assign(
      all.begin(),
      all.begin() + static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(records, all.size())));
  const auto batch = RecordBatchView::parse(bytes);
  LEAT_ASSERT(batch.has_value());
  const Records in_part = batch->records();
  const std::size_t even = bytes.size() / all.size();
  loans_[at].part.reserve(batch_layout::kHeaderBytes + even * (loans_[at].records.size() + 1));
  if (rest != kNone) loans_[rest].part.reserve(bytes.size() - even * records);
  std::size_t next = 0;
  for (auto record = in_part.begin(); next < all.size() && record != in_part.end(); ++record) {
    if (record->offset != records_.offset_of(all[next])) continue;
    const bool stays = next < records;
    loans_[stays ? at : rest].part.add(*batch, record);
    const std::uint32_t one = all[next++];
    if (stays) continue;
    --loans_[at].count;
    --parked_records_;
    enter(one, rest);
  }
  parked_bytes_ += loans_[at].part.size();
  if (rest != kNone) parked_bytes_ += loans_[rest].part.size();
}

void KeyedRecords::free_parts(const MemberKey& member) {
  const auto parked = parked_.find(member);
  if (parked == parked_.end()) return;
  std::vector<std::uint64_t> hashes;
  for (const std::uint32_t loan : std::deque(parked->second))
    for (const std::uint32_t at : records_of(loan)) {
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
  for (std::uint32_t at = keys_[key].first; at != kNone; at = records_[at].in_key.behind) {
    if (!is_parked(records_[at])) continue;
    leave_loan(at);
    set_state(at, State::kHeld);
  }
}

}  // namespace leat::broker
