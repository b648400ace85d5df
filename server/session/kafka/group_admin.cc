// Looking at groups, and deleting them.
#include <algorithm>

#include "server/session/kafka/handlers.h"

namespace leat::session {
namespace {

using broker::ClassicState;
using kafka::KafkaError;

constexpr std::int16_t kUnknownIsAnError = 6;  // DescribeGroups (KIP-1043)
constexpr std::string_view kNative = "leat", kClassicType = "Classic";
// What a client may do to a group, as bits: read, delete, describe. Nothing is forbidden yet.
constexpr std::int32_t kOperations = 1 << 3 | 1 << 6 | 1 << 8;

std::string_view name_of(ClassicState state) {
  switch (state) {
    case ClassicState::kEmpty:
      return "Empty";
    case ClassicState::kPreparing:
      return "PreparingRebalance";
    case ClassicState::kCompleting:
      return "CompletingRebalance";
    case ClassicState::kStable:
      return "Stable";
  }
  return "Unknown";
}

bool is_native(const broker::GroupSummary& group) {
  return group.kind != GroupKind::kNone && group.kind != GroupKind::kClassic;
}

std::string_view state_name(const broker::GroupSummary& group) {
  return is_native(group) ? "Stable" : name_of(group.state);
}

// Members that speak our own protocol are of a type that no Kafka client takes for its own.
std::string protocol_type_of(const broker::GroupSummary& group) {
  return is_native(group) ? std::string(kNative) : group.protocol_type;
}

using Described = kafka::DescribeGroupsResponse::Group;

void fill(const broker::GroupDescription& description, AnyExchange& exchange, Described& group) {
  group.group_state = state_name(description.group);
  group.protocol_type = exchange.keep(protocol_type_of(description.group));
  if (!description.classic) {
    for (const auto& member : description.members) {
      auto& row = group.members.emplace_back();
      row.member_id = exchange.keep(member.id);
      row.client_id = exchange.keep(member.client_name);
    }
    return;
  }
  auto view = std::make_shared<const broker::ClassicView>(*description.classic);
  exchange.keep(view);
  group.protocol_data = view->protocol;
  for (const auto& member : view->members)
    group.members.push_back({.member_id = member.id,
                             .group_instance_id = member.instance,
                             .client_id = member.client_id,
                             .client_host = member.client_host,
                             .member_metadata = as_bytes(member.metadata),
                             .member_assignment = as_bytes(member.assignment)});
}

void refuse(const Error& error, AnyExchange& exchange, Described& group) {
  group.group_state = "Dead";
  if (error.code == ErrorCode::kUnknownGroup && exchange.version() < kUnknownIsAnError) return;
  group.error_code = kafka::kafka_error(error.code);
  group.error_message = exchange.keep(error.message());
}

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return (x | 0x20) == (y | 0x20); });
}

bool passes(const std::vector<std::string_view>& filter, std::string_view word) {
  return filter.empty() ||
         std::ranges::any_of(filter, [&](std::string_view wanted) { return same(wanted, word); });
}

}  // namespace

void carry_out(const kafka::DescribeGroupsRequest& request,
               Exchange<kafka::DescribeGroupsResponse>& exchange) {
  exchange.response.groups.resize(request.groups.size());
  for (std::size_t i = 0; i < request.groups.size(); ++i) {
    Described& group = exchange.response.groups[i];
    group.group_id = exchange.keep(std::string(request.groups[i]));
    if (request.include_authorized_operations) group.authorized_operations = kOperations;
    const auto id = exchange.expect([&exchange, &group](broker::Reply& reply) {
      if (const auto* error = std::get_if<Error>(&reply))
        refuse(*error, exchange, group);
      else
        fill(std::get<broker::GroupDescription>(reply), exchange, group);
    });
    exchange.broker().groups().describe(id, request.groups[i]);
  }
}

void carry_out(const kafka::ListGroupsRequest& request,
               Exchange<kafka::ListGroupsResponse>& exchange) {
  if (!passes(request.types_filter, kClassicType)) return;
  std::vector<std::string> states(request.states_filter.begin(), request.states_filter.end());
  const auto id = exchange.expect([&exchange, states = std::move(states)](broker::Reply& reply) {
    if (const auto* error = std::get_if<Error>(&reply)) {
      exchange.response.error_code = kafka::kafka_error(error->code);
      return;
    }
    const std::vector<std::string_view> filter(states.begin(), states.end());
    for (auto& group : std::get<broker::GroupList>(reply).groups)
      if (passes(filter, state_name(group)))
        exchange.response.groups.push_back({.group_id = exchange.keep(group.name),
                                            .protocol_type = exchange.keep(protocol_type_of(group)),
                                            .group_state = state_name(group),
                                            .group_type = kClassicType});
  });
  exchange.broker().groups().list(id);
}

void carry_out(const kafka::DeleteGroupsRequest& request,
               Exchange<kafka::DeleteGroupsResponse>& exchange) {
  exchange.response.results.resize(request.group_names.size());
  for (std::size_t i = 0; i < request.group_names.size(); ++i) {
    auto& result = exchange.response.results[i];
    result.group_id = exchange.keep(std::string(request.group_names[i]));
    const auto id = exchange.expect([&result](broker::Reply& reply) {
      if (const auto* error = std::get_if<Error>(&reply))
        result.error_code = kafka::kafka_error(error->code);
    });
    exchange.broker().groups().remove(id, request.group_names[i]);
  }
}

}  // namespace leat::session
