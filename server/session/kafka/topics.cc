// Topics are made and deleted: each of a request on its own.
#include <map>
#include <set>

#include "server/session/kafka/handlers.h"
#include "server/session/kafka/refusals.h"
#include "server/session/kafka/topic_settings.h"

namespace leat::session {
namespace {

using kafka::KafkaError;

// ---- CreateTopics ----

using NewTopic = kafka::CreateTopicsRequest::Topic;
using MadeTopic = kafka::CreateTopicsResponse::Topic;

// How many partitions are asked for; with the settings all that a topic begins with.
Result<std::int32_t> asked_partitions(const NewTopic& topic, const broker::BrokerOptions& options,
                                      KafkaError& error) {
  if (topic.assignments.empty()) {
    if (topic.replication_factor != -1 && topic.replication_factor != 1) {
      error = KafkaError::kInvalidReplicationFactor;
      return fail(ErrorCode::kInvalidRequest,
                  "replication factor " + std::to_string(topic.replication_factor) +
                      "; this broker has no replicas: use 1, or -1 (its default)");
    }
    return topic.num_partitions == -1 ? options.auto_create_partitions : topic.num_partitions;
  }
  if (topic.num_partitions != -1 || topic.replication_factor != -1)
    return fail(ErrorCode::kInvalidRequest,
                "partitions are assigned by hand and counted, too; use -1 for the number of "
                "partitions and the replication factor");
  std::set<std::int32_t> indices;
  for (const auto& assigned : topic.assignments) {
    indices.insert(assigned.partition_index);
    if (is_ours(assigned.broker_ids)) continue;
    error = KafkaError::kInvalidReplicaAssignment;
    return fail(ErrorCode::kInvalidRequest, kOnlyOurs);
  }
  const auto count = static_cast<std::int32_t>(topic.assignments.size());
  if (static_cast<std::int32_t>(indices.size()) == count && *indices.begin() == 0 &&
      *indices.rbegin() == count - 1)
    return count;
  error = KafkaError::kInvalidReplicaAssignment;
  return fail(ErrorCode::kInvalidRequest,
              "assigned partitions are to be 0 to " + std::to_string(count - 1) + ", each once");
}

Result<TopicConfig> asked_settings(const NewTopic& topic, const broker::BrokerOptions& options) {
  std::vector<GivenSetting> given;
  for (const auto& config : topic.configs) given.push_back({config.name, config.value});
  return with_settings({}, given, options.batch_bytes);
}

void fill(const TopicConfig& config, std::size_t partitions, AnyExchange& exchange,
          MadeTopic& made) {
  made.num_partitions = static_cast<std::int32_t>(partitions);
  made.replication_factor = 1;
  if (exchange.version() < 5) return;
  for (ShownSetting& setting : shown_settings(config, exchange.broker().options().batch_bytes))
    made.configs->push_back({.name = setting.name,
                             .value = exchange.keep(std::move(setting.value)),
                             .read_only = setting.read_only,
                             .config_source = static_cast<std::int8_t>(setting.source)});
}

void create(const NewTopic& topic, bool validate_only,
            Exchange<kafka::CreateTopicsResponse>& exchange, MadeTopic& made) {
  broker::Broker& broker = exchange.broker();
  KafkaError error = KafkaError::kNone;
  const auto partitions = asked_partitions(topic, broker.options(), error);
  if (!partitions) return refuse(made, exchange, partitions.error(), error);
  const auto config = asked_settings(topic, broker.options());
  if (!config) return refuse(made, exchange, config.error());
  const broker::CreateTopicRequest request{topic.name, *partitions, false, *config};
  if (validate_only) {
    tell_when_durable(exchange, topic.name);
    if (auto ok = broker.check_new_topic(request); !ok) return refuse(made, exchange, ok.error());
    return fill(*config, static_cast<std::size_t>(*partitions), exchange, made);
  }
  const auto id = exchange.expect([&exchange, &made](broker::Reply& reply) {
    if (const auto* refused = std::get_if<Error>(&reply)) return refuse(made, exchange, *refused);
    const auto& description = std::get<broker::TopicDescription>(reply);
    made.topic_id = description.id;
    fill(description.config, description.partitions.size(), exchange, made);
  });
  broker.create_topic(id, request, exchange.now());
}

}  // namespace

void carry_out(const kafka::CreateTopicsRequest& request,
               Exchange<kafka::CreateTopicsResponse>& exchange) {
  std::map<std::string_view, std::size_t> times;
  for (const NewTopic& topic : request.topics) ++times[topic.name];
  auto& made = exchange.response.topics;
  made.reserve(times.size());  // what waits for a reply keeps its place
  for (const NewTopic& topic : request.topics) {
    std::size_t& count = times[topic.name];
    if (count == 0) continue;  // told already
    made.push_back({.name = exchange.keep(std::string(topic.name))});
    made.back().configs.emplace();
    if (count > 1)
      refuse(made.back(), exchange,
             {ErrorCode::kInvalidRequest, "the topic is given more than once"});
    else
      create(topic, request.validate_only, exchange, made.back());
    count = 0;
  }
}

// ---- DeleteTopics ----

namespace {

using GoneTopic = kafka::DeleteTopicsResponse::Topic;

struct Doomed {
  std::optional<std::string_view> name;
  TopicId id;
};

std::vector<Doomed> doomed(const kafka::DeleteTopicsRequest& request) {
  std::vector<Doomed> all;
  for (const std::string_view name : request.topic_names) all.push_back({name, {}});
  for (const auto& topic : request.topics) all.push_back({topic.name, topic.topic_id});
  return all;
}

const storage::Topic* find(const Doomed& topic, broker::Broker& broker) {
  return topic.name ? broker.topic(*topic.name) : broker.topic(topic.id);
}

void remove(const Doomed& topic, AnyExchange& exchange, GoneTopic& gone) {
  if (!topic.name && !find(topic, exchange.broker())) {
    tell_when_durable(exchange, "");
    return refuse(gone, exchange, {ErrorCode::kUnknownTopic, "topic id " + topic.id.to_string()},
                  KafkaError::kUnknownTopicId);
  }
  const auto id = exchange.expect([&exchange, &gone](broker::Reply& reply) {
    if (const auto* refused = std::get_if<Error>(&reply)) refuse(gone, exchange, *refused);
  });
  exchange.broker().delete_topic(id, *gone.name, exchange.now());
}

}  // namespace

void carry_out(const kafka::DeleteTopicsRequest& request,
               Exchange<kafka::DeleteTopicsResponse>& exchange) {
  const auto topics = doomed(request);
  auto& gone = exchange.response.responses;
  gone.resize(topics.size());
  std::map<TopicId, std::size_t> times;
  for (std::size_t i = 0; i < topics.size(); ++i) {
    if (topics[i].name) gone[i].name = exchange.keep(std::string(*topics[i].name));
    gone[i].topic_id = topics[i].id;
    const storage::Topic* found = find(topics[i], exchange.broker());
    if (!found) continue;
    ++times[found->id];
    gone[i].topic_id = found->id;
    gone[i].name = exchange.keep(found->name);
  }
  for (std::size_t i = 0; i < topics.size(); ++i) {
    const bool one_name = topics[i].name.has_value() != (topics[i].id != TopicId());
    if (!one_name)
      refuse(gone[i], exchange,
             {ErrorCode::kInvalidRequest, "use either the name or the id of a topic"});
    else if (times[gone[i].topic_id] > 1)
      refuse(gone[i], exchange, {ErrorCode::kInvalidRequest, "the topic is given more than once"});
    else
      remove(topics[i], exchange, gone[i]);
  }
}

}  // namespace leat::session
