// What a group id stands for now, and whether there is room for another (rule 8): one name, whoever
// its members are.
#pragma once

#include <string_view>

#include "protocol/base/result.h"
#include "protocol/group_kind.h"
#include "server/broker/broker_options.h"
#include "storage/storage.h"

namespace leat::broker {

class ClassicGroups;
class Deliveries;

class GroupIds {
 public:
  // Only the addresses are taken: what they name may be made later.
  GroupIds(const BrokerOptions& options, const storage::Storage& storage,
           const Deliveries& deliveries, const ClassicGroups& classic)
      : options_(options), storage_(storage), deliveries_(deliveries), classic_(classic) {}

  // kNone: it has no members.
  GroupKind kind_of(std::string_view group) const;
  std::size_t members_of(std::string_view group) const;

  // Whether a member of `wanted` may join. Error: kInconsistentGroup.
  Result<> check_kind(std::string_view group, GroupKind wanted) const;
  // A group that is there already has room. Error: kLimitReached.
  Result<> check_room_for(std::string_view group) const;

 private:
  const BrokerOptions& options_;
  const storage::Storage& storage_;
  const Deliveries& deliveries_;
  const ClassicGroups& classic_;
};

}  // namespace leat::broker
