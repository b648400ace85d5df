// One connection that speaks the native protocol: bytes in, broker calls; replies, bytes out. Holds
// back what the broker cannot take; bounded by the frame limits. One thread.
#pragma once

#include <vector>

#include "protocol/native/codec.h"
#include "server/session/framed_session.h"

namespace leat::session {

class NativeSession final : public FramedSession {
 public:
  NativeSession(ConnectionId id, broker::Broker& broker, SessionOutput& output,
                ConnectionMemory& memory, const SessionOptions& options, const Clock& clock);

  void on_reply(CorrelationId correlation, broker::Reply reply) override;
  void on_subscription_ended(std::uint32_t subscription, const Error& why) override;
  // Sends the replies gathered since the last call, then pushes while the output has room: a reply
  // never waits behind more than one push and what was in the output already (rule 10).
  void flush() override;

 private:
  Taken take_frame(Bytes received) override;
  std::size_t begun_frame(Bytes received) const override;
  bool blocked() const override;
  void refuse(const Error& error) override;
  std::string_view owed() const override { return greeted_ ? "" : "Hello"; }

  const native::FrameLimits& limits() const;
  bool handle(const native::FrameView& frame);
  bool must_wait(const native::Request& request) const;
  void hello(CorrelationId correlation, const native::Hello& hello);
  void send_reply(CorrelationId correlation, const native::Reply& reply);
  void send_batches(CorrelationId correlation, const native::Reply& head,
                    std::vector<storage::StoredBatches> batches);
  void flush_replies();
  void push();
  bool deliver();

  native::AlignedEnvelope aligned_;
  std::vector<std::byte> replies_;  // gathered until flush()
  std::size_t in_flight_ = 0;
  bool greeted_ = false;
};

}  // namespace leat::session
