// Of the records of a partition that a key_shared group has out: which were given together, to
// whom, until when. Leases, or parts that are kept until their member may take them.
//
// A delivery's leases are one loan, but for those that were extended since. As long as one of them
// is left it is also known which of its records were lost: whose lease ended without their being
// done. So a member may settle a range of what a delivery brought it without naming each.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/batch_parts.h"
#include "server/broker/delivery/delivery.h"
#include "server/broker/delivery/pool.h"

namespace leat::broker {

struct Loan {
  MemberKey member;
  std::uint64_t delivery = 0;
  MonotonicTime deadline;
  std::vector<std::uint32_t> records;  // in their order; and what has left it since
  std::uint32_t count = 0;             // that have not
  bool parked = false;
  BatchPart part;  // while it is
};

class Loans {
 public:
  Loan& operator[](std::uint32_t at) { return loans_[at]; }
  const Loan& operator[](std::uint32_t at) const { return loans_[at]; }
  std::uint32_t places() const { return loans_.places(); }  // numbers are below

  // With a record soon, or removed.
  std::uint32_t lend(const MemberKey& member, std::uint64_t delivery, MonotonicTime deadline);
  std::uint32_t keep(const MemberKey& member);
  void remove(std::uint32_t at);

  struct Delivery {
    std::vector<std::uint32_t> loans;
    std::vector<Offset> lost;
  };
  // Null: none of what it brought is leased.
  const Delivery* find(const MemberKey& member, std::uint64_t delivery) const;
  // A record of the loan, which is still there.
  void lose(std::uint32_t at, Offset offset);
  // What of it was lost, ascending: it was not brought after all. Nothing where none is leased.
  std::vector<Offset> take_lost(const MemberKey& member, std::uint64_t delivery);

  // Of the loan that ends first.
  std::optional<std::pair<MonotonicTime, std::uint32_t>> next_deadline() const;
  void shift(Duration gap);

 private:
  using Key = std::pair<MemberKey, std::uint64_t>;
  Pool<Loan> loans_;
  std::map<Key, Delivery> deliveries_;
  std::set<std::pair<MonotonicTime, std::uint32_t>> deadlines_;  // of loans that are not parked
};

}  // namespace leat::broker
