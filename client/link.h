// The Asio edge: one connection to one broker, over any transport, kept up by one thread that also
// runs every handler. Reconnects with back-off. Everything but post(), run(), connect() and the
// constructor happens on that thread.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <asio.hpp>

#include "client/config.h"
#include "client/connection_logic.h"
#include "client/tracing/tracer.h"
#include "client/transport.h"
#include "protocol/base/own_process.h"
#include "protocol/base/random.h"

namespace leat {

// Last words to a broker that does not answer take no longer.
inline constexpr std::chrono::milliseconds kPartingTime{5'000};

class Link final : private TransportEvents {
 public:
  // Told when the connection comes up (greeted) and when it is lost.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_up() = 0;
    virtual void on_down() = 0;
    virtual void on_push(const native::Reply&) {}  // Push, Delivery or PushEnd
    virtual void on_closed() {}                    // the link is being destroyed
    // It will never come up again: the broker was in this process and is closed. At once when that
    // happened before add().
    virtual void on_ended(const Error&) {}
  };

  // May be let go of on any thread, its own included. In a forked child it is left alone: taking it
  // apart would reach into the parent's sockets. Without a connector: to `options.broker`, else
  // kInvalidAddress. Errors besides: those of Tracer::open().
  static Result<std::shared_ptr<Link>> open(ClientOptions options,
                                            std::unique_ptr<Connector> connector = nullptr);
  Link(ClientOptions options, std::unique_ptr<Connector> connector,
       std::shared_ptr<Tracer> tracer = nullptr);
  ~Link() override;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  const ClientOptions& options() const { return options_; }
  // Null: nothing is traced.
  const std::shared_ptr<Tracer>& tracer() const { return tracer_; }
  // Any thread. Once: makes the first connection. Errors: kUnreachable, kUnsupportedVersion,
  // kShuttingDown.
  void connect(Completion<> done);
  // Any thread: runs `task` on the link's thread.
  void post(std::function<void()> task) { asio::post(io_, std::move(task)); }
  // Any thread: runs `task` on the link's, and waits until it has run.
  void run(const std::function<void()>& task);
  // What the broker takes for one batch, as it said last.
  std::size_t max_batch_bytes() const { return max_batch_bytes_; }
  // Error: kNotAllowed in a child of the process that connected.
  Result<> check_process() const { return process_.check(); }
  bool on_own_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

  // The link's thread.
  void add(Listener* listener);
  void remove(Listener* listener) { std::erase(listeners_, listener); }
  bool up() const { return up_; }
  const std::string& broker() const { return broker_; }
  // Unique among the subscriptions of the connection.
  std::uint32_t next_subscription() { return ++last_subscription_; }
  asio::any_io_executor executor() { return io_.get_executor(); }
  // kDisconnected at once while the link is down, kShuttingDown when it has ended.
  void request(const native::Request& request, std::chrono::milliseconds timeout,
               ReplyHandler handler);
  // Sends what has no reply, if the link is up.
  void tell(const native::Request& request);
  // Gives up the connection, soon, and makes a new one: the way to try again in order.
  void reset(const Error& why);

 private:
  void start_connecting();
  void on_connected() override;
  void on_received(Bytes bytes) override;
  void on_sent() override;
  void on_closed(const Error& why) override { lost(why); }
  void on_ended(const Error& why) override;
  void came_up(const Result<const native::Reply*>& reply);
  void lost(const Error& why);
  void retry_later();
  template <class Tell>
  void tell_listeners(Tell tell);
  void send(std::vector<std::byte> frame);
  void write();
  void arm_deadline();
  Error down() const;

  OwnProcess process_;
  ClientOptions options_;
  const std::shared_ptr<Tracer> tracer_;
  std::unique_ptr<Connector> connector_;
  std::string broker_;  // for people
  SystemClock clock_;
  Random random_ = Random::from_system();

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  asio::steady_timer retry_timer_{io_}, deadline_timer_{io_};
  std::shared_ptr<Transport> transport_;  // the connection, or the attempt at one
  std::uint64_t attempt_ = 0;             // what was posted for an earlier one is ignored
  std::chrono::milliseconds backoff_;
  bool up_ = false, connecting_ = false, stopped_ = false, writing_ = false;
  bool deadline_armed_ = false;
  std::atomic<std::size_t> max_batch_bytes_{8 << 20};
  std::uint64_t next_correlation_ = 1;
  std::atomic<std::uint32_t> last_subscription_{0};
  ConnectionLogic logic_;
  std::optional<Error> ended_;
  std::vector<std::vector<std::byte>> outgoing_;
  std::vector<Listener*> listeners_;
  Completion<> first_connect_;

  std::thread thread_;
};

}  // namespace leat
