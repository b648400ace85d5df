// Topics grow, and forget records from their beginning.
#include <map>

#include "server/session/kafka/handlers.h"
#include "server/session/kafka/refusals.h"

namespace leat::session {
namespace {

using kafka::KafkaError;

// ---- CreatePartitions ----

using Growing = kafka::CreatePartitionsRequest::Topic;
using Grown = kafka::CreatePartitionsResponse::Topic;

Result<> check_assignments(const Growing& topic, std::int32_t there) {
  if (!topic.assignments) return {};
  if (static_cast<std::int64_t>(topic.assignments->size()) != std::int64_t{topic.count} - there)
    return fail(ErrorCode::kInvalidRequest,
                std::to_string(topic.assignments->size()) + " assignments for " +
                    std::to_string(topic.count - there) + " more partitions");
  for (const auto& assigned : *topic.assignments)
    if (!is_ours(assigned.broker_ids)) return fail(ErrorCode::kInvalidRequest, kOnlyOurs);
  return {};
}

void grow(const Growing& topic, bool validate_only,
          Exchange<kafka::CreatePartitionsResponse>& exchange, Grown& grown) {
  broker::Broker& broker = exchange.broker();
  // As many as there are is an error to Kafka.
  auto ok = broker.check_more_partitions(topic.name, topic.count);
  KafkaError error = KafkaError::kNone;
  if (ok) {
    const auto there = static_cast<std::int32_t>(broker.topic(topic.name)->partitions.size());
    ok = check_assignments(topic, there);
    if (!ok) error = KafkaError::kInvalidReplicaAssignment;
  }
  if (!ok) refuse(grown, exchange, ok.error(), error);
  if (!ok || validate_only) return tell_when_durable(exchange, topic.name);
  const auto id = exchange.expect([&exchange, &grown](broker::Reply& reply) {
    if (const auto* refused = std::get_if<Error>(&reply)) refuse(grown, exchange, *refused);
  });
  broker.add_partitions(id, topic.name, topic.count, exchange.now());
}

}  // namespace

void carry_out(const kafka::CreatePartitionsRequest& request,
               Exchange<kafka::CreatePartitionsResponse>& exchange) {
  std::map<std::string_view, std::size_t> times;
  for (const Growing& topic : request.topics) ++times[topic.name];
  auto& results = exchange.response.results;
  results.reserve(times.size());  // what waits for a reply keeps its place
  for (const Growing& topic : request.topics) {
    std::size_t& count = times[topic.name];
    if (count == 0) continue;  // told already
    results.push_back({.name = exchange.keep(std::string(topic.name))});
    if (count > 1)
      refuse(results.back(), exchange,
             {ErrorCode::kInvalidRequest, "the topic is given more than once"});
    else
      grow(topic, request.validate_only, exchange, results.back());
    count = 0;
  }
}

// ---- DeleteRecords ----

namespace {

using Trimmed = kafka::DeleteRecordsResponse::Topic;
constexpr std::int64_t kAll = -1;  // up to the high watermark

void trim(const storage::Topic& topic, std::int64_t before,
          Exchange<kafka::DeleteRecordsResponse>& exchange, Trimmed::Partition& trimmed) {
  broker::DeleteRecordsRequest request{topic.id, PartitionIndex(trimmed.partition_index), {}};
  if (before != kAll) request.before = Offset(before);
  const auto id = exchange.expect([&trimmed](broker::Reply& reply) {
    if (const auto* refused = std::get_if<Error>(&reply))
      trimmed.error_code = kafka::kafka_error(refused->code);
    else
      trimmed.low_watermark = std::get<broker::RecordsDeleted>(reply).log_start.value;
  });
  exchange.broker().delete_records(id, request);
}

}  // namespace

void carry_out(const kafka::DeleteRecordsRequest& request,
               Exchange<kafka::DeleteRecordsResponse>& exchange) {
  auto& topics = exchange.response.topics;
  topics.resize(request.topics.size());
  for (std::size_t i = 0; i < topics.size(); ++i) {
    const auto& asked = request.topics[i];
    topics[i].name = exchange.keep(std::string(asked.name));
    topics[i].partitions.resize(asked.partitions.size());
    const storage::Topic* topic = exchange.broker().topic(asked.name);
    if (!topic) tell_when_durable(exchange, asked.name);
    for (std::size_t j = 0; j < asked.partitions.size(); ++j) {
      auto& trimmed = topics[i].partitions[j];
      trimmed.partition_index = asked.partitions[j].partition_index;
      trimmed.low_watermark = -1;
      trimmed.error_code = KafkaError::kNone;
      if (topic)
        trim(*topic, asked.partitions[j].offset, exchange, trimmed);
      else
        trimmed.error_code = KafkaError::kUnknownTopicOrPartition;
    }
  }
}

}  // namespace leat::session
