// Where a partition begins and ends, where it was at a time, and where an epoch ended.
#include <optional>
#include <set>
#include <utility>

#include "server/session/kafka/handlers.h"

namespace leat::session {
namespace {

using broker::OffsetOf;
using kafka::KafkaError;

// Times that mean something else, and the first version they do in.
struct SpecialTime {
  std::int64_t timestamp;
  std::int16_t since;
  std::optional<OffsetOf> what;  // nullopt: nothing lies anywhere else
};
constexpr SpecialTime kSpecialTimes[] = {
    {-1, 1, OffsetOf::kEnd},     // of what is committed, too, without transactions
    {-2, 1, OffsetOf::kStart},   //
    {-3, 7, OffsetOf::kNewest},  // KIP-734
    {-4, 8, OffsetOf::kStart},   // on this broker's disk (KIP-405)
    {-5, 9, std::nullopt},       // the end of what was moved to remote storage (KIP-1005)
    {-6, 11, std::nullopt},      // the start of what will be (KIP-1023)
};

using Asked = kafka::ListOffsetsRequest::Topic::Partition;
using OffsetAnswer = kafka::ListOffsetsResponse::Topic::Partition;

void find_offset(const storage::Topic& topic, const Asked& asked,
                 Exchange<kafka::ListOffsetsResponse>& exchange, OffsetAnswer& answer) {
  broker::FindOffsetRequest find{.topic = topic.id,
                                 .partition = PartitionIndex(asked.partition_index),
                                 .timestamp_ms = asked.timestamp,
                                 .current_epoch = LeaderEpoch(asked.current_leader_epoch)};
  if (asked.timestamp < 0) {
    const auto* const special =
        std::ranges::find(kSpecialTimes, asked.timestamp, &SpecialTime::timestamp);
    if (special == std::end(kSpecialTimes) || exchange.version() < special->since) {
      answer.error_code = KafkaError::kUnsupportedVersion;
      return;
    }
    if (!special->what) return;
    find.what = *special->what;
  }
  const bool a_record = find.what == OffsetOf::kTime || find.what == OffsetOf::kNewest;
  const auto id = exchange.expect([&answer, a_record](broker::Reply& reply) {
    if (const auto* error = std::get_if<Error>(&reply)) {
      answer.error_code = kafka::kafka_error(error->code);
      return;
    }
    const auto& found = std::get<broker::OffsetFound>(reply);
    if (a_record && found.timestamp_ms < 0) return;  // there is none
    answer.offset = found.offset.value;
    answer.timestamp = found.timestamp_ms;
    answer.leader_epoch = found.epoch.value;
  });
  exchange.broker().offset_finder().find(id, find);
}

}  // namespace

void carry_out(const kafka::ListOffsetsRequest& request,
               Exchange<kafka::ListOffsetsResponse>& exchange) {
  auto& topics = exchange.response.topics;
  topics.resize(request.topics.size());
  std::set<std::pair<std::string_view, std::int32_t>> seen;
  for (std::size_t t = 0; t < topics.size(); ++t) {
    const auto& asked = request.topics[t];
    const storage::Topic* topic = exchange.broker().topic(asked.name);
    topics[t].name = exchange.keep(std::string(asked.name));
    topics[t].partitions.resize(asked.partitions.size());
    for (std::size_t p = 0; p < asked.partitions.size(); ++p) {
      OffsetAnswer& answer = topics[t].partitions[p];
      answer.partition_index = asked.partitions[p].partition_index;
      if (!seen.emplace(asked.name, answer.partition_index).second)
        answer.error_code = KafkaError::kInvalidRequest;  // asked for twice
      else if (!topic)
        answer.error_code = KafkaError::kUnknownTopicOrPartition;
      else
        find_offset(*topic, asked.partitions[p], exchange, answer);
    }
  }
}

// ---- OffsetForLeaderEpoch ----

namespace {

using EpochAnswer = kafka::OffsetForLeaderEpochResponse::Topic::Partition;

void find_end(const storage::Topic& topic,
              const kafka::OffsetForLeaderEpochRequest::Topic::Partition& asked,
              AnyExchange& exchange, EpochAnswer& answer) {
  const auto id = exchange.expect([&answer](broker::Reply& reply) {
    if (const auto* error = std::get_if<Error>(&reply)) {
      answer.error_code = kafka::kafka_error(error->code);
      return;
    }
    const auto& found = std::get<broker::EpochEnd>(reply);
    answer.leader_epoch = found.epoch.value;
    answer.end_offset = found.end.value;
  });
  exchange.broker().offset_finder().end_of_epoch(
      id, {.topic = topic.id,
           .partition = PartitionIndex(asked.partition),
           .epoch = LeaderEpoch(asked.leader_epoch),
           .current_epoch = LeaderEpoch(asked.current_leader_epoch)});
}

}  // namespace

void carry_out(const kafka::OffsetForLeaderEpochRequest& request,
               Exchange<kafka::OffsetForLeaderEpochResponse>& exchange) {
  auto& topics = exchange.response.topics;
  topics.resize(request.topics.size());
  for (std::size_t t = 0; t < topics.size(); ++t) {
    const auto& asked = request.topics[t];
    const storage::Topic* topic = exchange.broker().topic(asked.topic);
    topics[t].topic = exchange.keep(std::string(asked.topic));
    topics[t].partitions.resize(asked.partitions.size());
    for (std::size_t p = 0; p < asked.partitions.size(); ++p) {
      EpochAnswer& answer = topics[t].partitions[p];
      answer.partition = asked.partitions[p].partition;
      if (!topic)
        answer.error_code = KafkaError::kUnknownTopicOrPartition;
      else
        find_end(*topic, asked.partitions[p], exchange, answer);
    }
  }
}

}  // namespace leat::session
