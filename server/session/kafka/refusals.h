// What answers to admins have in common: how a part of a request is refused, and what it is to have
// one broker.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/kafka/error_code.h"
#include "server/session/kafka/exchange.h"

namespace leat::session {

// Says in a part of the response what is wrong with it: by Kafka's number for the error and its
// message, unless the protocol has a number for this very case, of which the detail tells enough.
template <class Part>
void refuse(Part& part, AnyExchange& exchange, const Error& error,
            kafka::KafkaError instead = kafka::KafkaError::kNone) {
  const bool special = instead != kafka::KafkaError::kNone;
  part.error_code = special ? instead : kafka::kafka_error(error.code);
  if constexpr (requires { part.error_message; })
    part.error_message = exchange.keep(special && !error.detail.empty() ? std::string(error.detail)
                                                                        : error.message());
}

// Rule 2: what the response says was read from state that may not be durable yet. It waits until a
// topic's description may be told, which is then no matter.
inline void tell_when_durable(AnyExchange& exchange, std::string_view topic) {
  const auto id = exchange.expect([](broker::Reply&) {});
  exchange.broker().describe_topic(id, topic, false, exchange.now());
}

inline constexpr const char* kOnlyOurs =
    "replicas that are assigned by hand are to be [1] for each partition: there is one broker";
inline bool is_ours(const std::vector<std::int32_t>& brokers) {
  return brokers == std::vector<std::int32_t>{KafkaFacts::kNodeId};
}

}  // namespace leat::session
