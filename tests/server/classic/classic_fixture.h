// Members of classic groups, and what they were told.
#pragma once

#include <map>

#include "tests/server/broker_fixture.h"

namespace leat::broker {

// What a member asks for.
struct JoinAs {
  std::string member = {};
  std::optional<std::string> instance = {};
  std::vector<ClassicProtocol> protocols = {{"range", "topics"}};
  std::string group = "g", type = "consumer";
  std::chrono::milliseconds session{10'000}, rebalance{60'000};
  bool comes_again = false, may_skip = false;
};

class ClassicFixture : public BrokerFixture {
 protected:
  static constexpr BrokerOptions kOptions{.groups = 3, .members_per_group = 5};
  explicit ClassicFixture(const BrokerOptions& options = kOptions) : BrokerFixture(options) {}

  static std::optional<std::string_view> view(const std::optional<std::string>& text) {
    return text ? std::optional<std::string_view>(*text) : std::nullopt;
  }
  // The number of the request.
  std::uint64_t join(const JoinAs& join) {
    const RequestId id = next();
    broker.classic_groups().join(id,
                                 {.group = join.group,
                                  .member = join.member,
                                  .instance = view(join.instance),
                                  .client_id = "client",
                                  .client_host = "/127.0.0.1",
                                  .session_timeout = join.session,
                                  .rebalance_timeout = join.rebalance,
                                  .protocol_type = join.type,
                                  .protocols = join.protocols,
                                  .comes_again = join.comes_again,
                                  .may_skip_assignment = join.may_skip},
                                 now);
    return id.correlation.value;
  }
  using Assignments = std::vector<std::pair<std::string, std::string>>;
  std::uint64_t sync(const std::string& member, std::int32_t generation,
                     const Assignments& assignments = {},
                     const std::optional<std::string>& instance = {},
                     std::optional<std::string_view> type = {},
                     std::optional<std::string_view> protocol = {}) {
    const RequestId id = next();
    ClassicSyncRequest request{{"g", member, view(instance), generation}, type, protocol, {}};
    for (const auto& [who, what] : assignments) request.assignments.emplace_back(who, what);
    broker.classic_groups().sync(id, request, now);
    return id.correlation.value;
  }
  ErrorCode heartbeat(const std::string& member, std::int32_t generation,
                      const std::optional<std::string>& instance = {}) {
    broker.classic_groups().heartbeat(next(), {"g", member, view(instance), generation}, now);
    return last_error();
  }
  std::vector<ErrorCode> leave(const std::vector<ClassicLeaver>& leavers) {
    const RequestId id = next();
    broker.classic_groups().leave(id, "g", leavers, now);
    return got<ClassicLeft>(id.correlation.value)->members;
  }
  // Of a whole commit; else of its only partition.
  ErrorCode commit(const std::string& member, std::int32_t generation, Offset offset = Offset(7),
                   const std::optional<std::string>& instance = {}) {
    const RequestId id = next();
    broker.commits().commit(id,
                            {{"g", member, view(instance), generation},
                             {{{"orders", {}, PartitionIndex(0)}, offset, "note", LeaderEpoch(1)}}},
                            now);
    storage.make_durable(broker);
    if (const auto* error = got<Error>(id.correlation.value)) return error->code;
    return got<PartitionResults>(id.correlation.value)->partitions.at(0);
  }

  // What a request was answered; null: something else, or nothing yet.
  template <class T>
  const T* got(std::uint64_t request) const {
    for (const auto& [number, reply] : sink.replies)
      if (number == request) return std::get_if<T>(&reply);
    return nullptr;
  }
  bool answered(std::uint64_t request) const {
    return std::ranges::any_of(sink.replies,
                               [&](const auto& reply) { return reply.first == request; });
  }
  ErrorCode error_of(std::uint64_t request) const {
    const Error* error = got<Error>(request);
    return error ? error->code : ErrorCode::kOk;
  }
  const ClassicJoined& joined(std::uint64_t request) const {
    const auto* reply = got<ClassicJoined>(request);
    EXPECT_TRUE(reply) << "no answer to " << request;
    static const ClassicJoined kNothing;
    return reply ? *reply : kNothing;
  }
  void pass(Duration time) {
    for (; time > Duration(0); time -= std::chrono::milliseconds(500)) {
      now += std::min<Duration>(time, std::chrono::milliseconds(500));
      broker.on_time(at());
    }
  }
  const ClassicGroup& group(std::string_view name = "g") {
    return *broker.classic_groups().find(name);
  }

  // A stable group of so many, the first of which leads; their ids.
  std::vector<std::string> stable(int count, const JoinAs& like = {}, bool is_static = false) {
    std::vector<std::string> members;
    for (int i = 0; i < count; ++i) {
      JoinAs one = like;
      if (is_static) one.instance = "i" + std::to_string(i);
      const auto request = join(one);
      for (std::size_t k = 0; k < members.size(); ++k) {
        JoinAs again = like;
        again.member = members[k];
        if (is_static) again.instance = "i" + std::to_string(k);
        join(again);
      }
      members.push_back(joined(request).member);
      Assignments assignments;
      for (const std::string& member : members) assignments.emplace_back(member, "for " + member);
      for (const std::string& member : members)
        sync(member, group().generation(),
             member == group().leader() ? assignments : Assignments());
    }
    EXPECT_EQ(group().state(), ClassicState::kStable);
    sink.replies.clear();
    return members;
  }
};

}  // namespace leat::broker
