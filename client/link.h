// The Asio edge: one connection to one broker, kept up by one thread that also runs every handler.
// Reconnects with back-off. Everything but post(), call() and the constructor happens on that
// thread.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <asio.hpp>

#include "client/broker_url.h"
#include "client/config.h"
#include "client/connection_logic.h"
#include "protocol/base/random.h"

namespace leat {

class Link {
 public:
  // Told when the connection comes up (greeted) and when it is lost.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_up() = 0;
    virtual void on_down() = 0;
  };

  Link(ClientOptions options, BrokerAddress address);
  ~Link();

  const ClientOptions& options() const { return options_; }
  // Any thread. Waits for the first connection. Errors: kUnreachable, kUnsupportedVersion.
  Result<> connect();
  // Any thread: runs `task` on the link's thread.
  void post(std::function<void()> task) { asio::post(io_, std::move(task)); }
  // Any thread but the link's: posts, and waits until `task` has run.
  void run(const std::function<void()>& task);
  // Sends `request`, waits for its reply and hands it to `take` on the link's thread. After a lost
  // connection kAgain tries again until `timeout`; kOnce, for what must not be carried out twice,
  // fails with kDisconnected. Any thread but the link's, where it fails with kNotAllowed.
  enum class Repeat : std::uint8_t { kAgain, kOnce };
  Result<> call(const native::Request& request, std::chrono::milliseconds timeout,
                const std::function<void(const native::Reply&)>& take,
                Repeat repeat = Repeat::kAgain);
  // What the broker takes for one batch, as it said last.
  std::size_t max_batch_bytes() const { return max_batch_bytes_; }
  bool on_own_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

  // The link's thread.
  void add(Listener* listener) { listeners_.push_back(listener); }
  void remove(Listener* listener) { std::erase(listeners_, listener); }
  bool up() const { return up_; }
  asio::any_io_executor executor() { return io_.get_executor(); }
  // kDisconnected at once while the link is down.
  void request(const native::Request& request, std::chrono::milliseconds timeout,
               ReplyHandler handler);
  // Gives up the connection, soon, and makes a new one: the way to try again in order.
  void reset(const Error& why);

 private:
  using Socket = asio::generic::stream_protocol::socket;
  using Endpoint = asio::generic::stream_protocol::endpoint;

  struct Call;
  void attempt(const std::shared_ptr<Call>& call);
  void start_connecting();
  void connect_to(std::vector<Endpoint> endpoints, std::size_t index);
  void greet();
  void came_up(const Result<const native::Reply*>& reply);
  void lost(const Error& why);
  void retry_later();
  void send(std::vector<std::byte> frame);
  void write();
  void read();
  void arm_deadline();

  ClientOptions options_;
  BrokerAddress address_;
  SystemClock clock_;
  Random random_ = Random::from_system();

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  asio::ip::tcp::resolver resolver_{io_};
  asio::steady_timer retry_timer_{io_}, deadline_timer_{io_};
  Socket socket_{io_};
  std::uint64_t attempt_ = 0;  // handlers of an earlier connection are ignored
  std::chrono::milliseconds backoff_;
  bool up_ = false, connecting_ = false, stopped_ = false, writing_ = false;
  bool deadline_armed_ = false;
  std::atomic<std::size_t> max_batch_bytes_{8 << 20};
  std::uint64_t next_correlation_ = 1;
  ConnectionLogic logic_;
  std::vector<std::byte> read_buffer_;
  std::vector<std::vector<std::byte>> outgoing_, being_written_;
  std::vector<Listener*> listeners_;
  std::vector<std::shared_ptr<Call>> waiting_;  // for the link to come up
  std::function<void(Result<>)> first_connect_;

  std::thread thread_;
};

}  // namespace leat
