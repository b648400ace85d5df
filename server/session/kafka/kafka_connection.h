// What the exchanges of one Kafka connection share: the broker, and who waits for which of its
// replies. One thread.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <utility>

#include "protocol/base/clock.h"
#include "server/broker/broker.h"
#include "server/session/kafka/fetch_sessions.h"
#include "server/session/kafka/kafka_facts.h"
#include "server/session/received_bytes.h"

namespace leat::session {

class AnyExchange;

class KafkaConnection {
 public:
  KafkaConnection(ConnectionId connection, broker::Broker& the_broker, ConnectionMemory& memory,
                  const KafkaFacts& the_facts, const Clock& the_clock, std::string host,
                  const ReceivedBytes& what_arrived)
      : id(connection),
        client_host(std::move(host)),
        broker(the_broker),
        facts(the_facts),
        clock(the_clock),
        received(what_arrived),
        fetch_sessions(memory, connection.value) {}

  const ConnectionId id;
  const std::string client_host;  // as Kafka writes it, "/127.0.0.1"; of a Unix socket empty
  broker::Broker& broker;
  const KafkaFacts& facts;
  const Clock& clock;
  const ReceivedBytes& received;  // where a request's bytes may lie
  FetchSessions fetch_sessions;

  broker::RequestId expect(AnyExchange& exchange, std::function<void(broker::Reply&)> then) {
    const CorrelationId call(++last_call_);
    calls_.emplace(call, Call{&exchange, std::move(then)});
    return {id, call};
  }
  // Hands a reply to who expected it.
  void on_reply(CorrelationId call, broker::Reply& reply);

 private:
  struct Call {
    AnyExchange* exchange;
    std::function<void(broker::Reply&)> then;
  };
  std::unordered_map<CorrelationId, Call> calls_;
  std::uint64_t last_call_ = 0;
};

}  // namespace leat::session
