#include "client/link.h"

#include <algorithm>
#include <future>

#include <pthread.h>
#include <signal.h>

#include "client/socket_transport.h"

namespace leat {
namespace {

// A library's threads take no signals: those are the application's (rule 13).
std::thread quiet_thread(asio::io_context& io) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([&io] { io.run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

Link::Link(ClientOptions options, std::unique_ptr<Connector> connector,
           std::shared_ptr<Tracer> tracer)
    : options_(std::move(options)),
      tracer_(std::move(tracer)),
      connector_(std::move(connector)),
      broker_(connector_->name()),
      backoff_(options_.min_backoff),
      thread_(quiet_thread(io_)) {
  post([this] {
    logic_.on_push([this](const native::Reply& push) {
      tell_listeners([&](Listener& listener) { listener.on_push(push); });
    });
  });
}

Result<std::shared_ptr<Link>> Link::open(ClientOptions options,
                                         std::unique_ptr<Connector> connector) {
  if (!connector) {
    auto address = parse_broker_url(options.broker);
    if (!address) return fail(address.error());
    connector = socket_connector(std::move(*address), options.broker);
  }
  auto tracer = Tracer::open(options.trace, options.client_name);
  if (!tracer) return fail(tracer.error());
  auto* made = new Link(std::move(options), std::move(connector), std::move(*tracer));
  return std::shared_ptr<Link>(made, [](Link* link) {
    if (!link->check_process()) return;
    if (!link->on_own_thread()) return delete link;
    // A handler let go of it last; a thread cannot wait for its own end.
    std::thread([link] { delete link; }).detach();
  });
}

Link::~Link() {
  asio::post(io_, [this] {
    stopped_ = true;
    ++attempt_;
    if (transport_) transport_->close();
    retry_timer_.cancel();
    deadline_timer_.cancel();
    logic_.disconnected({ErrorCode::kClosed, "the client was destroyed"});
    tell_listeners([](Listener& listener) { listener.on_closed(); });
    work_.reset();
  });
  thread_.join();
}

void Link::add(Listener* listener) {
  listeners_.push_back(listener);
  if (ended_) listener->on_ended(*ended_);
}

void Link::run(const std::function<void()>& task) {
  if (!process_.here()) return;  // its thread is not here
  if (on_own_thread()) return task();
  std::promise<void> done;
  post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

void Link::connect(Completion<> done) {
  auto held = std::make_shared<Completion<>>(std::move(done));
  post([this, held] {
    first_connect_ = std::move(*held);
    deadline_timer_.expires_after(options_.connect_timeout);
    deadline_timer_.async_wait([this](std::error_code error) {
      if (!error && first_connect_)
        lost({ErrorCode::kUnreachable, broker_ + ": no answer within " +
                                           std::to_string(options_.connect_timeout.count()) +
                                           " ms"});
    });
    start_connecting();
  });
}

// One that hears of it may remove, and destroy, another.
template <class Tell>
void Link::tell_listeners(Tell tell) {
  for (Listener* listener : std::vector(listeners_))
    if (std::find(listeners_.begin(), listeners_.end(), listener) != listeners_.end())
      tell(*listener);
}

// ---- coming up ----

void Link::start_connecting() {
  if (stopped_ || connecting_) return;
  connecting_ = true;
  ++attempt_;
  transport_ = connector_->open(io_, *this);
  transport_->connect();
}

void Link::on_connected() {
  native::Hello hello;
  hello.client_name = options_.client_name;
  const CorrelationId correlation(next_correlation_++);
  std::vector<std::byte> frame;
  native::encode(correlation, hello, frame);
  logic_.sent(
      correlation, [this](const auto& reply) { came_up(reply); },
      clock_.now() + options_.connect_timeout);
  send(std::move(frame));
  if (!first_connect_) arm_deadline();
}

void Link::came_up(const Result<const native::Reply*>& reply) {
  if (!reply) {
    if (reply.error().code != ErrorCode::kDisconnected)
      asio::post(io_, [this, why = reply.error(), attempt = attempt_] {
        if (attempt == attempt_) lost(why);
      });
    return;
  }
  if (const auto* hello = std::get_if<native::HelloReply>(*reply))
    max_batch_bytes_ = hello->max_batch_bytes;
  up_ = true;
  connecting_ = false;
  backoff_ = options_.min_backoff;
  if (first_connect_) std::exchange(first_connect_, {})(Result<>());
  tell_listeners([](Listener& listener) { listener.on_up(); });
  arm_deadline();
}

// ---- going down ----

void Link::reset(const Error& why) {
  // Not at once: the caller may be a handler that the connection's logic is calling.
  asio::post(io_, [this, why, attempt = attempt_] {
    if (attempt == attempt_) lost(why);
  });
}

void Link::lost(const Error& why) {
  if (stopped_) return;
  ++attempt_;
  const bool was_up = std::exchange(up_, false);
  connecting_ = writing_ = false;
  if (transport_) transport_->close();
  outgoing_.clear();
  if (first_connect_) {  // the first attempt is the caller's to repeat
    deadline_timer_.cancel();
    logic_.disconnected({ErrorCode::kDisconnected});
    return std::exchange(first_connect_, {})(fail(why));
  }
  if (!ended_) retry_later();
  logic_.disconnected({ErrorCode::kDisconnected, why.message()});
  if (was_up) tell_listeners([](Listener& listener) { listener.on_down(); });
}

void Link::on_ended(const Error& why) {
  ended_ = why;
  lost(why);
  tell_listeners([&](Listener& listener) { listener.on_ended(why); });
}

Error Link::down() const {
  return ended_.value_or(Error(ErrorCode::kDisconnected, "the broker cannot be reached"));
}

void Link::retry_later() {
  const auto spread = static_cast<std::int64_t>(
      random_.below(static_cast<std::uint64_t>(backoff_.count()) / 2 + 1));
  retry_timer_.expires_after(backoff_ - std::chrono::milliseconds(spread));
  backoff_ = std::min(backoff_ * 2, options_.max_backoff);
  retry_timer_.async_wait([this](std::error_code error) {
    if (!error) start_connecting();
  });
}

// ---- requests ----

void Link::request(const native::Request& request, std::chrono::milliseconds timeout,
                   ReplyHandler handler) {
  if (!up_) return handler(fail(down()));
  const CorrelationId correlation(next_correlation_++);
  std::vector<std::byte> frame;
  native::encode(correlation, request, frame);
  logic_.sent(correlation, std::move(handler), clock_.now() + timeout);
  send(std::move(frame));
  arm_deadline();
}

void Link::tell(const native::Request& request) {
  if (!up_) return;
  std::vector<std::byte> frame;
  native::encode(CorrelationId(next_correlation_++), request, frame);
  send(std::move(frame));
}

// ---- bytes ----

void Link::send(std::vector<std::byte> frame) {
  outgoing_.push_back(std::move(frame));
  if (!writing_) write();
}

void Link::write() {
  writing_ = true;
  transport_->send(std::exchange(outgoing_, {}));
}

void Link::on_sent() {
  writing_ = false;
  if (!outgoing_.empty()) write();
}

void Link::on_received(Bytes bytes) {
  const auto attempt = attempt_;
  auto ok = logic_.received(bytes);
  if (attempt != attempt_) return;  // a handler gave the connection up
  if (!ok) lost(ok.error());
}

// One timer for all requests; it may fire early, never late.
void Link::arm_deadline() {
  const auto next = logic_.next_deadline();
  if (!next || stopped_ || (deadline_armed_ && deadline_timer_.expiry() <= *next)) return;
  deadline_armed_ = true;
  deadline_timer_.expires_at(*next);
  deadline_timer_.async_wait([this](std::error_code error) {
    if (error || stopped_) return;
    deadline_armed_ = false;
    if (logic_.overdue(clock_.now())) lost({ErrorCode::kTimedOut, "no answer from " + broker_});
    arm_deadline();
  });
}

}  // namespace leat
