#include "storage/state/group_store.h"

#include "storage/keys.h"

namespace leat::storage {
namespace {

// Every row of a group is a change of its own, in the entry's encoding: what it is about, and
// nothing else.
std::string row_of(std::string_view group, std::int32_t epoch, GroupKind kind) {
  GroupChanged row{epoch, {.group = group, .kind = kind}};
  return std::string(as_text(row.encode().body));
}
std::string row_of(std::string_view group, std::int32_t epoch, const GroupMember& member) {
  GroupChanged row{epoch, {.group = group, .kind = {}, .joined = member}};
  return std::string(as_text(row.encode().body));
}
std::string row_of(std::string_view group, std::int32_t epoch, const TopicPartition& partition,
                   const std::string& member) {
  GroupChanged row{epoch, {.group = group}};
  row.change.moved.emplace_back(partition, member);
  return std::string(as_text(row.encode().body));
}

void write_member(EntryWriter& writer, const GroupMember& member) {
  writer.text(member.id)
      .text(member.client_name)
      .le(static_cast<std::uint32_t>(member.session_timeout.count()))
      .le(static_cast<std::uint32_t>(member.rebalance_timeout.count()))
      .le(static_cast<std::uint16_t>(member.topics.size()));
  for (const std::string& topic : member.topics) writer.text(topic);
}

GroupMember read_member(ByteReader& reader) {
  GroupMember member;
  member.id = read_text(reader);
  member.client_name = read_text(reader);
  member.session_timeout = std::chrono::milliseconds(reader.le<std::uint32_t>());
  member.rebalance_timeout = std::chrono::milliseconds(reader.le<std::uint32_t>());
  const auto topics = reader.le<std::uint16_t>();
  for (std::uint16_t i = 0; i < topics && !reader.failed(); ++i)
    member.topics.emplace_back(read_text(reader));
  return member;
}

}  // namespace

// ---- entries ----

JournalEntry GroupChanged::encode() const {
  EntryWriter writer;
  writer.text(change.group)
      .le(epoch)
      .le(static_cast<std::uint8_t>(change.kind))
      .le(static_cast<std::uint8_t>(change.joined ? 1 : 0));
  if (change.joined) write_member(writer, *change.joined);
  writer.le(static_cast<std::uint32_t>(change.left.size()));
  for (const std::string& member : change.left) writer.text(member);
  writer.le(static_cast<std::uint32_t>(change.moved.size()));
  for (const auto& [partition, member] : change.moved)
    writer.id(partition.topic).le(partition.partition.value).text(member);
  return writer.finish(EntryKind::kGroupChanged);
}

Result<GroupChanged> GroupChanged::decode(Bytes body) {
  ByteReader reader(body);
  GroupChanged changed;
  changed.change.group = read_text(reader);
  changed.epoch = reader.le<std::int32_t>();
  changed.change.kind = static_cast<GroupKind>(reader.le<std::uint8_t>());
  if (reader.le<std::uint8_t>() != 0) changed.change.joined = read_member(reader);
  const auto left = reader.le<std::uint32_t>();
  for (std::uint32_t i = 0; i < left && !reader.failed(); ++i)
    changed.change.left.emplace_back(read_text(reader));
  const auto moved = reader.le<std::uint32_t>();
  for (std::uint32_t i = 0; i < moved && !reader.failed(); ++i) {
    TopicPartition partition;
    partition.topic = read_topic_id(reader);
    partition.partition = PartitionIndex(reader.le<std::int32_t>());
    changed.change.moved.emplace_back(partition, read_text(reader));
  }
  if (!reader.finished()) return fail(ErrorCode::kCorruptStorage, "malformed 'group changed'");
  return changed;
}

JournalEntry GroupDeleted::encode() const {
  return EntryWriter().text(group).finish(EntryKind::kGroupDeleted);
}

Result<GroupDeleted> GroupDeleted::decode(Bytes body) {
  ByteReader reader(body);
  GroupDeleted deleted{read_text(reader)};
  if (!reader.finished()) return fail(ErrorCode::kCorruptStorage, "malformed 'group deleted'");
  return deleted;
}

// ---- state ----

Result<> GroupStore::load(const FamilyReader& rows) {
  // The group's own row first: the others do not know its epoch and kind.
  for (const char letter : {keys::kGroupLetter, keys::kMemberLetter, keys::kOwnerLetter}) {
    auto ok = rows.each(
        std::string_view(&letter, 1), [&](std::string_view, std::string_view value) -> Result<> {
          auto row = GroupChanged::decode(as_bytes(value));
          if (!row) return fail(row.error());
          const Group* group = find(row->change.group);
          if (letter != keys::kGroupLetter && !group)
            return fail(ErrorCode::kCorruptStorage, "a member of no group");
          const auto [epoch, kind] = group ? std::pair(group->epoch, group->kind)
                                           : std::pair(row->epoch, row->change.kind);
          row->change.kind = kind;
          apply(*row);
          groups_.find(row->change.group)->second.epoch = epoch;
          return {};
        });
    if (!ok) return ok;
  }
  return {};
}

const Group* GroupStore::find(std::string_view name) const {
  const auto it = groups_.find(name);
  return it == groups_.end() ? nullptr : &it->second;
}

void GroupStore::apply(const GroupChanged& changed) {
  const GroupChange& change = changed.change;
  auto it = groups_.find(change.group);
  if (it == groups_.end()) {
    it = groups_.try_emplace(std::string(change.group)).first;
    it->second.name = change.group;
  }
  Group& group = it->second;
  group.epoch = changed.epoch;
  group.kind = change.kind;
  if (change.joined) group.members.insert_or_assign(change.joined->id, *change.joined);
  for (const std::string& member : change.left) group.members.erase(member);
  for (const auto& [partition, member] : change.moved) {
    if (member.empty())
      group.owners.erase(partition);
    else
      group.owners[partition] = {member, changed.epoch};
  }
}

void GroupStore::apply(const GroupDeleted& deleted) {
  if (const auto it = groups_.find(deleted.group); it != groups_.end()) groups_.erase(it);
}

void GroupStore::apply(const TopicDeleted& deleted) {
  for (auto& [name, group] : groups_)
    std::erase_if(group.owners, [&](const auto& owner) { return owner.first.topic == deleted.id; });
}

// ---- rows ----

void GroupStore::persist(const GroupChanged& changed, FamilyWriter& rows) {
  const GroupChange& change = changed.change;
  rows.put(keys::group(change.group), row_of(change.group, changed.epoch, change.kind));
  if (change.joined)
    rows.put(keys::member(change.group, change.joined->id),
             row_of(change.group, changed.epoch, *change.joined));
  for (const std::string& member : change.left) rows.remove(keys::member(change.group, member));
  for (const auto& [partition, member] : change.moved) {
    const std::string key = keys::owner(change.group, partition.topic, partition.partition);
    if (member.empty())
      rows.remove(key);
    else
      rows.put(key, row_of(change.group, changed.epoch, partition, member));
  }
}

Result<> GroupStore::persist(const GroupDeleted& deleted, const FamilyReader& reader,
                             FamilyWriter& rows) {
  rows.remove(keys::group(deleted.group));
  for (const char letter : {keys::kMemberLetter, keys::kOwnerLetter, keys::kCommitLetter}) {
    auto ok = reader.each(keys::of_group(letter, deleted.group),
                          [&](std::string_view key, std::string_view) -> Result<> {
                            rows.remove(key);
                            return {};
                          });
    if (!ok) return ok;
  }
  return {};
}

Result<> GroupStore::persist(const TopicDeleted& deleted, const FamilyReader& reader,
                             FamilyWriter& rows) {
  return reader.each(std::string_view(&keys::kOwnerLetter, 1),
                     [&](std::string_view key, std::string_view) -> Result<> {
                       if (keys::ends_with_topic(key, deleted.id)) rows.remove(key);
                       return {};
                     });
}

}  // namespace leat::storage
