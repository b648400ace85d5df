// Connections beyond the limit: each is told why, then closed. A close while the peer's first words
// lie unread would be a reset, which may overtake what it is told; so the sockets stay for a
// moment, few and without a buffer of ours however many knock. One thread.
#pragma once

#include <deque>
#include <optional>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"

namespace leat::reactor {

class RefusedConnections {
 public:
  static constexpr std::size_t kMost = 32;  // beyond these the oldest goes at once
  static constexpr Duration kStay = std::chrono::seconds(1);

  RefusedConnections() = default;
  ~RefusedConnections();
  RefusedConnections(const RefusedConnections&) = delete;
  RefusedConnections& operator=(const RefusedConnections&) = delete;

  // Takes the descriptor. Sends what of `why` fits into the socket's buffer; never blocks.
  void refuse(int fd, Bytes why, MonotonicTime now);
  std::size_t size() const { return staying_.size(); }
  // When close_due() has something to close.
  std::optional<MonotonicTime> next() const;
  void close_due(MonotonicTime now);

 private:
  void close_oldest();

  struct Staying {
    int fd;
    MonotonicTime until;
  };
  std::deque<Staying> staying_;  // oldest first
};

}  // namespace leat::reactor
