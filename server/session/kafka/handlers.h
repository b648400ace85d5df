// How each request of Kafka's protocol is carried out: one function for each, which makes the
// broker's calls it takes and fills in the response. Which file has it, server/README.md says. What
// `request` views is there only during the call. One thread.
#pragma once

#include "protocol/kafka/messages/bootstrap.h"
#include "protocol/kafka/messages/metadata.h"
#include "protocol/kafka/messages/produce.h"
#include "server/session/kafka/exchange.h"

namespace leat::session {

template <class Response>
using ExchangeOf = Exchange<Response>&;

void carry_out(const kafka::ApiVersionsRequest&, ExchangeOf<kafka::ApiVersionsResponse>);
void carry_out(const kafka::MetadataRequest&, ExchangeOf<kafka::MetadataResponse>);
void carry_out(const kafka::ProduceRequest&, ExchangeOf<kafka::ProduceResponse>);
void carry_out(const kafka::InitProducerIdRequest&, ExchangeOf<kafka::InitProducerIdResponse>);

// Whether the broker can take a request now; false: later, and what was sent behind it as well.
template <class Request>
bool takes(broker::Broker&, const Request&, std::int16_t) {
  return true;
}
bool takes(broker::Broker& broker, const kafka::ProduceRequest& request, std::int16_t version);

}  // namespace leat::session
