// The order of keys in a key_shared group, within one partition: the records of a key are with one
// member at a time, and none overtakes one that came before it, leased, waiting to be tried again
// or held back.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "server/broker/delivery/delivery.h"

namespace leat::broker {

// Of a record's key; two keys that share one wait for each other, which does no harm. None: a
// record without a key, which has no order.
using KeyHash = std::optional<std::uint64_t>;
KeyHash hash_of(const std::optional<Bytes>& key);

class KeyGate {
 public:
  struct Turn {
    bool blocked = false;               // others come first
    const MemberKey* holder = nullptr;  // it may go to this one alone
  };
  // Of the record at `offset`, now.
  Turn turn(KeyHash key, Offset offset) const;

  void lease(KeyHash key, Offset offset, const MemberKey& member);
  // The record will be tried again: until then its key stands still.
  void fail(KeyHash key, Offset offset);
  // Not now: asked again when its turn may have come, see end().
  void hold(KeyHash key, Offset offset);
  // The record is done, or goes on as if it had never been leased. What may go now.
  std::vector<Offset> end(KeyHash key, Offset offset);
  // The leases of records of the key behind `offset`, which are held back from now on.
  std::vector<Offset> revoke_behind(KeyHash key, Offset offset);

  std::size_t held() const { return held_; }

 private:
  struct State {
    MemberKey member;
    std::set<Offset> leased, failed, held;
    bool empty() const { return leased.empty() && failed.empty() && held.empty(); }
  };
  std::vector<Offset> next_of(std::uint64_t key, State& state);

  std::unordered_map<std::uint64_t, State> keys_;
  std::size_t held_ = 0;
};

}  // namespace leat::broker
