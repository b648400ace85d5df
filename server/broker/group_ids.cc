#include "server/broker/group_ids.h"

#include "server/broker/classic/classic_groups.h"
#include "server/broker/delivery/deliveries.h"
#include "server/broker/partitions.h"

namespace leat::broker {

GroupKind GroupIds::kind_of(std::string_view group) const {
  if (const DeliveryGroup* shared = deliveries_.find(group)) return shared->kind();
  if (const ClassicGroup* classic = classic_.find(group); classic && !classic->members().empty())
    return GroupKind::kClassic;
  const storage::Group* stored = storage_.find_group(group);
  return stored && !stored->members.empty() ? stored->kind : GroupKind::kNone;
}

std::size_t GroupIds::members_of(std::string_view group) const {
  switch (kind_of(group)) {
    case GroupKind::kNone:
      return 0;
    case GroupKind::kPartitioned:
      return storage_.find_group(group)->members.size();
    case GroupKind::kClassic:
      return classic_.find(group)->members().size();
    case GroupKind::kShared:
    case GroupKind::kKeyShared:
      return deliveries_.find(group)->members();
  }
  return 0;
}

Result<> GroupIds::check_kind(std::string_view group, GroupKind wanted) const {
  const GroupKind kind = kind_of(group);
  if (kind == GroupKind::kNone || kind == wanted) return {};
  return fail(ErrorCode::kInconsistentGroup,
              quoted(group) + " is " + std::string(name_of(kind)) + "; stop its members first");
}

Result<> GroupIds::check_room_for(std::string_view group) const {
  if (storage_.has_group(group) || classic_.find(group)) return {};
  if (storage_.group_count() + classic_.without_offsets() < options_.groups) return {};
  return fail(ErrorCode::kLimitReached,
              std::to_string(options_.groups) + " groups; delete one first: leat group rm");
}

}  // namespace leat::broker
