// Records that come in, and ids for producers that send each once.
#include <span>

#include "protocol/record_batch.h"
#include "server/session/kafka/handlers.h"

namespace leat::session {
namespace {

using kafka::KafkaError;
using Answer = kafka::ProduceResponse::Topic::Partition;

// From here on a batch is of the format that is stored; those before are of two older ones.
constexpr std::int16_t kFirstVersion = 3;
constexpr std::int16_t kAllInSync = -1;  // acks

const storage::Topic* find_topic(broker::Broker& broker, const kafka::ProduceRequest::Topic& topic,
                                 std::int16_t version) {
  return version >= 13 ? broker.topic(topic.topic_id) : broker.topic(topic.name);
}

struct Problem {
  KafkaError code;
  std::string what;
};

// Whether the records are what a produce may carry, as far as it can be seen from outside: one
// batch of today's format. The broker looks at everything else.
std::optional<Problem> check_records(const std::optional<Bytes>& records, std::int16_t version) {
  if (version < kFirstVersion)
    return Problem{KafkaError::kUnsupportedForMessageFormat,
                   "Produce before version 3 carries message formats 0 and 1; use a client of "
                   "Kafka 0.11 or later"};
  if (!records || records->size() <= batch_layout::kMagic)
    return Problem{KafkaError::kInvalidRecord, "no record batch"};
  const auto magic = static_cast<std::int8_t>((*records)[batch_layout::kMagic]);
  if (magic != 2)
    return Problem{KafkaError::kInvalidRecord, "message format " + std::to_string(magic) +
                                                   "; this version of Produce carries format 2"};
  const auto batch = RecordBatchView::parse(*records);
  if (!batch) return Problem{kafka::kafka_error(batch.error().code), batch.error().message()};
  if (batch->bytes().size() != records->size())
    return Problem{KafkaError::kInvalidRecord, "more than one record batch for a partition"};
  return std::nullopt;
}

void refuse(Exchange<kafka::ProduceResponse>& exchange, Answer& answer, KafkaError code,
            std::string what) {
  answer.error_code = code;
  answer.base_offset = -1;
  answer.error_message = exchange.keep(std::move(what));
}

// Who does not want to be answered learns of an error by the connection's end, as with Kafka.
void close_on_error(Exchange<kafka::ProduceResponse>& exchange, const Answer& answer) {
  if (exchange.silent() && answer.error_code != KafkaError::kNone)
    exchange.close({ErrorCode::kInvalidRequest,
                    "records sent with acks=0 were refused: Kafka's error " +
                        std::to_string(static_cast<int>(answer.error_code)) + ", " +
                        std::string(answer.error_message.value_or("no detail"))});
}

void produce(const storage::Topic* topic, const kafka::ProduceRequest::Topic::Partition& partition,
             Exchange<kafka::ProduceResponse>& exchange, Answer& answer) {
  if (auto problem = check_records(partition.records, exchange.version()))
    return refuse(exchange, answer, problem->code, std::move(problem->what));
  if (!topic)
    return refuse(exchange, answer,
                  exchange.version() >= 13 ? KafkaError::kUnknownTopicId
                                           : KafkaError::kUnknownTopicOrPartition,
                  "no such topic");
  const auto id = exchange.expect([&exchange, &answer](broker::Reply& reply) {
    if (const auto* error = std::get_if<Error>(&reply)) {
      refuse(exchange, answer, kafka::kafka_error(error->code), error->message());
    } else {
      const auto& produced = std::get<broker::Produced>(reply);
      answer.base_offset = produced.base.value;
      answer.log_append_time_ms = produced.append_time_ms;
    }
    close_on_error(exchange, answer);
  });
  const storage::NewBatch batch = exchange.of_connection().received.batch(*partition.records);
  exchange.broker().produces().produce(id, topic->id, PartitionIndex(partition.index), batch,
                                       exchange.now());
}

}  // namespace

bool takes(broker::Broker& broker, const kafka::ProduceRequest& request, std::int16_t version) {
  for (const auto& topic : request.topic_data) {
    const storage::Topic* found = find_topic(broker, topic, version);
    if (!found) continue;
    for (const auto& partition : topic.partition_data)
      if (partition.records &&
          !broker.produces().takes(found->id, PartitionIndex(partition.index), *partition.records))
        return false;
  }
  return true;
}

void carry_out(const kafka::ProduceRequest& request, Exchange<kafka::ProduceResponse>& exchange) {
  if (request.acks == 0) exchange.no_response();
  const bool known_acks = request.acks >= kAllInSync && request.acks <= 1;
  auto& topics = exchange.response.responses;
  topics.resize(request.topic_data.size());
  for (std::size_t t = 0; t < topics.size(); ++t) {
    const auto& wanted = request.topic_data[t];
    topics[t].name = exchange.keep(std::string(wanted.name));
    topics[t].topic_id = wanted.topic_id;
    topics[t].partition_responses.resize(wanted.partition_data.size());
    const storage::Topic* topic = find_topic(exchange.broker(), wanted, exchange.version());
    for (std::size_t p = 0; p < wanted.partition_data.size(); ++p) {
      Answer& answer = topics[t].partition_responses[p];
      answer.index = wanted.partition_data[p].index;
      if (!known_acks)
        refuse(exchange, answer, KafkaError::kInvalidRequiredAcks, "acks is one of -1, 0, 1");
      else if (request.transactional_id)
        refuse(exchange, answer, KafkaError::kInvalidRequest, "transactions are not supported");
      else
        produce(topic, wanted.partition_data[p], exchange, answer);
      close_on_error(exchange, answer);
    }
  }
}

// ---- InitProducerId ----

// -1 asks for a new id; an id and its epoch for the next epoch (KIP-360). Without transactions
// there is nothing to do about a transactional id; clients take the answer for what it says.
void carry_out(const kafka::InitProducerIdRequest& request,
               Exchange<kafka::InitProducerIdResponse>& exchange) {
  auto& response = exchange.response;
  response.producer_id = -1;
  response.producer_epoch = -1;
  if (request.transactional_id) {
    response.error_code = KafkaError::kUnsupportedVersion;
    return;
  }
  std::optional<std::int64_t> producer;
  if (request.producer_id >= 0) producer = request.producer_id;
  const auto id = exchange.expect([&response](broker::Reply& reply) {
    if (const auto* error = std::get_if<Error>(&reply)) {
      response.error_code = kafka::kafka_error(error->code);
      return;
    }
    const auto& issued = std::get<storage::IssuedProducer>(reply);
    response.producer_id = issued.id;
    response.producer_epoch = issued.epoch;
  });
  exchange.broker().init_producer(id, producer, request.producer_epoch);
}

}  // namespace leat::session
