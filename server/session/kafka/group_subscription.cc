#include "server/session/kafka/group_subscription.h"

#include "protocol/base/bytes.h"

namespace leat::session {
namespace {

// A consumer's subscription begins, in every version: version i16, count i32, topics, each of
// them a length i16 and its bytes.
bool read(std::string_view metadata, SubscribedTopics& topics) {
  ByteReader reader(as_bytes(metadata));
  if (reader.be<std::int16_t>() < 0) return false;
  const auto count = reader.be<std::int32_t>();
  for (std::int32_t i = 0; i < count && !reader.failed(); ++i) {
    const auto size = reader.be<std::int16_t>();
    if (size < 0) return false;
    topics.emplace(reader.text(static_cast<std::size_t>(size)));
  }
  return !reader.failed() && count >= 0;
}

}  // namespace

std::optional<SubscribedTopics> subscribed_topics(const broker::ClassicGroup& group) {
  SubscribedTopics topics;
  if (group.members().empty()) return topics;
  if (group.protocol_type() != "consumer") return std::nullopt;
  for (const auto& [id, member] : group.members())
    for (const auto& protocol : member.protocols)
      if (!read(protocol.metadata, topics)) return std::nullopt;
  return topics;
}

}  // namespace leat::session
