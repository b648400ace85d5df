#include "server/session/kafka/api_handlers.h"

#include "server/session/kafka/handlers.h"

namespace leat::session {
namespace {

template <class Request, class Response>
Result<std::unique_ptr<AnyExchange>> begin(const kafka::Request& received,
                                           KafkaConnection& connection) {
  auto request =
      kafka::decode<Request>(received.body, received.header.version, kRequestMemoryBytes);
  if (!request) return fail(request.error());
  if (!takes(connection.broker, *request, received.header.version)) return nullptr;
  auto exchange = std::make_unique<Exchange<Response>>(connection, received.header);
  exchange->begun();
  carry_out(*request, *exchange);
  exchange->carried_out();
  return exchange;
}

#define LEAT_KAFKA_HANDLER(name) \
  { kafka::ApiKey::k##name, &begin<kafka::name##Request, kafka::name##Response> }

constexpr ApiHandler kHandlers[] = {
    LEAT_KAFKA_HANDLER(Produce),
    LEAT_KAFKA_HANDLER(Fetch),
    LEAT_KAFKA_HANDLER(ListOffsets),
    LEAT_KAFKA_HANDLER(Metadata),
    LEAT_KAFKA_HANDLER(ApiVersions),
    LEAT_KAFKA_HANDLER(InitProducerId),
    LEAT_KAFKA_HANDLER(CreateTopics),
    LEAT_KAFKA_HANDLER(DeleteTopics),
    LEAT_KAFKA_HANDLER(CreatePartitions),
    LEAT_KAFKA_HANDLER(DeleteRecords),
    LEAT_KAFKA_HANDLER(DescribeConfigs),
    LEAT_KAFKA_HANDLER(AlterConfigs),
    LEAT_KAFKA_HANDLER(IncrementalAlterConfigs),
    LEAT_KAFKA_HANDLER(DescribeCluster),
    LEAT_KAFKA_HANDLER(DescribeLogDirs),
    LEAT_KAFKA_HANDLER(DescribeTopicPartitions),
    LEAT_KAFKA_HANDLER(OffsetForLeaderEpoch),
};

}  // namespace

const ApiHandler* find_handler(kafka::ApiKey api) {
  for (const ApiHandler& handler : kHandlers)
    if (handler.api == api) return &handler;
  return nullptr;
}

std::unique_ptr<AnyExchange> unsupported_api_versions(const kafka::RequestHeader& header,
                                                      KafkaConnection& connection) {
  kafka::RequestHeader oldest = header;
  oldest.version = 0;
  auto exchange = std::make_unique<Exchange<kafka::ApiVersionsResponse>>(connection, oldest);
  carry_out(kafka::ApiVersionsRequest{}, *exchange);
  exchange->response.error_code = kafka::KafkaError::kUnsupportedVersion;
  return exchange;
}

}  // namespace leat::session
