// What a Link needs of a byte stream to one broker. Behind it stand sockets (socket_transport.h)
// and, for a broker in the same process, queues in memory (server/local_pipe.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <asio/io_context.hpp>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace leat {

// What happens to a stream, told on the link's thread and never from within a call to it.
class TransportEvents {
 public:
  virtual ~TransportEvents() = default;
  virtual void on_connected() = 0;
  // `bytes` are valid during the call; frames may be cut anywhere.
  virtual void on_received(Bytes bytes) = 0;
  // What send() took has left: the next send() may follow.
  virtual void on_sent() = 0;
  // The stream is gone, or never came up; another may be opened. Last call.
  virtual void on_closed(const Error& why) = 0;
  // The same, and there is nothing any more to connect to. Last call.
  virtual void on_ended(const Error& why) = 0;
};

// One stream, from one attempt to connect. The link's thread.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual void connect() = 0;
  // Takes whole frames, to be sent as they stand; one call at a time, until on_sent().
  virtual void send(std::vector<std::vector<std::byte>> frames) = 0;
  // Nothing is told afterwards.
  virtual void close() = 0;
};

// Opens streams to one broker, one for each attempt.
class Connector {
 public:
  virtual ~Connector() = default;
  // The broker, for people.
  virtual std::string name() const = 0;
  // `io` runs the link's thread; `events` live until the transport is closed.
  virtual std::shared_ptr<Transport> open(asio::io_context& io, TransportEvents& events) = 0;
};

}  // namespace leat
