// From a request's bytes to the function that carries it out: every API of the one table
// (protocol/kafka/api_table.h). One thread.
#pragma once

#include <memory>

#include "protocol/kafka/frame.h"
#include "server/session/kafka/exchange.h"

namespace leat::session {

// What the structs of a request may come to in memory, whatever its counts claim.
inline constexpr std::size_t kRequestMemoryBytes = 16 << 20;

struct ApiHandler {
  kafka::ApiKey api;
  // Reads the request and begins it. Null: not now. Errors: kMalformedFrame, kFrameTooLarge,
  // kUnsupportedVersion.
  Result<std::unique_ptr<AnyExchange>> (*begin)(const kafka::Request& request,
                                                KafkaConnection& connection);
};

const ApiHandler& handler_of(kafka::ApiKey api);

// The answer to an ApiVersions request of a version that is not known here: in version 0, with
// which the client tries again.
std::unique_ptr<AnyExchange> unsupported_api_versions(const kafka::RequestHeader& header,
                                                      KafkaConnection& connection);

}  // namespace leat::session
