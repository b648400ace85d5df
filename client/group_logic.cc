#include "client/group_logic.h"

#include <cstdio>

namespace leat {

GroupLogic::GroupLogic(std::chrono::milliseconds session_timeout, Random random)
    : session_timeout_(session_timeout), random_(std::move(random)) {
  new_member();
}

void GroupLogic::new_member() {
  char id[33];
  std::snprintf(id, sizeof id, "%016llx%016llx", static_cast<unsigned long long>(random_.next()),
                static_cast<unsigned long long>(random_.next()));
  member_ = id;
  epoch_ = 0;
}

std::optional<GroupLogic::Request> GroupLogic::wanted(MonotonicTime now) {
  if (asked_ || state_ == State::kGone) return std::nullopt;
  if (state_ == State::kIn && sync_at_ && now < *sync_at_) return std::nullopt;
  asked_ = true;
  sync_at_.reset();
  Request request{Request::Kind::kJoin, member_, epoch_, {}, {}};
  if (state_ != State::kIn) return request;
  request.kind = Request::Kind::kSync;
  for (const auto& [key, topic] : owned_) request.owned.push_back(key);
  request.max_wait = session_timeout_ / 3;
  return request;
}

std::optional<MonotonicTime> GroupLogic::next_deadline() const {
  return asked_ || state_ != State::kIn ? std::nullopt : sync_at_;
}

void GroupLogic::assigned(std::int32_t epoch, Partitions partitions, MonotonicTime now) {
  asked_ = false;
  if (state_ == State::kGone) return;
  state_ = State::kIn;
  epoch_ = epoch;
  target_ = Held(partitions.begin(), partitions.end());
  compare();
  if (!giving_back_.empty()) sync_at_ = now + session_timeout_ / 3;
}

// Owned becomes what is wanted, but for what the owner has still to give back.
void GroupLogic::compare() {
  Event revoked{Event::Kind::kRevoked, {}}, gained{Event::Kind::kAssigned, {}};
  for (const auto& [key, topic] : owned_)
    if (!target_.contains(key) && giving_back_.insert(key).second)
      revoked.partitions.emplace_back(key, topic);
  for (const auto& [key, topic] : target_)
    if (owned_.emplace(key, topic).second) gained.partitions.emplace_back(key, topic);
  if (!revoked.partitions.empty()) events_.push_back(std::move(revoked));
  if (!gained.partitions.empty()) events_.push_back(std::move(gained));
}

void GroupLogic::released(const Partitions& partitions) {
  for (const auto& [key, topic] : partitions)
    if (giving_back_.erase(key) > 0) owned_.erase(key);
  sync_at_.reset();
  compare();  // what was given back may be wanted again by now
}

void GroupLogic::refused(const Error& error) {
  asked_ = false;
  if (state_ == State::kGone || error.retryable()) return;
  if (error != ErrorCode::kUnknownMember && error != ErrorCode::kStaleEpoch) {
    state_ = State::kGone;
    error_ = error;
    return;
  }
  lose_all();
  state_ = State::kOut;
  new_member();
}

// What the owner was not told of yet, it need not hear that it lost.
void GroupLogic::lose_all() {
  Held told = std::move(owned_);
  for (const Event& event : events_)
    if (event.kind == Event::Kind::kAssigned)
      for (const auto& [key, topic] : event.partitions) told.erase(key);
  std::erase_if(events_, [](const Event& event) { return event.kind != Event::Kind::kLost; });
  if (!told.empty()) events_.push_back({Event::Kind::kLost, {told.begin(), told.end()}});
  owned_.clear();
  target_.clear();
  giving_back_.clear();
  sync_at_.reset();
}

bool GroupLogic::leave() {
  const bool known = state_ == State::kIn || (state_ == State::kOut && asked_);
  state_ = State::kGone;
  return known;
}

std::optional<GroupLogic::Event> GroupLogic::next_event() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

}  // namespace leat
