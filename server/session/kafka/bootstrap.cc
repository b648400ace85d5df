// How clients find their way: what is spoken here, and which topics there are.
#include <algorithm>
#include <iterator>

#include "server/session/kafka/handlers.h"

namespace leat::session {
namespace {

using kafka::KafkaError;

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// KIP-511: letters, digits, dots and dashes, of which the last two only inside.
bool is_software_name(std::string_view name) {
  return !name.empty() && is_letter_or_digit(name.front()) && is_letter_or_digit(name.back()) &&
         std::ranges::all_of(name,
                             [](char c) { return is_letter_or_digit(c) || c == '.' || c == '-'; });
}

}  // namespace

void carry_out(const kafka::ApiVersionsRequest& request,
               Exchange<kafka::ApiVersionsResponse>& exchange) {
  auto& response = exchange.response;
  if (exchange.version() >= 3 && (!is_software_name(request.client_software_name) ||
                                  !is_software_name(request.client_software_version)))
    response.error_code = KafkaError::kInvalidRequest;
  for (const kafka::ApiInfo& api : kafka::kApis)
    response.api_keys.push_back({static_cast<std::int16_t>(api.key), api.lowest, api.highest});
}

// ---- Metadata ----

namespace {

using Topic = kafka::MetadataResponse::Topic;

void fill(const broker::TopicDescription& found, AnyExchange& exchange, Topic& topic) {
  topic.name = exchange.keep(found.name);
  topic.topic_id = found.id;
  topic.partitions.reserve(found.partitions.size());
  for (std::size_t i = 0; i < found.partitions.size(); ++i)
    topic.partitions.push_back({.partition_index = static_cast<std::int32_t>(i),
                                .leader_id = KafkaFacts::kNodeId,
                                .leader_epoch = exchange.broker().leader_epoch().value,
                                .replica_nodes = {KafkaFacts::kNodeId},
                                .isr_nodes = {KafkaFacts::kNodeId},
                                .offline_replicas = {}});
}

void list(Exchange<kafka::MetadataResponse>& exchange) {
  exchange.broker().list_topics(exchange.expect([&exchange](broker::Reply& reply) {
    if (const auto* error = std::get_if<Error>(&reply)) return exchange.close(*error);
    for (const auto& found : std::get<std::vector<broker::TopicDescription>>(reply))
      fill(found, exchange, exchange.response.topics.emplace_back());
  }));
}

void describe(const kafka::MetadataRequest::Topic& wanted, bool auto_create,
              Exchange<kafka::MetadataResponse>& exchange, Topic& topic) {
  std::string_view name = wanted.name.value_or("");
  // The Java client says the id and an empty name, others the id and none.
  if (!wanted.name || wanted.topic_id != TopicId{}) {
    topic.topic_id = wanted.topic_id;
    const storage::Topic* found = exchange.broker().topic(wanted.topic_id);
    if (!found) {
      topic.error_code = KafkaError::kUnknownTopicId;
      return;
    }
    name = found->name;
  }
  topic.name = exchange.keep(std::string(name));
  const auto id = exchange.expect([&exchange, &topic](broker::Reply& reply) {
    if (const auto* error = std::get_if<Error>(&reply))
      topic.error_code = kafka::kafka_error(error->code);
    else
      fill(std::get<broker::TopicDescription>(reply), exchange, topic);
  });
  exchange.broker().describe_topic(id, name, auto_create, exchange.now());
}

}  // namespace

void carry_out(const kafka::MetadataRequest& request, Exchange<kafka::MetadataResponse>& exchange) {
  auto& response = exchange.response;
  const KafkaFacts& facts = exchange.facts();
  response.brokers.push_back(
      {.node_id = KafkaFacts::kNodeId, .host = facts.host, .port = facts.port, .rack = {}});
  response.cluster_id = facts.cluster_id;
  response.controller_id = KafkaFacts::kNodeId;
  if (!request.topics || (exchange.version() == 0 && request.topics->empty()))
    return list(exchange);
  response.topics.resize(request.topics->size());
  for (std::size_t i = 0; i < request.topics->size(); ++i)
    describe((*request.topics)[i], request.allow_auto_topic_creation, exchange, response.topics[i]);
}

}  // namespace leat::session
