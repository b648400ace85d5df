#include "server/broker/delivery/keyed_records.h"

#include <algorithm>
#include <cstring>

namespace leat::broker {
namespace {
__extension__ using Product = unsigned __int128;
constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;  // of the golden ratio
// Let go at a time: each must be read again, and may be held back again.
constexpr std::size_t kLetGo = 16;
constexpr std::uint64_t kFew = 16;  // offsets, looked at one by one

// One less than there are, whatever a peer says.
std::uint64_t span_of(OffsetRange range) {
  return static_cast<std::uint64_t>(range.last.value) -
         static_cast<std::uint64_t>(range.first.value);
}

template <class Word>
std::uint64_t load(const std::byte* from) {
  Word word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

// At most eight bytes, whose number has a say elsewhere; without a branch for each.
std::uint64_t word(Bytes bytes) {
  const std::size_t size = bytes.size();
  if (size == 0) return 0;
  if (size >= 4)
    return load<std::uint32_t>(bytes.data()) << 32 |
           load<std::uint32_t>(bytes.data() + size - sizeof(std::uint32_t));
  return load<std::uint8_t>(bytes.data()) << 16 | load<std::uint8_t>(bytes.data() + size / 2) << 8 |
         load<std::uint8_t>(bytes.data() + size - 1);
}

// All bits of the product have a say, and so in a remainder, too.
std::uint64_t fold(std::uint64_t word) {
  const Product product = Product{word ^ kOdd} * 0xbf58476d1ce4e5b9;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}
}  // namespace

// Fast, for keys are short most often, and there is one of each record.
KeyHash hash_of(const std::optional<Bytes>& key) {
  if (!key) return std::nullopt;
  std::uint64_t hash = key->size() * kOdd;  // far from what the bytes change
  Bytes rest = *key;
  for (; rest.size() > sizeof(hash); rest = rest.subspan(sizeof(hash)))
    hash = fold(hash ^ word(rest.first(sizeof(hash))));
  return fold(hash ^ word(rest));
}

// ---- order ----

KeyedRecords::Place KeyedRecords::place(KeyHash hash, Offset offset, bool fresh) const {
  Place place{.hash = hash, .offset = offset, .fresh = fresh};
  if (!fresh) place.record = records_.find(offset);
  if (!hash) return place;
  place.key = by_hash_.find(*hash);
  if (fresh) return place;
  if (place.record != kNone) {
    place.before = records_[place.record].in_key.before;
  } else if (place.key != kNone) {
    place.before = keys_[place.key].last;
    while (place.before != kNone && records_.offset_of(place.before) > offset)
      place.before = records_[place.before].in_key.before;
  }
  return place;
}

// A fresh record is behind all of its key, of which nothing else need be looked at.
KeyedRecords::Turn KeyedRecords::turn(const Place& place) const {
  if (place.key == kNone) return {};
  const Key& key = keys_[place.key];
  const bool blocked = place.fresh
                           ? key.stopped > 0
                           : place.before != kNone && records_[place.before].state != State::kOut;
  if (blocked) return {.blocked = true};
  if (key.out > 0) return {.holder = &key.holder};
  // It may still work on what was taken back from it.
  const bool had = key.holder != MemberKey{};
  return {.holder = had ? &key.holder : nullptr, .had = had};
}

void KeyedRecords::lease(const Place& place, std::uint32_t loan) {
  const std::uint32_t at = settle_in(place);
  enter(at, loan);
  set_state(at, State::kOut);
}

void KeyedRecords::hold(const Place& place) {
  set_state(settle_in(place), State::kHeld);
}

void KeyedRecords::block(const Place& place) {
  set_state(settle_in(place), State::kBlocked);
}

// ---- ending ----

std::vector<KeyedRecords::Leased> KeyedRecords::cut(OffsetRange range, const MemberKey& member,
                                                    std::uint64_t delivery) {
  std::vector<Leased> all;
  for (const std::uint32_t at : leases_in(range, member, delivery)) all.push_back(cut_one(at));
  std::ranges::sort(all, {}, &Leased::offset);
  return all;
}

std::vector<KeyedRecords::Leased> KeyedRecords::cut(const MemberKey& member) {
  free_parts(member);
  std::vector<Leased> all;
  for (std::uint32_t loan = 0; loan < loans_.places(); ++loan) {
    if (loans_[loan].member != member) continue;
    for (const std::uint32_t at : records_of(loan)) all.push_back(cut_one(at));
  }
  std::ranges::sort(all, {}, &Leased::offset);
  return all;
}

std::vector<KeyedRecords::Leased> KeyedRecords::cut_due(MonotonicTime now) {
  std::vector<Leased> all;
  for (auto next = loans_.next_deadline(); next && next->first <= now;
       next = loans_.next_deadline()) {
    free_parts(loans_[next->second].member);  // who lets leases end may be stuck
    for (const std::uint32_t at : records_of(next->second)) {
      if (records_[at].key != kNone) keys_[records_[at].key].holder = {};
      all.push_back(cut_one(at));
    }
  }
  return all;
}

void KeyedRecords::extend(OffsetRange range, const MemberKey& member, std::uint64_t delivery,
                          MonotonicTime deadline) {
  const auto& leases = leases_in(range, member, delivery);
  if (leases.empty()) return;
  const std::uint32_t loan = new_loan(member, delivery, deadline);
  for (const std::uint32_t at : leases) {
    leave_loan(at);
    enter(at, loan);
  }
}

std::uint64_t KeyedRecords::finish(OffsetRange range, const MemberKey& member,
                                   std::uint64_t delivery, std::vector<OffsetRange>& done) {
  const auto& leases = leases_in(range, member, delivery);
  for (const std::uint32_t at : leases) {
    const Offset offset = records_.offset_of(at);
    if (!done.empty() && done.back().last + 1 == offset)
      done.back().last = offset;
    else
      done.push_back({offset, offset});
    erase(at);
  }
  return leases.size();
}

std::vector<OffsetRange> KeyedRecords::lost(OffsetRange range, const MemberKey& member,
                                            std::uint64_t delivery) const {
  const Loans::Delivery* brought = loans_.find(member, delivery);
  if (!brought) return {range};
  std::vector<OffsetRange> lost;
  for (const Offset offset : brought->lost)
    if (range.first <= offset && offset <= range.last) lost.push_back({offset, offset});
  return lost;
}

void KeyedRecords::end(Offset offset) {
  if (const std::uint32_t at = records_.find(offset); at != kNone) erase(at);
}

void KeyedRecords::block(Offset offset) {
  const std::uint32_t at = records_.find(offset);
  if (at == kNone) return;
  set_state(at, State::kBlocked);
  if (records_[at].key != kNone) ended_.push_back(records_[at].key);
}

std::uint64_t KeyedRecords::revoke_behind(Offset offset) {
  const std::uint32_t first = records_.find(offset);
  if (first == kNone) return 0;
  std::uint64_t revoked = 0;
  for (std::uint32_t at = records_[first].in_key.behind; at != kNone;
       at = records_[at].in_key.behind) {
    const Record& record = records_[at];
    if (record.loan == kNone) continue;  // cut, held or blocked
    revoked += !is_parked(record);
    lose(at);
    set_state(at, State::kHeld);
  }
  return revoked;
}

void KeyedRecords::trim(Offset log_start) {
  std::vector<Offset> gone;
  records_.each([&](std::uint32_t at) {
    if (records_.offset_of(at) < log_start &&
        (records_[at].state != State::kOut || is_parked(records_[at])))
      gone.push_back(records_.offset_of(at));
  });
  for (const Offset offset : gone) end(offset);
}

// ---- time ----

std::optional<MonotonicTime> KeyedRecords::next_deadline() const {
  const auto next = loans_.next_deadline();
  return next ? std::optional(next->first) : std::nullopt;
}

void KeyedRecords::shift(Duration gap) {
  loans_.shift(gap);
}

// ---- within ----

void KeyedRecords::link(Key& key, std::uint32_t at, std::uint32_t before) {
  const std::uint32_t behind = before == kNone ? key.first : records_[before].in_key.behind;
  records_[at].in_key = {before, behind};
  (before == kNone ? key.first : records_[before].in_key.behind) = at;
  (behind == kNone ? key.last : records_[behind].in_key.before) = at;
}

void KeyedRecords::unlink(Key& key, std::uint32_t at) {
  const auto [before, behind] = records_[at].in_key;
  (before == kNone ? key.first : records_[before].in_key.behind) = behind;
  (behind == kNone ? key.last : records_[behind].in_key.before) = before;
}

std::uint32_t KeyedRecords::settle_in(const Place& place) {
  if (place.record != kNone) return place.record;
  std::uint32_t key = place.key;
  if (place.hash && key == kNone) {
    key = keys_.add({.hash = *place.hash});
    by_hash_.insert(*place.hash, key);
  }
  const std::uint32_t at = records_.add(place.offset, {.key = key, .state = State::kBlocked});
  if (key == kNone) return at;
  link(keys_[key], at, place.fresh ? keys_[key].last : place.before);
  ++keys_[key].stopped;
  return at;
}

void KeyedRecords::enter(std::uint32_t at, std::uint32_t number) {
  Loan& loan = loans_[number];
  records_[at].loan = number;
  loan.records.push_back(at);
  ++loan.count;
  ++(loan.parked ? parked_records_ : leased_);
}

void KeyedRecords::leave_loan(std::uint32_t at) {
  const std::uint32_t number = std::exchange(records_[at].loan, kNone);
  Loan& loan = loans_[number];
  --(loan.parked ? parked_records_ : leased_);
  if (--loan.count == 0) drop(number);
}

// Its lease, if it has one, has ended without its being done.
void KeyedRecords::lose(std::uint32_t at) {
  if (!is_parked(records_[at])) loans_.lose(records_[at].loan, records_.offset_of(at));
  leave_loan(at);
}

void KeyedRecords::drop(std::uint32_t at) {
  if (loans_[at].parked) drop_part(at);
  loans_.remove(at);
}

// Out is what is in a loan already.
void KeyedRecords::set_state(std::uint32_t at, State state) {
  Record& record = records_[at];
  const State before = std::exchange(record.state, state);
  held_ += state == State::kHeld;
  held_ -= before == State::kHeld;
  if (record.key == kNone) return;
  Key& key = keys_[record.key];
  ++(state == State::kOut ? key.out : key.stopped);
  --(before == State::kOut ? key.out : key.stopped);
  if (state == State::kOut) key.holder = loans_[record.loan].member;
}

void KeyedRecords::erase(std::uint32_t at) {
  if (records_[at].loan != kNone) leave_loan(at);
  const Record& record = records_[at];
  const std::uint32_t number = record.key;
  held_ -= record.state == State::kHeld;
  if (number == kNone) return records_.remove(at);
  Key& key = keys_[number];
  --(record.state == State::kOut ? key.out : key.stopped);
  unlink(key, at);
  records_.remove(at);
  // Nothing can come of it while others are out, but for what is parked to be noted.
  if (key.first != kNone && key.drained && key.out > 0) return;
  if (key.first != kNone) return ended_.push_back(number);
  by_hash_.erase(key.hash);
  keys_.remove(number);
}

// Looked at together: each key's next record is in the cache by then. A number may be another
// key's by then, which does no harm.
std::vector<Offset> KeyedRecords::let_go() {
  for (const std::uint32_t key : std::exchange(ended_, {}))
    if (key < keys_.places() && keys_[key].first != kNone) look_at(key);
  if (drained_.size() > 2 * keys_.size() + kFew) prune_drained();
  return std::exchange(let_go_, {});
}

// Whether what comes next of it has its turn: not while others are out, and not behind a blocked
// one, which comes by itself.
void KeyedRecords::look_at(std::uint32_t number) {
  if (number == kNone) return;
  const Key& key = keys_[number];
  std::uint32_t at = key.first;
  if (is_parked(records_[at])) add_drained(number);
  if (key.out > 0) return;
  for (std::size_t i = 0; i < kLetGo && at != kNone && records_[at].state == State::kHeld; ++i) {
    set_state(at, State::kBlocked);
    let_go_.push_back(records_.offset_of(at));
    at = records_[at].in_key.behind;
  }
}

void KeyedRecords::add_drained(std::uint32_t number) {
  Key& key = keys_[number];
  if (!std::exchange(key.drained, true)) drained_.push_back(key.hash);
}

// Nobody may have come for them for long, and most have been taken since; of keys that went and
// came, more than once.
void KeyedRecords::prune_drained() {
  const auto all = std::exchange(drained_, {});
  for (const std::uint64_t hash : all)
    if (const std::uint32_t key = by_hash_.find(hash); key != kNone) keys_[key].drained = false;
  for (const std::uint64_t hash : all)
    if (const std::uint32_t key = by_hash_.find(hash);
        key != kNone && is_parked(records_[keys_[key].first]))
      add_drained(key);
}

KeyedRecords::Leased KeyedRecords::cut_one(std::uint32_t at) {
  const Record& record = records_[at];
  const Loan& loan = loans_[record.loan];
  const Leased leased{records_.offset_of(at), loan.member, loan.delivery};
  lose(at);
  return leased;
}

bool KeyedRecords::is_lease(std::uint32_t at, const MemberKey& member,
                            std::uint64_t delivery) const {
  if (at == kNone || records_[at].loan == kNone) return false;
  const Loan& loan = loans_[records_[at].loan];
  return !loan.parked && loan.delivery == delivery && loan.member == member;
}

// The delivery's, of each of its loans in their order.
const std::vector<std::uint32_t>& KeyedRecords::leases_in(OffsetRange range,
                                                          const MemberKey& member,
                                                          std::uint64_t delivery) {
  leases_.clear();
  if (const std::uint64_t span = span_of(range); span < kFew) {  // as one record's, most often
    for (std::uint64_t i = 0; i <= span; ++i)
      if (const std::uint32_t at = records_.find(range.first + static_cast<std::int64_t>(i));
          is_lease(at, member, delivery))
        leases_.push_back(at);
    return leases_;
  }
  const Loans::Delivery* brought = loans_.find(member, delivery);
  if (!brought) return leases_;
  for (const std::uint32_t number : brought->loans)
    for (const std::uint32_t at : loans_[number].records) {
      if (records_[at].loan != number) continue;
      const Offset offset = records_.offset_of(at);
      if (offset < range.first || range.last < offset) continue;
      leases_.push_back(at);
      if (records_[at].key == kNone) continue;
      keys_.prefetch(records_[at].key);
      if (records_[at].in_key.behind != kNone) records_.prefetch(records_[at].in_key.behind);
    }
  return leases_;
}

// What has not left it.
std::vector<std::uint32_t> KeyedRecords::records_of(std::uint32_t loan) const {
  std::vector<std::uint32_t> all;
  for (const std::uint32_t at : loans_[loan].records)
    if (records_[at].loan == loan) all.push_back(at);
  return all;
}

}  // namespace leat::broker
