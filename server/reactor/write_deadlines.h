// Connections whose output the kernel has not taken, the one longest without progress first. Every
// step costs the same however many wait, and one that waits again allocates nothing.
#pragma once

#include <list>
#include <optional>

#include "server/reactor/reactor.h"

namespace leat::reactor {

class WriteDeadlines {
  struct Waiting {
    MonotonicTime since;
    ConnectionId connection{0};
  };

 public:
  // A connection's place; empty while it does not wait. done() before it goes.
  using Place = std::optional<std::list<Waiting>::iterator>;

  explicit WriteDeadlines(Duration limit) : limit_(limit) {}

  // It waits from `now` on: it begins to, or made progress. Times never go back, so last is right.
  void waits(Place& place, ConnectionId connection, MonotonicTime now) {
    if (!place && spare_.empty()) spare_.emplace_back();
    std::list<Waiting>& from = place ? waiting_ : spare_;
    if (!place) place = spare_.begin();
    **place = {now, connection};
    waiting_.splice(waiting_.end(), from, *place);
  }
  void done(Place& place) {
    if (place) spare_.splice(spare_.begin(), waiting_, *place);
    place.reset();
  }

  std::optional<MonotonicTime> next() const {
    if (waiting_.empty()) return std::nullopt;
    return waiting_.front().since + limit_;
  }
  // The first whose time is up; stays until done().
  std::optional<ConnectionId> expired(MonotonicTime now) const {
    if (waiting_.empty() || waiting_.front().since + limit_ > now) return std::nullopt;
    return waiting_.front().connection;
  }

 private:
  Duration limit_;
  std::list<Waiting> waiting_, spare_;
};

}  // namespace leat::reactor
