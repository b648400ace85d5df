// The records of one partition that a key_shared group has read and not done, and their order: the
// records of a key are with one member at a time, and none overtakes one that came before it,
// leased, parked, waiting to be tried again or held back.
//
// A record of a key whose member may not take more now is parked: its bytes are kept, divided as
// they will be sent, until the member may, or the key is free and somebody else may.
//
// All costs are constant but where it says otherwise. One thread.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/batch_parts.h"
#include "server/broker/delivery/by_offset.h"
#include "server/broker/delivery/delivery.h"
#include "server/broker/delivery/index_table.h"
#include "server/broker/delivery/loans.h"
#include "server/broker/delivery/pool.h"

namespace leat::broker {

// Of a record's key; two keys that share one wait for each other, which does no harm. None: a
// record without a key, which has no order.
using KeyHash = std::optional<std::uint64_t>;
KeyHash hash_of(const std::optional<Bytes>& key);

class KeyedRecords {
 public:
  static constexpr std::uint32_t kNone = IndexTable::kNone;

  // ---- taking ----

  // Where a record stands, or would; until something else changes.
  struct Place {
    KeyHash hash;
    Offset offset;
    std::uint32_t key = kNone;     // known already
    std::uint32_t record = kNone;  // known already
    std::uint32_t before = kNone;  // of its key; not looked for where it is fresh
    bool fresh = false;            // behind all that was ever seen
  };
  // Linear in the key's records behind it, unless it is fresh.
  Place place(KeyHash hash, Offset offset, bool fresh) const;

  struct Turn {
    bool blocked = false;               // others come first
    const MemberKey* holder = nullptr;  // it may go to this one alone, behind what is parked there
    bool had = false;  // the holder has nothing of it now, but it failed there: if it is still here
  };
  Turn turn(const Place& place) const;

  // What is leased together. With a record soon, or forgotten.
  std::uint32_t new_loan(const MemberKey& member, std::uint64_t delivery, MonotonicTime deadline) {
    return loans_.lend(member, delivery, deadline);
  }
  void lease(const Place& place, std::uint32_t loan);
  // Not now, and its bytes are not kept: it must be read again when its turn has come.
  void hold(const Place& place);
  // It will be tried again: until then its key stands still.
  void block(const Place& place);
  // Until the member, which holds its key, may take more.
  // `part_bytes`: what its members' parts of the batch come to. `joins`: what the call for the
  // member's record before it gave, where that is of the batch, and nothing else changed since.
  std::uint32_t park(const Place& place, const MemberKey& member, const RecordBatchView& batch,
                     const Records::Iterator& record, std::size_t part_bytes,
                     std::uint32_t joins = kNone);

  // ---- what was parked ----

  bool has_parked() const { return !parked_.empty(); }
  bool has_parked(const MemberKey& member) const { return parked_.contains(member); }
  // The base offset of the batch that the member's first part is of.
  std::optional<Offset> first_parked(const MemberKey& member) const;
  // Leases that part, which is there, up to `most` records of it: its bytes hold these and no
  // others.
  struct Unparked {
    std::vector<std::byte> bytes;
    std::uint32_t records;
  };
  Unparked unpark(const MemberKey& member, std::uint64_t most, std::uint32_t loan);
  // What is parked for the member is anybody's.
  void free_parts(const MemberKey& member);
  // Parked records of free keys, whose member may not take more, are anybody's.
  template <class MayTake>
  void free_drained(MayTake may_take) {
    for (const std::uint64_t hash : std::exchange(drained_, {})) free(hash, may_take);
  }

  // ---- ending ----

  struct Leased {
    Offset offset;
    MemberKey member;
    std::uint64_t delivery;
  };
  // Takes the delivery's leases out of the range, ascending; in their keys' order they stay until
  // they end(), block() or are leased again. Linear in the range, or in the delivery.
  std::vector<Leased> cut(OffsetRange range, const MemberKey& member, std::uint64_t delivery);
  // All of the member, which is gone: what was parked for it is anybody's. Linear in all.
  std::vector<Leased> cut(const MemberKey& member);
  std::vector<Leased> cut_due(MonotonicTime now);
  void extend(OffsetRange range, const MemberKey& member, std::uint64_t delivery,
              MonotonicTime deadline);
  // As cut() and end(), of so many; gives what ended to `done`.
  std::uint64_t finish(OffsetRange range, const MemberKey& member, std::uint64_t delivery,
                       std::vector<OffsetRange>& done);
  // What of the range the delivery brought, and has lost; all of it where it has no lease any more.
  std::vector<OffsetRange> lost(OffsetRange range, const MemberKey& member,
                                std::uint64_t delivery) const;
  // Whether it has a lease left of what the delivery brought.
  bool has_lease(const MemberKey& member, std::uint64_t delivery) const {
    return loans_.find(member, delivery) != nullptr;
  }
  // What it has lost of a delivery that goes out without it, ascending.
  std::vector<Offset> take_lost(const MemberKey& member, std::uint64_t delivery) {
    return loans_.take_lost(member, delivery);
  }
  // Done, or gone; nothing where it is not known.
  void end(Offset offset);
  // It failed, or was given back: it is read again, and its key stands still until then, but for
  // what came to stand before it.
  void block(Offset offset);
  // What its member has of its key behind it is no longer leased: so many. Linear in the key's.
  std::uint64_t revoke_behind(Offset offset);
  // All below that nobody has. Linear in all.
  void trim(Offset log_start);

  // What may be read again, since the last call: behind each change, before anything is taken.
  std::vector<Offset> let_go();

  std::optional<MonotonicTime> next_deadline() const;
  void shift(Duration gap);

  std::size_t held() const { return held_ + parked_records_; }
  std::size_t parked() const { return parked_records_; }
  std::size_t parked_bytes() const { return parked_bytes_; }
  std::uint64_t leased() const { return leased_; }

 private:
  enum class State : std::uint8_t {
    kOut,      // leased, or parked, by its loan; cut, where it is in none
    kHeld,     // back when its key is free
    kBlocked,  // waits for its time or to be read, with its place kept
  };
  struct Links {
    std::uint32_t before = kNone, behind = kNone;
  };
  struct Record {
    std::uint32_t key = kNone, loan = kNone;
    Links in_key;
    State state = State::kHeld;
  };
  struct Key {
    std::uint64_t hash = 0;
    std::uint32_t first = kNone, last = kNone;  // of its records, ascending
    std::uint32_t out = 0, stopped = 0;         // held or blocked
    bool drained = false;                       // in drained_
    MemberKey holder;                           // of those that are out, or were
  };

  void link(Key& key, std::uint32_t at, std::uint32_t before);
  void unlink(Key& key, std::uint32_t at);
  std::uint32_t settle_in(const Place& place);  // the record, new or not
  bool is_parked(const Record& record) const {
    return record.loan != kNone && loans_[record.loan].parked;
  }
  void enter(std::uint32_t at, std::uint32_t loan);
  void leave_loan(std::uint32_t at);
  void lose(std::uint32_t at);
  void drop(std::uint32_t loan);
  void drop_part(std::uint32_t loan);
  void set_state(std::uint32_t at, State state);
  void erase(std::uint32_t at);
  void look_at(std::uint32_t key);
  void add_drained(std::uint32_t key);
  void prune_drained();
  void hold_parked(std::uint32_t key);
  std::uint32_t part_for(const MemberKey& member, const RecordBatchView& batch, Offset offset,
                         std::size_t part_bytes);
  void divide(std::uint32_t loan, std::uint64_t records);
  Unparked unpark_first(std::uint32_t part, std::uint32_t records, std::uint32_t loan);
  Leased cut_one(std::uint32_t at);
  bool is_lease(std::uint32_t at, const MemberKey& member, std::uint64_t delivery) const;
  const std::vector<std::uint32_t>& leases_in(OffsetRange range, const MemberKey& member,
                                              std::uint64_t delivery);
  std::vector<std::uint32_t> records_of(std::uint32_t loan) const;
  template <class MayTake>
  void free(std::uint64_t hash, MayTake may_take) {
    const std::uint32_t key = by_hash_.find(hash);
    if (key == kNone) return;
    keys_[key].drained = false;
    const Record& first = records_[keys_[key].first];
    if (!is_parked(first)) return;
    if (may_take(loans_[first.loan].member)) return add_drained(key);
    hold_parked(key);
    keys_[key].holder = {};
    look_at(key);
  }

  ByOffset<Record> records_;
  Pool<Key> keys_;
  Loans loans_;
  IndexTable by_hash_;
  std::map<MemberKey, std::deque<std::uint32_t>> parked_;  // loans, oldest first
  std::vector<std::uint64_t> drained_;                     // keys whose first was parked
  std::vector<std::uint32_t> ended_;                       // keys of which something changed
  std::vector<std::uint32_t> leases_;                      // leases_in()'s, reused
  std::vector<Offset> let_go_;
  std::size_t held_ = 0, parked_records_ = 0, parked_bytes_ = 0;
  std::uint64_t leased_ = 0;
};

}  // namespace leat::broker
