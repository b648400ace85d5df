// What a session sent, for tests without sockets.
#pragma once

#include <vector>

#include "server/session/session.h"

namespace leat::session {

struct ManualClock final : Clock {
  MonotonicTime now() const override { return time; }
  WallTime wall_now() const override { return wall; }
  MonotonicTime time{std::chrono::hours(1)};
  WallTime wall{};
};

struct RecordingOutput final : SessionOutput {
  void send(ConnectionId, std::shared_ptr<const void>, Bytes bytes) override {
    sent.insert(sent.end(), bytes.begin(), bytes.end());
  }
  std::size_t queued_bytes(ConnectionId) const override { return queued; }
  void pause(ConnectionId) override { paused = true; }
  void resume(ConnectionId) override { paused = false; }
  void close_when_drained(ConnectionId) override { closed = true; }
  void complain(ConnectionId, const std::string& what) override {
    ++complaints;
    complaint = what;
  }
  void trace(ConnectionId, const std::string& what) override { traces.push_back(what); }

  std::vector<std::byte> sent;
  std::size_t queued = 0;
  bool paused = false, closed = false;
  int complaints = 0;
  std::string complaint;
  std::vector<std::string> traces;
};

}  // namespace leat::session
