// Who may take records, and which of them a record goes to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "server/broker/delivery/keyed_records.h"

namespace leat::broker {

// A member that may take records.
struct Taker {
  MemberKey member;
  std::uint64_t most_records = 0;  // as yet
  std::size_t most_bytes = 0;      // of what was parked, one part always passes
  std::uint64_t delivery = 0;      // what is taken comes by
  MonotonicTime deadline;
  bool idle = false;  // has nothing at all
};

// All that read a topic, whether they may take more or not: so that a key, as long as nobody comes
// or goes, has the same member.
class Takers {
 public:
  explicit Takers(std::vector<Taker> by_member) : all_(std::move(by_member)) {}
  std::size_t size() const { return all_.size(); }
  Taker& operator[](std::size_t i) { return all_[i]; }
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }
  // Who may take the record of a key that nobody has; nullopt: nobody may.
  std::optional<std::size_t> for_key(KeyHash key);
  // If it may.
  std::optional<std::size_t> find(const MemberKey& member) const;
  std::optional<std::size_t> index_of(const MemberKey& member) const;  // whether it may or not
  // Somebody may take records, and has none.
  bool anybody_idle() const;
  bool anybody_may_take() const;

 private:
  std::optional<std::size_t> search(const MemberKey& member) const;

  std::vector<Taker> all_;                         // by member
  mutable std::array<std::uint32_t, 64> found_{};  // where a member was, by its connection
  std::size_t turn_ = 0;                           // of records without a key
};

}  // namespace leat::broker
