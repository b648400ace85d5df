// The life of a member of a classic group.
#include "server/session/kafka/handlers.h"

namespace leat::session {
namespace {

using kafka::KafkaError;

constexpr std::int16_t kComesAgain = 4;   // JoinGroup from here on: KIP-394
constexpr std::int16_t kMaySkip = 9;      // KIP-814
constexpr std::int16_t kMayBeNull = 7;    // the protocol's name
constexpr std::int16_t kManyLeavers = 3;  // LeaveGroup

// The reply, which the response views from now on; null: it was an error, which `code` is now.
template <class T>
const T* kept(broker::Reply& reply, AnyExchange& exchange, KafkaError& code) {
  if (const auto* error = std::get_if<Error>(&reply)) {
    code = kafka::kafka_error(error->code);
    return nullptr;
  }
  auto owner = std::make_shared<const T>(std::get<T>(std::move(reply)));
  const T* view = owner.get();
  exchange.keep(std::move(owner));
  return view;
}

void told(broker::Reply& reply, Exchange<kafka::JoinGroupResponse>& exchange) {
  kafka::JoinGroupResponse& response = exchange.response;
  if (const auto* given = std::get_if<broker::ClassicIdGiven>(&reply)) {
    response.error_code = KafkaError::kMemberIdRequired;
    response.member_id = exchange.keep(given->member);
    return;
  }
  const auto* joined = kept<broker::ClassicJoined>(reply, exchange, response.error_code);
  if (!joined) return;
  response.generation_id = joined->generation;
  response.protocol_type = joined->protocol_type;
  response.protocol_name = joined->protocol;
  response.leader = joined->leader;
  response.member_id = joined->member;
  response.skip_assignment = joined->skip_assignment;
  for (const auto& member : joined->members) {
    auto& row = response.members.emplace_back();
    row.member_id = member.id;
    row.group_instance_id = member.instance;
    row.metadata = as_bytes(member.metadata);
  }
}

}  // namespace

void carry_out(const kafka::JoinGroupRequest& request,
               Exchange<kafka::JoinGroupResponse>& exchange) {
  using std::chrono::milliseconds;
  exchange.response.member_id = exchange.keep(std::string(request.member_id));
  if (exchange.version() < kMayBeNull) exchange.response.protocol_name = "";
  broker::ClassicJoinRequest join{.group = request.group_id,
                                  .member = request.member_id,
                                  .instance = request.group_instance_id,
                                  .client_id = exchange.client_id(),
                                  .client_host = exchange.of_connection().client_host,
                                  .session_timeout = milliseconds(request.session_timeout_ms),
                                  .rebalance_timeout = milliseconds(request.rebalance_timeout_ms),
                                  .protocol_type = request.protocol_type,
                                  .protocols = {},
                                  .comes_again = exchange.version() >= kComesAgain,
                                  .may_skip_assignment = exchange.version() >= kMaySkip};
  // Version 0 has one timeout for both.
  if (request.rebalance_timeout_ms < 0) join.rebalance_timeout = join.session_timeout;
  for (const auto& protocol : request.protocols)
    join.protocols.push_back({std::string(protocol.name), std::string(as_text(protocol.metadata))});
  const auto id = exchange.expect([&exchange](broker::Reply& reply) { told(reply, exchange); });
  exchange.broker().classic_groups().join(id, std::move(join), exchange.now().monotonic);
}

void carry_out(const kafka::SyncGroupRequest& request,
               Exchange<kafka::SyncGroupResponse>& exchange) {
  broker::ClassicSyncRequest sync{
      {request.group_id, request.member_id, request.group_instance_id, request.generation_id},
      request.protocol_type,
      request.protocol_name,
      {}};
  for (const auto& one : request.assignments)
    sync.assignments.emplace_back(one.member_id, as_text(one.assignment));
  const auto id = exchange.expect([&exchange](broker::Reply& reply) {
    auto& response = exchange.response;
    const auto* synced = kept<broker::ClassicSynced>(reply, exchange, response.error_code);
    if (!synced) return;
    response.protocol_type = synced->protocol_type;
    response.protocol_name = synced->protocol;
    response.assignment = as_bytes(synced->assignment);
  });
  exchange.broker().classic_groups().sync(id, sync, exchange.now().monotonic);
}

void carry_out(const kafka::HeartbeatRequest& request,
               Exchange<kafka::HeartbeatResponse>& exchange) {
  const auto id = exchange.expect([&response = exchange.response](broker::Reply& reply) {
    if (const auto* error = std::get_if<Error>(&reply))
      response.error_code = kafka::kafka_error(error->code);
  });
  exchange.broker().classic_groups().heartbeat(
      id, {request.group_id, request.member_id, request.group_instance_id, request.generation_id},
      exchange.now().monotonic);
}

void carry_out(const kafka::LeaveGroupRequest& request,
               Exchange<kafka::LeaveGroupResponse>& exchange) {
  const bool many = exchange.version() >= kManyLeavers;
  std::vector<broker::ClassicLeaver> leavers;
  if (!many) leavers.push_back({request.member_id, std::nullopt});
  for (const auto& member : request.members) {
    leavers.push_back({member.member_id, member.group_instance_id});
    auto& row = exchange.response.members.emplace_back();
    row.member_id = exchange.keep(std::string(member.member_id));
    if (member.group_instance_id)
      row.group_instance_id = exchange.keep(std::string(*member.group_instance_id));
  }
  const auto id = exchange.expect([&response = exchange.response, many](broker::Reply& reply) {
    if (const auto* error = std::get_if<Error>(&reply)) {
      response.error_code = kafka::kafka_error(error->code);
      return;
    }
    const auto& results = std::get<broker::ClassicLeft>(reply).members;
    if (!many) {
      response.error_code = kafka::kafka_error(results.at(0));
      return;
    }
    for (std::size_t i = 0; i < results.size(); ++i)
      response.members[i].error_code = kafka::kafka_error(results[i]);
  });
  exchange.broker().classic_groups().leave(id, request.group_id, leavers, exchange.now().monotonic);
}

}  // namespace leat::session
