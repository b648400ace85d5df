// A connection as the shard sees it, whatever it speaks; and where its bytes go. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "server/broker/replies.h"

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
  // What is of interest only to who looks for it.
  virtual void trace(ConnectionId, const std::string&) {}
};

class Session {
 public:
  virtual ~Session() = default;
  virtual void on_receive(Bytes bytes) = 0;
  // Where the rest of a large frame is wanted, so that it need not be copied there; filled() tells
  // how much came. Nothing else is received meanwhile.
  struct Room {
    std::shared_ptr<void> owner;  // while somebody may write there
    MutableBytes place;
  };
  virtual Room room() const { return {}; }
  virtual void filled(std::size_t /*bytes*/) {}
  virtual void on_reply(CorrelationId correlation, broker::Reply reply) = 0;
  virtual void on_subscription_ended(std::uint32_t, const Error&) {}
  // What held requests back may have gone: output drained, room in storage.
  virtual void proceed() = 0;
  // Sends what was gathered since the last call.
  virtual void flush() = 0;
  // By when the peer must have completed what it began.
  virtual std::optional<MonotonicTime> deadline() const = 0;
  virtual void on_deadline() = 0;
};

}  // namespace leat::session
