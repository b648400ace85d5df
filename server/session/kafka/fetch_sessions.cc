#include "server/session/kafka/fetch_sessions.h"

#include <limits>

namespace leat::session {
namespace {

using kafka::FetchRequest;
using kafka::KafkaError;

// With what the allocator adds.
constexpr std::size_t kPartitionBytes = sizeof(FetchSession::Partition) + 96;
constexpr std::size_t kTopicBytes = sizeof(FetchSession::Topic) + 192;

std::int32_t behind(std::int32_t epoch) {
  return epoch == std::numeric_limits<std::int32_t>::max() ? 1 : epoch + 1;
}

}  // namespace

// ---- one ----

std::string FetchSession::key_of(std::string_view name, const TopicId& id) const {
  if (!by_id_) return std::string(name);
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

std::size_t FetchSession::bytes() const {
  return partitions_.size() * kPartitionBytes + topics_.size() * kTopicBytes + name_bytes_;
}

void FetchSession::update(const FetchRequest& request) {
  for (const auto& asked : request.topics) {
    if (asked.partitions.empty()) continue;
    Topic& topic = topics_[key_of(asked.topic, asked.topic_id)];
    if (topic.partitions.empty()) {
      topic.name = by_id_ ? std::string() : std::string(asked.topic);
      topic.id = asked.topic_id;
      name_bytes_ += 2 * topic.name.size();
    }
    for (const auto& partition : asked.partitions) {
      const auto known = topic.partitions.find(partition.partition);
      if (known != topic.partitions.end()) {
        known->second->asked = partition;
        continue;
      }
      partitions_.push_back({&topic, partition.partition, partition});
      topic.partitions.emplace(partition.partition, std::prev(partitions_.end()));
    }
  }
  for (const auto& topic : request.forgotten_topics_data) forget(topic);
}

void FetchSession::forget(const FetchRequest::ForgottenTopic& forgotten) {
  const auto topic = topics_.find(key_of(forgotten.topic, forgotten.topic_id));
  if (topic == topics_.end()) return;
  auto& partitions = topic->second.partitions;
  for (const std::int32_t index : forgotten.partitions) {
    const auto it = partitions.find(index);
    if (it == partitions.end()) continue;
    partitions_.erase(it->second);
    partitions.erase(it);
  }
  if (!partitions.empty()) return;
  name_bytes_ -= 2 * topic->second.name.size();
  topics_.erase(topic);
}

// ---- those of a connection ----

FetchSessions::~FetchSessions() {
  for (const auto& [id, kept] : sessions_) memory_.give_back(kept.held, 0);
}

FetchSessions::Opened FetchSessions::open(const FetchRequest& request, bool by_id) {
  if (request.session_epoch == kFirst || request.session_epoch == kLast)
    return begin(request, by_id);
  const auto it = find(request.session_id);
  if (it == sessions_.end()) return {.error = KafkaError::kFetchSessionIdNotFound};
  Kept& kept = it->second;
  if (kept.epoch != request.session_epoch) return {.error = KafkaError::kInvalidFetchSessionEpoch};
  if (kept.session->by_id() != by_id) return {.error = KafkaError::kFetchSessionTopicIdError};
  kept.session->update(request);
  const auto session = kept.session;
  if (session->partitions().empty()) {
    close(it);
    return {.session = session};
  }
  if (!hold(kept)) {  // the client says all again then, and is read to without a session
    close(it);
    return {.error = KafkaError::kFetchSessionIdNotFound};
  }
  kept.epoch = behind(kept.epoch);
  sessions_.splice(sessions_.end(), sessions_, it);
  return {.session = session, .id = it->first, .only_news = true};
}

// A request that says all it reads ends the session it names, and may begin another.
FetchSessions::Opened FetchSessions::begin(const FetchRequest& request, bool by_id) {
  if (const auto old = find(request.session_id); old != sessions_.end()) close(old);
  const auto session = std::make_shared<FetchSession>(by_id);
  session->update(request);
  if (request.session_epoch == kLast) return {.session = session};
  Kept kept{session, behind(kFirst)};
  if (!hold(kept)) return {.session = session};  // goes without
  if (sessions_.size() >= kSessions) close(sessions_.begin());
  // Spread over all positive numbers by a factor that is odd.
  std::int32_t id = kNone;
  while (id == kNone || find(id) != sessions_.end())
    id = static_cast<std::int32_t>((++last_id_ * 0x9e3779b97f4a7c15) >> 33);
  sessions_.emplace_back(id, std::move(kept));
  return {.session = session, .id = id};
}

FetchSessions::Sessions::iterator FetchSessions::find(std::int32_t id) {
  auto it = sessions_.begin();
  while (it != sessions_.end() && it->first != id) ++it;
  return it;
}

// Has what it takes now counted; false: there is no room.
bool FetchSessions::hold(Kept& kept) {
  const std::size_t bytes = kept.session->bytes();
  memory_.give_back(std::exchange(kept.held, 0), 0);
  if (!memory_.hold(bytes)) return false;
  kept.held = bytes;
  return true;
}

void FetchSessions::close(Sessions::iterator session) {
  memory_.give_back(session->second.held, 0);
  sessions_.erase(session);
}

}  // namespace leat::session
