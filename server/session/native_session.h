// One connection that speaks the native protocol: bytes in, broker calls; replies, bytes out. Holds
// back what the broker cannot take; bounded by the frame limits. One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/native/codec.h"
#include "server/broker/broker.h"
#include "server/session/connection_memory.h"
#include "server/session/session_options.h"

namespace leat::session {

// Where a session's bytes go.
class SessionOutput {
 public:
  virtual ~SessionOutput() = default;
  virtual void send(ConnectionId connection, std::shared_ptr<const void> owner, Bytes bytes) = 0;
  virtual std::size_t queued_bytes(ConnectionId connection) const = 0;
  virtual void pause(ConnectionId connection) = 0;
  virtual void resume(ConnectionId connection) = 0;
  virtual void close_when_drained(ConnectionId connection) = 0;
  // One line for the log about a peer that misbehaves.
  virtual void complain(ConnectionId connection, const std::string& what) = 0;
};

class NativeSession {
 public:
  NativeSession(ConnectionId id, broker::Broker& broker, SessionOutput& output,
                ConnectionMemory& memory, const SessionOptions& options, const Clock& clock);
  ~NativeSession() { memory_.give_back(held_, reserved_); }
  NativeSession(const NativeSession&) = delete;
  NativeSession& operator=(const NativeSession&) = delete;

  void on_receive(Bytes bytes);
  void on_reply(CorrelationId correlation, broker::Reply reply);
  void on_subscription_ended(std::uint32_t subscription, const Error& why);
  // What held requests back may have gone: output drained, room in storage.
  void proceed();
  // Sends the replies gathered since the last call, then pushes while the output has room: a reply
  // never waits behind more than one push and what was in the output already (rule 10).
  void flush();
  // By when the peer must have completed what it began.
  std::optional<MonotonicTime> deadline() const { return deadline_; }
  void on_deadline();

 private:
  std::size_t process(Bytes bytes);
  bool blocked() const;
  bool handle(const native::FrameView& frame);
  bool must_wait(const native::Request& request) const;
  void hold_back();
  std::size_t begun_frame() const;
  void account();
  bool output_waits() const;
  void hello(CorrelationId correlation, const native::Hello& hello);
  void send_reply(CorrelationId correlation, const native::Reply& reply);
  void send_batches(CorrelationId correlation, const native::Reply& head,
                    std::vector<storage::StoredBatches> batches);
  void flush_replies();
  void push();
  bool deliver();
  void refuse(const Error& error);
  void update_deadline();

  ConnectionId id_;
  broker::Broker& broker_;
  SessionOutput& output_;
  ConnectionMemory& memory_;
  const SessionOptions& options_;
  const Clock& clock_;

  native::AlignedEnvelope aligned_;
  std::vector<std::byte> received_;  // what could not be handled yet: part of a frame, or held back
  std::vector<std::byte> replies_;   // gathered until flush()
  std::size_t held_ = 0, reserved_ = 0;  // what received_ has of memory_
  std::size_t in_flight_ = 0;
  bool greeted_ = false, closing_ = false, paused_ = false, held_back_ = false;
  std::optional<MonotonicTime> deadline_;
};

}  // namespace leat::session
