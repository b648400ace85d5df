// Reading: from many partitions at once, within a session or without one.
#include <algorithm>
#include <chrono>

#include "server/session/kafka/handlers.h"

namespace leat::session {
namespace {

using kafka::KafkaError;
using FetchAnswer = kafka::FetchResponse::Topic::Partition;
using FetchExchange = Exchange<kafka::FetchResponse>;

constexpr std::int16_t kTopicIds = 13;        // from here on topics go by id
constexpr std::int16_t kLeaderIsTold = 16;    // from here on to who asked under another epoch
constexpr std::int16_t kKnowsDiskErrors = 6;  // before, a client must take them for another's
constexpr std::int8_t kReadCommitted = 1;

// A request on its way.
struct Reading {
  std::shared_ptr<FetchSession> session;
  bool only_news = false;
  bool committed = false;
  struct Part {
    FetchSession::Partitions::iterator partition;
    bool found;  // its topic is, so the broker was asked
  };
  std::vector<Part> parts;
};

std::size_t bytes_of(std::int32_t asked) {
  return static_cast<std::size_t>(std::max(asked, 0));
}

KafkaError code_of(ErrorCode error, std::int16_t version) {
  if (error == ErrorCode::kUnknownTopic && version >= kTopicIds) return KafkaError::kUnknownTopicId;
  const KafkaError code = kafka::kafka_error(error);
  if (code == KafkaError::kKafkaStorageError && version < kKnowsDiskErrors)
    return KafkaError::kNotLeaderOrFollower;
  return code;
}

void refuse(FetchAnswer& answer, KafkaError code, FetchExchange& exchange) {
  answer.error_code = code;
  answer.high_watermark = -1;
  if (code != KafkaError::kFencedLeaderEpoch || exchange.version() < kLeaderIsTold) return;
  answer.current_leader = {KafkaFacts::kNodeId, exchange.broker().leader_epoch().value};
  const KafkaFacts& facts = exchange.facts();
  if (exchange.response.node_endpoints.empty())
    exchange.response.node_endpoints.push_back(
        {.node_id = KafkaFacts::kNodeId, .host = facts.host, .port = facts.port, .rack = {}});
}

// The records go out from where they lie.
void tell(broker::FetchedPartition& fetched, FetchAnswer& answer, FetchExchange& exchange) {
  // Where a reader's log parts from this one is no error to those who said what they read last.
  const bool parted = fetched.error && fetched.error->code == ErrorCode::kLogTruncated &&
                      fetched.parted.end.value >= 0;
  if (parted)
    answer.diverging_epoch = {fetched.parted.epoch.value, fetched.parted.end.value};
  else if (fetched.error)
    return refuse(answer, code_of(fetched.error->code, exchange.version()), exchange);
  answer.high_watermark = answer.last_stable_offset = fetched.bounds.high_watermark.value;
  answer.log_start_offset = fetched.bounds.log_start.value;
  for (storage::StoredBatches& batches : fetched.batches) {
    answer.records->all.push_back(batches.bytes);
    exchange.keep(std::move(batches.owner));
  }
}

// Whether a client that knows what it was told last has to hear of it; it is told then.
bool note(FetchSession::Partition& known, const FetchAnswer& answer) {
  const bool failed = answer.error_code != KafkaError::kNone;
  const bool news = failed || answer.records->size() > 0 || answer.diverging_epoch.epoch >= 0 ||
                    answer.high_watermark != known.high_watermark ||
                    answer.log_start_offset != known.log_start;
  known.high_watermark = failed ? -1 : answer.high_watermark;
  known.log_start = failed ? -1 : answer.log_start_offset;
  return news;
}

void add(const FetchSession::Topic& topic, FetchAnswer answer, FetchExchange& exchange) {
  auto& topics = exchange.response.responses;
  const bool same =
      !topics.empty() && topics.back().topic == topic.name && topics.back().topic_id == topic.id;
  if (!same) topics.push_back({.topic = topic.name, .topic_id = topic.id, .partitions = {}});
  topics.back().partitions.push_back(std::move(answer));
}

// `next`: what the broker read, of the parts that were found.
void answer(Reading& reading, broker::FetchedPartition* next, const Error* whole,
            FetchExchange& exchange) {
  for (const auto& [partition, found] : reading.parts) {
    FetchAnswer one{.partition_index = partition->index};
    one.records.emplace();
    if (reading.committed) one.aborted_transactions.emplace();
    if (whole)
      refuse(one, code_of(whole->code, exchange.version()), exchange);
    else if (found)
      tell(*next++, one, exchange);
    else
      refuse(one, code_of(ErrorCode::kUnknownTopic, exchange.version()), exchange);
    const bool has_records = one.records->size() > 0;
    if (note(*partition, one) || !reading.only_news)
      add(*partition->topic, std::move(one), exchange);
    if (has_records) reading.session->move_to_end(partition);
  }
}

broker::PartitionFetch fetch_of(const storage::Topic& topic,
                                const FetchSession::Partition& partition) {
  const auto& asked = partition.asked;
  return {.topic = topic.id,
          .partition = PartitionIndex(asked.partition),
          .offset = Offset(asked.fetch_offset),
          .max_bytes = bytes_of(asked.partition_max_bytes),
          .epoch = LeaderEpoch(asked.last_fetched_epoch),
          .current_epoch = LeaderEpoch(asked.current_leader_epoch)};
}

}  // namespace

void carry_out(const kafka::FetchRequest& request, FetchExchange& exchange) {
  const bool by_id = exchange.version() >= kTopicIds;
  auto opened = exchange.of_connection().fetch_sessions.open(request, by_id);
  exchange.response.error_code = opened.error;
  exchange.response.session_id = opened.id;
  if (!opened.session) return;
  exchange.keep(opened.session);  // its names are in the response
  Reading reading{.session = opened.session,
                  .only_news = opened.only_news,
                  .committed = request.isolation_level == kReadCommitted,
                  .parts = {}};
  std::vector<broker::PartitionFetch> fetches;
  auto& partitions = opened.session->partitions();
  reading.parts.reserve(partitions.size());
  fetches.reserve(partitions.size());
  for (auto it = partitions.begin(); it != partitions.end(); ++it) {
    const storage::Topic* topic =
        by_id ? exchange.broker().topic(it->topic->id) : exchange.broker().topic(it->topic->name);
    reading.parts.push_back({it, topic != nullptr});
    if (topic) fetches.push_back(fetch_of(*topic, *it));
  }
  if (fetches.empty()) return answer(reading, nullptr, nullptr, exchange);
  const auto id =
      exchange.expect([&exchange, reading = std::move(reading)](broker::Reply& reply) mutable {
        auto* fetched = std::get_if<broker::Fetched>(&reply);
        answer(reading, fetched ? fetched->partitions.data() : nullptr, std::get_if<Error>(&reply),
               exchange);
      });
  exchange.broker().fetches().fetch(
      id,
      {.partitions = fetches,
       .min_bytes = bytes_of(request.min_bytes),
       .max_bytes = bytes_of(request.max_bytes),
       .max_wait = std::chrono::milliseconds(std::max(request.max_wait_ms, 0))},
      exchange.now().monotonic);
}

}  // namespace leat::session
