// What there is, as admins look at it: the one broker, its directory, topics page by page.
#include <algorithm>
#include <map>
#include <set>

#include "server/session/kafka/handlers.h"

namespace leat::session {
namespace {

using kafka::KafkaError;

constexpr std::int8_t kBrokers = 1, kControllers = 2;  // endpoint types

}  // namespace

void carry_out(const kafka::DescribeClusterRequest& request,
               Exchange<kafka::DescribeClusterResponse>& exchange) {
  auto& response = exchange.response;
  response.endpoint_type = request.endpoint_type;
  if (request.endpoint_type != kBrokers) {
    const bool known = request.endpoint_type == kControllers;
    response.error_code =
        known ? KafkaError::kMismatchedEndpointType : KafkaError::kUnsupportedEndpointType;
    response.error_message =
        known ? "this is a broker, not a controller" : "unknown type of endpoint; use 1 (brokers)";
    return;
  }
  const KafkaFacts& facts = exchange.facts();
  response.cluster_id = facts.cluster_id;
  response.controller_id = KafkaFacts::kNodeId;
  response.brokers.push_back(
      {.broker_id = KafkaFacts::kNodeId, .host = facts.host, .port = facts.port, .rack = {}});
}

// ---- DescribeLogDirs ----

namespace {

using LogDirs = Exchange<kafka::DescribeLogDirsResponse>;

// `partitions`: those that are asked for; none: all.
void measure(const broker::TopicDescription& found,
             const std::optional<std::set<std::int32_t>>& partitions, LogDirs& exchange) {
  kafka::DescribeLogDirsResponse::LogDir::Topic topic{.name = exchange.keep(found.name),
                                                      .partitions = {}};
  for (std::size_t i = 0; i < found.partitions.size(); ++i) {
    const auto index = static_cast<std::int32_t>(i);
    if (!partitions || partitions->contains(index))
      topic.partitions.push_back(
          {.partition_index = index, .partition_size = static_cast<std::int64_t>(found.bytes[i])});
  }
  if (!topic.partitions.empty()) exchange.response.results[0].topics.push_back(std::move(topic));
}

}  // namespace

void carry_out(const kafka::DescribeLogDirsRequest& request, LogDirs& exchange) {
  exchange.response.results.push_back({.log_dir = exchange.facts().data_dir, .topics = {}});
  if (!request.topics) {
    exchange.broker().list_topics(exchange.expect([&exchange](broker::Reply& reply) {
      if (const auto* error = std::get_if<Error>(&reply)) return exchange.close(*error);
      for (const auto& topic : std::get<std::vector<broker::TopicDescription>>(reply))
        measure(topic, {}, exchange);
    }));
    return;
  }
  // What is not there has no place in the directory: it is left out.
  for (const auto& asked : *request.topics) {
    std::set<std::int32_t> partitions(asked.partitions.begin(), asked.partitions.end());
    const auto id = exchange.expect([&exchange, partitions](broker::Reply& reply) {
      if (const auto* topic = std::get_if<broker::TopicDescription>(&reply))
        measure(*topic, partitions, exchange);
    });
    exchange.broker().describe_topic(id, asked.topic, false, exchange.now());
  }
}

// ---- DescribeTopicPartitions ----

namespace {

using Page = Exchange<kafka::DescribeTopicPartitionsResponse>;

constexpr std::int32_t kMostInPage = 2'000;  // partitions, as Kafka has it by default

// What a page is made of; it begins at `from`.
struct PageOf {
  std::set<std::string> names;  // empty: all topics
  std::string from;
  std::size_t from_partition = 0;
  std::size_t limit;
};

// Partitions of `found` from `begin` on, as many as there is room for; the first that is left out.
// The lists of eligible leaders may be null, but the Java client fails on that: they are empty.
std::size_t add(const broker::TopicDescription& found, std::size_t begin, std::size_t room,
                Page& page) {
  auto& topic = page.response.topics.emplace_back();
  topic.name = page.keep(found.name);
  topic.topic_id = found.id;
  const std::size_t end = begin + std::min(room, found.partitions.size() - begin);
  for (std::size_t i = begin; i < end; ++i)
    topic.partitions.push_back({.partition_index = static_cast<std::int32_t>(i),
                                .leader_id = KafkaFacts::kNodeId,
                                .leader_epoch = page.broker().leader_epoch().value,
                                .replica_nodes = {KafkaFacts::kNodeId},
                                .isr_nodes = {KafkaFacts::kNodeId},
                                .eligible_leader_replicas = std::vector<std::int32_t>(),
                                .last_known_elr = std::vector<std::int32_t>(),
                                .offline_replicas = {}});
  return end;
}

void fill(const PageOf& wanted, const std::vector<broker::TopicDescription>& topics, Page& page) {
  std::map<std::string_view, const broker::TopicDescription*> all;  // null: it is not there
  for (const std::string& name : wanted.names) all.emplace(name, nullptr);
  for (const auto& topic : topics)
    if (wanted.names.empty() || wanted.names.contains(topic.name)) all[topic.name] = &topic;
  std::size_t room = wanted.limit;
  for (auto it = all.lower_bound(wanted.from); it != all.end(); ++it) {
    const auto& [name, found] = *it;
    std::size_t next = name == wanted.from ? wanted.from_partition : 0;
    const bool whole = found && next >= found->partitions.size();  // the page before had the rest
    if (whole) continue;
    if (found && room > 0) {
      const std::size_t end = add(*found, next, room, page);
      room -= end - next;
      next = end;
    }
    if (!found) {
      auto& topic = page.response.topics.emplace_back();
      topic.name = page.keep(std::string(name));
      topic.error_code = KafkaError::kUnknownTopicOrPartition;
    } else if (next < found->partitions.size()) {
      page.response.next_cursor.emplace();
      page.response.next_cursor->topic_name = page.keep(std::string(name));
      page.response.next_cursor->partition_index = static_cast<std::int32_t>(next);
      return;
    }
  }
}

}  // namespace

void carry_out(const kafka::DescribeTopicPartitionsRequest& request, Page& exchange) {
  PageOf wanted{.names = {},
                .from = {},
                .limit = static_cast<std::size_t>(
                    std::clamp(request.response_partition_limit, 1, kMostInPage))};
  for (const auto& topic : request.topics) wanted.names.emplace(topic.name);
  if (request.cursor) {
    wanted.from = request.cursor->topic_name;
    wanted.from_partition = static_cast<std::size_t>(std::max(request.cursor->partition_index, 0));
  }
  exchange.broker().list_topics(
      exchange.expect([&exchange, wanted = std::move(wanted)](broker::Reply& reply) {
        if (const auto* error = std::get_if<Error>(&reply)) return exchange.close(*error);
        fill(wanted, std::get<std::vector<broker::TopicDescription>>(reply), exchange);
      }));
}

}  // namespace leat::session
