// What sessions have in common: frames are found in what arrives, held back while the broker or
// the peer's own appetite for replies demands it, and counted. One thread.
#pragma once

#include "server/broker/broker.h"
#include "server/session/connection_memory.h"
#include "server/session/received_bytes.h"
#include "server/session/session.h"
#include "server/session/session_options.h"

namespace leat::session {

class FramedSession : public Session {
 public:
  ~FramedSession() override { memory_.give_back(held_, reserved_); }
  FramedSession(const FramedSession&) = delete;
  FramedSession& operator=(const FramedSession&) = delete;

  void on_receive(Bytes bytes) final;
  Room room() const final;
  void filled(std::size_t bytes) final;
  void proceed() final;
  std::optional<MonotonicTime> deadline() const final { return deadline_; }
  void on_deadline() final;

 protected:
  FramedSession(ConnectionId id, broker::Broker& broker, SessionOutput& output,
                ConnectionMemory& memory, const SessionOptions& options, const Clock& clock)
      : id_(id),
        broker_(broker),
        output_(output),
        memory_(memory),
        options_(options),
        clock_(clock) {}

  // What became of the first frame of what was received; neither: it is not whole yet.
  struct Taken {
    std::size_t bytes = 0;
    bool held_back = false;  // not now
  };
  virtual Taken take_frame(Bytes received) = 0;
  // The size of the frame that `received` holds a part of; 0: none, or not known yet.
  virtual std::size_t begun_frame(Bytes received) const = 0;
  // Whether nothing further is taken for now.
  virtual bool blocked() const = 0;
  // Tells the peer, as its protocol can, logs it and closes.
  virtual void refuse(const Error& error) = 0;
  // What the peer owes before anything else was received; empty: nothing.
  virtual std::string_view owed() const { return {}; }

  // No more is taken from the peer; what was sent leaves.
  void close();
  // While connections together hold much, one gets nothing more before it took what waits for it.
  bool output_waits() const { return memory_.is_full() && output_.queued_bytes(id_) > 0; }
  void update_deadline();
  const ReceivedBytes& received() const { return received_; }

  const ConnectionId id_;
  broker::Broker& broker_;
  SessionOutput& output_;
  ConnectionMemory& memory_;
  const SessionOptions& options_;
  const Clock& clock_;
  bool closing_ = false;

 private:
  std::size_t process(Bytes bytes);
  void keep(Bytes bytes);
  void hold_back();
  void account();

  ReceivedBytes received_;  // what could not be handled yet: part of a frame, or held back
  std::size_t held_ = 0, reserved_ = 0;  // what received_ has of memory_
  bool paused_ = false, held_back_ = false;
  std::optional<MonotonicTime> deadline_;
};

}  // namespace leat::session
