// The state machine of groups and their members: entries kGroupChanged and kGroupDeleted. What a
// group committed is offset_store.h's. One thread; its rows follow behind the journal, in the
// offsets family.
#pragma once

#include <map>
#include <string>

#include "storage/group.h"
#include "storage/state/catalog_store.h"
#include "storage/state/entry.h"
#include "storage/state/family.h"

namespace leat::storage {

struct GroupChanged {
  std::int32_t epoch = 0;  // the group's, after the change
  GroupChange change;      // `group` borrows the entry

  JournalEntry encode() const;
  static Result<GroupChanged> decode(Bytes body);
};

struct GroupDeleted {
  std::string_view group;  // borrows the entry

  JournalEntry encode() const;
  static Result<GroupDeleted> decode(Bytes body);
};

class GroupStore {
 public:
  Result<> load(const FamilyReader& rows);

  const Group* find(std::string_view name) const;
  const std::map<std::string, Group, std::less<>>& all() const { return groups_; }

  void apply(const GroupChanged& changed);
  void apply(const GroupDeleted& deleted);
  void apply(const TopicDeleted& deleted);

  // What apply() does to the rows.
  static void persist(const GroupChanged& changed, FamilyWriter& rows);
  static Result<> persist(const GroupDeleted& deleted, const FamilyReader& reader,
                          FamilyWriter& rows);
  static Result<> persist(const TopicDeleted& deleted, const FamilyReader& reader,
                          FamilyWriter& rows);

 private:
  std::map<std::string, Group, std::less<>> groups_;
};

}  // namespace leat::storage
