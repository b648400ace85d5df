// One connection of a Kafka client: frames in, exchanges begun in their order; responses, in that
// order, out. A request is begun while earlier ones still wait, so that several groups of records
// are on their way to the disk at once. One thread.
#pragma once

#include <array>
#include <deque>
#include <memory>

#include "server/session/framed_session.h"
#include "server/session/kafka/api_handlers.h"

namespace leat::session {

class KafkaSession final : public FramedSession {
 public:
  // `facts` outlives the session. `client_host`: as KafkaConnection has it.
  KafkaSession(ConnectionId id, broker::Broker& broker, SessionOutput& output,
               ConnectionMemory& memory, const SessionOptions& options, const KafkaFacts& facts,
               const Clock& clock, std::string client_host = {})
      : FramedSession(id, broker, output, memory, options, clock),
        connection_(id, broker, memory, facts, clock, std::move(client_host), received()) {}

  void on_reply(CorrelationId call, broker::Reply reply) override;
  void flush() override;

 private:
  Taken take_frame(Bytes received) override;
  std::size_t begun_frame(Bytes received) const override;
  bool blocked() const override;
  void refuse(const Error& error) override;

  bool must_wait(kafka::ApiKey api) const;
  Result<std::unique_ptr<AnyExchange>> begin(const kafka::Request& request);
  void note(const kafka::RequestHeader& header);
  bool send(AnyExchange& exchange);

  KafkaConnection connection_;
  std::deque<std::unique_ptr<AnyExchange>> exchanges_;         // begun, not answered; oldest first
  std::size_t fetching_ = 0;                                   // of them, that read records
  std::array<std::uint32_t, std::size(kafka::kApis)> seen_{};  // versions, as bits
};

}  // namespace leat::session
