#include "server/broker/classic/classic_groups.h"

#include <algorithm>

#include "protocol/names.h"
#include "server/broker/partitions.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kNameBytes = 255;
constexpr std::size_t kProtocols = 100;

std::string ms(std::chrono::milliseconds time) {
  return std::to_string(time.count()) + " ms";
}

Error unknown(const ClassicIdentity& who) {
  return {ErrorCode::kUnknownMember, quoted(who.member) + " of group " + quoted(who.group) +
                                         "; join the group first, as a new member"};
}

}  // namespace

// ---- requests ----

Result<> ClassicGroups::check_join(const ClassicJoinRequest& request) const {
  const BrokerOptions& options = house_.options;
  if (auto ok = validate_group_name(request.group); !ok) return ok;
  if (request.session_timeout < options.group_min_session_timeout ||
      request.session_timeout > options.group_max_session_timeout)
    return fail(ErrorCode::kInvalidSessionTimeout,
                ms(request.session_timeout) + "; use " + ms(options.group_min_session_timeout) +
                    " to " + ms(options.group_max_session_timeout) +
                    ", or change groups.min_session_timeout and groups.max_session_timeout");
  if (request.instance && (request.instance->empty() || request.instance->size() > kNameBytes))
    return fail(ErrorCode::kInvalidRequest,
                "an instance id has 1 to " + std::to_string(kNameBytes) + " bytes");
  if (request.protocol_type.size() > kNameBytes || request.protocols.size() > kProtocols)
    return fail(ErrorCode::kInvalidRequest,
                "a protocol type has at most " + std::to_string(kNameBytes) +
                    " bytes, and a member at most " + std::to_string(kProtocols) + " protocols");
  const std::size_t bytes = ClassicMember::bytes(request.protocols);
  if (house_.bytes + bytes > options.classic_group_bytes)
    return fail(ErrorCode::kGroupFull,
                "members of all groups hold " + std::to_string(house_.bytes) + " bytes, this one " +
                    std::to_string(bytes) + "; raise limits.classic_group_bytes");
  return ids_.check_kind(request.group, GroupKind::kClassic);
}

// Groups that are empty and have committed nothing make room.
Result<> ClassicGroups::make_room_for(std::string_view name) {
  auto ok = ids_.check_room_for(name);
  if (ok) return ok;
  const auto unneeded = std::ranges::find_if(groups_, [this](const auto& entry) {
    return entry.second.group->forgettable() && !storage_.has_group(entry.first);
  });
  if (unneeded == groups_.end()) return ok;
  erase(unneeded);
  return ids_.check_room_for(name);
}

void ClassicGroups::join(const RequestId& id, ClassicJoinRequest request, MonotonicTime now) {
  if (auto ok = check_join(request); !ok) return replies_.reply_now(id, ok.error());
  auto it = groups_.find(request.group);
  if (it == groups_.end()) {
    if (!request.member.empty())
      return replies_.reply_now(id, unknown({.group = request.group, .member = request.member}));
    if (auto ok = make_room_for(request.group); !ok) return replies_.reply_now(id, ok.error());
    std::string name(request.group);
    it = groups_.try_emplace(name).first;
    it->second.group = std::make_unique<ClassicGroup>(house_, std::move(name), now);
  }
  Entry& entry = it->second;
  const bool had_members = !entry.group->members().empty();
  entry.group->join(id, std::move(request), now);
  settle(entry, had_members, now);
}

Result<ClassicGroups::Entry*> ClassicGroups::find_entry(const ClassicIdentity& who) {
  if (auto ok = validate_group_name(who.group); !ok) return fail(ok.error());
  const auto it = groups_.find(who.group);
  if (it == groups_.end()) return fail(unknown(who));
  return &it->second;
}

void ClassicGroups::sync(const RequestId& id, const ClassicSyncRequest& request,
                         MonotonicTime now) {
  auto entry = find_entry(request.who);
  if (!entry) return replies_.reply_now(id, entry.error());
  (*entry)->group->sync(id, request, now);
  settle(**entry, true, now);
}

void ClassicGroups::heartbeat(const RequestId& id, const ClassicIdentity& who, MonotonicTime now) {
  auto entry = find_entry(who);
  if (!entry) return replies_.reply_now(id, entry.error());
  auto ok = (*entry)->group->heartbeat(who, now);
  house_.answer(id, ok ? Reply(ClassicAlive{}) : Reply(ok.error()));
  settle(**entry, true, now);
}

void ClassicGroups::leave(const RequestId& id, std::string_view group,
                          std::span<const ClassicLeaver> leavers, MonotonicTime now) {
  auto entry = find_entry({.group = group});
  if (!entry) {
    if (entry.error() != ErrorCode::kUnknownMember) return replies_.reply_now(id, entry.error());
    return replies_.reply_now(
        id, ClassicLeft{std::vector<ErrorCode>(leavers.size(), ErrorCode::kUnknownMember)});
  }
  const bool had_members = !(*entry)->group->members().empty();
  house_.answer(id, ClassicLeft{(*entry)->group->leave(leavers, now)});
  settle(**entry, had_members, now);
}

Result<> ClassicGroups::check_commit(const ClassicIdentity& who, MonotonicTime now) {
  if (auto ok = validate_group_name(who.group); !ok) return ok;
  const GroupKind kind = ids_.kind_of(who.group);
  if (kind != GroupKind::kNone && kind != GroupKind::kClassic)
    return fail(ErrorCode::kUnknownMember, quoted(who.group) + " is " + std::string(name_of(kind)) +
                                               "; stop its members first");
  const auto it = groups_.find(who.group);
  if (it != groups_.end()) {
    auto ok = it->second.group->commit(who, now);
    schedule(it->second);
    return ok;
  }
  if (who.generation < 0) return ids_.check_room_for(who.group);
  // Of before a restart, or of a group that is gone.
  if (storage_.has_group(who.group)) return fail(unknown(who));
  return fail(ErrorCode::kIllegalGeneration,
              quoted(who.group) + " has no generation; join it first");
}

// ---- finding ----

const ClassicGroup* ClassicGroups::find(std::string_view group) const {
  const auto it = groups_.find(group);
  return it == groups_.end() ? nullptr : it->second.group.get();
}

std::size_t ClassicGroups::without_offsets() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      groups_, [this](const auto& entry) { return !storage_.has_group(entry.first); }));
}

std::vector<std::string> ClassicGroups::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : groups_) names.push_back(name);
  return names;
}

void ClassicGroups::forget(std::string_view group) {
  if (const auto it = groups_.find(group); it != groups_.end()) erase(it);
}

// ---- behind every step ----

void ClassicGroups::settle(Entry& entry, bool had_members, MonotonicTime now) {
  schedule(entry);
  const ClassicGroup& group = *entry.group;
  if (had_members && group.members().empty()) became_empty_(group.name(), now);
  answer();
}

void ClassicGroups::schedule(Entry& entry) {
  const std::string& name = entry.group->name();
  const auto next = entry.group->next_deadline();
  if (next == entry.scheduled) return;
  if (entry.scheduled) deadlines_.erase({*entry.scheduled, name});
  if (next) deadlines_.insert({*next, name});
  entry.scheduled = next;
}

void ClassicGroups::erase(Entries::iterator it) {
  if (it->second.scheduled) deadlines_.erase({*it->second.scheduled, it->first});
  groups_.erase(it);
}

// At once: members are in memory alone, so replies rest on nothing that must be durable (rule 2).
// Whoever is answered may ask again meanwhile.
void ClassicGroups::answer() {
  while (!house_.answers.empty())
    for (auto& [id, reply] : std::exchange(house_.answers, {}))
      replies_.reply_now(id, std::move(reply));
}

// ---- time ----

void ClassicGroups::on_time(MonotonicTime now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto it = groups_.find(deadlines_.begin()->second);
    Entry& entry = it->second;
    const bool had_members = !entry.group->members().empty();
    entry.group->on_time(now);
    // With offsets it is kept: its next members go on in its generation.
    const bool gone = entry.group->stale() && !storage_.has_group(it->first);
    schedule(entry);
    if (had_members && entry.group->members().empty()) became_empty_(it->first, now);
    if (gone) erase(it);
    answer();
  }
}

void ClassicGroups::shift(Duration gap, MonotonicTime now) {
  for (auto& [name, entry] : groups_) {
    entry.group->shift(gap, now);
    schedule(entry);
  }
}

std::optional<MonotonicTime> ClassicGroups::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

}  // namespace leat::broker
