#include "server/session/kafka/api_handlers.h"

#include <algorithm>

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

constexpr ApiHandler kHandlers[] = {
#define LEAT_KAFKA_HANDLER(name, key, lowest, highest, flexible) \
  {kafka::ApiKey::k##name, &begin<kafka::name##Request, kafka::name##Response>},
    LEAT_KAFKA_APIS(LEAT_KAFKA_HANDLER)
#undef LEAT_KAFKA_HANDLER
};

}  // namespace

const ApiHandler& handler_of(kafka::ApiKey api) {
  return *std::ranges::find(kHandlers, api, &ApiHandler::api);
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
