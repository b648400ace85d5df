#include "client/link.h"

#include <future>

#include <pthread.h>
#include <signal.h>

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

struct Link::Call {
  std::vector<std::byte> frame;  // encoded with `correlation`
  const native::Request* request;
  MonotonicTime deadline;
  std::function<void(const native::Reply&)> take;
  std::promise<Result<>> done;
  Repeat repeat;
  asio::steady_timer timer;
  bool finished = false;

  explicit Call(asio::io_context& io) : timer(io) {}
  void finish(Result<> result) {
    if (std::exchange(finished, true)) return;
    timer.cancel();
    done.set_value(std::move(result));
  }
};

Link::Link(ClientOptions options, std::unique_ptr<Connector> connector)
    : options_(std::move(options)),
      connector_(std::move(connector)),
      broker_(connector_->name()),
      backoff_(options_.min_backoff),
      thread_(quiet_thread(io_)) {}

Link::~Link() {
  asio::post(io_, [this] {
    stopped_ = true;
    ++attempt_;
    if (transport_) transport_->close();
    retry_timer_.cancel();
    deadline_timer_.cancel();
    logic_.disconnected({ErrorCode::kClosed, "the client was destroyed"});
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
  std::promise<void> done;
  post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

Result<> Link::connect() {
  auto done = std::make_shared<std::promise<Result<>>>();
  auto result = done->get_future();
  post([this, done] {
    first_connect_ = [done](Result<> ok) { done->set_value(std::move(ok)); };
    deadline_timer_.expires_after(options_.connect_timeout);
    deadline_timer_.async_wait([this](std::error_code error) {
      if (!error && first_connect_)
        lost({ErrorCode::kUnreachable, broker_ + ": no answer within " +
                                           std::to_string(options_.connect_timeout.count()) +
                                           " ms"});
    });
    start_connecting();
  });
  return result.get();
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
  if (first_connect_) std::exchange(first_connect_, nullptr)(Result<>());
  for (const auto& call : std::exchange(waiting_, {})) attempt(call);
  for (Listener* listener : std::vector(listeners_)) listener->on_up();
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
    return std::exchange(first_connect_, nullptr)(fail(why));
  }
  if (!ended_) retry_later();
  logic_.disconnected({ErrorCode::kDisconnected, why.message()});
  if (was_up)
    for (Listener* listener : std::vector(listeners_)) listener->on_down();
}

void Link::on_ended(const Error& why) {
  ended_ = why;
  lost(why);
  for (const auto& call : std::exchange(waiting_, {})) call->finish(fail(why));
  for (Listener* listener : std::vector(listeners_)) listener->on_ended(why);
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

Result<> Link::call(const native::Request& request, std::chrono::milliseconds timeout,
                    const std::function<void(const native::Reply&)>& take, Repeat repeat) {
  if (auto ok = check_process(); !ok) return ok;
  if (on_own_thread())
    return fail(ErrorCode::kNotAllowed, "a handler cannot wait for what its own thread does");
  auto call = std::make_shared<Call>(io_);
  call->request = &request;
  call->take = take;
  call->repeat = repeat;
  call->deadline = clock_.now() + timeout;
  auto result = call->done.get_future();
  post([this, call] {
    call->timer.expires_at(call->deadline);
    call->timer.async_wait([this, call](std::error_code error) {
      if (error) return;
      std::erase(waiting_, call);
      call->finish(fail(ErrorCode::kTimedOut, "no answer from " + broker_));
    });
    attempt(call);
  });
  return result.get();
}

void Link::attempt(const std::shared_ptr<Call>& call) {
  if (call->finished) return;
  if (ended_) return call->finish(fail(*ended_));
  if (!up_) return waiting_.push_back(call);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(call->deadline - clock_.now());
  request(*call->request, std::max(left, std::chrono::milliseconds(1)),
          [this, call](const Result<const native::Reply*>& reply) {
            if (call->finished) return;  // the caller, and its request, are gone
            const bool lost = !reply && reply.error().code == ErrorCode::kDisconnected;
            if (lost && call->repeat == Repeat::kAgain) return attempt(call);
            if (lost)
              return call->finish(fail(ErrorCode::kDisconnected,
                                       "before the reply came; it may or may not have been done"));
            if (!reply) return call->finish(fail(reply.error()));
            call->take(**reply);
            call->finish({});
          });
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
