#include "client/call.h"

#include <algorithm>

namespace leat {
namespace {

// Keeps itself alive by its timer until it is finished. The link's thread.
class Call final : public Link::Listener, public std::enable_shared_from_this<Call> {
 public:
  Call(Link& link, MakeRequest make, ReplyHandler done, Repeat repeat)
      : link_(link), make_(std::move(make)), done_(std::move(done)), repeat_(repeat) {}

  void start(MonotonicTime deadline) {
    deadline_ = deadline;
    link_.add(this);
    if (finished_) return;  // the link has ended
    timer_.emplace(link_.executor());
    timer_->expires_at(deadline);
    timer_->async_wait([self = shared_from_this()](std::error_code error) {
      if (!error)
        self->finish(fail(ErrorCode::kTimedOut, "no answer from " + self->link_.broker()));
    });
    attempt();
  }

 private:
  void on_up() override { attempt(); }
  void on_down() override {}
  void on_ended(const Error& why) override { finish(fail(why)); }
  void on_closed() override { finish(fail(ErrorCode::kClosed, "the client was destroyed")); }

  void attempt() {
    if (asked_ || !link_.up() || finished_) return;
    asked_ = true;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - clock_.now());
    link_.request(make_(), std::max(left, std::chrono::milliseconds(1)),
                  [self = shared_from_this()](const auto& reply) { self->answered(reply); });
  }
  void answered(const Result<const native::Reply*>& reply) {
    asked_ = false;
    const bool lost = !reply && reply.error() == ErrorCode::kDisconnected;
    if (lost && repeat_ == Repeat::kAgain) return;  // on_up() goes on
    if (lost)
      return finish(fail(ErrorCode::kDisconnected,
                         "before the reply came; it may or may not have been done"));
    finish(reply);
  }
  void finish(const Result<const native::Reply*>& reply) {
    if (std::exchange(finished_, true)) return;
    const auto self = shared_from_this();
    link_.remove(this);
    timer_.reset();
    done_(reply);
  }

  Link& link_;
  MakeRequest make_;
  ReplyHandler done_;
  Repeat repeat_;
  SystemClock clock_;
  MonotonicTime deadline_;
  std::optional<asio::steady_timer> timer_;
  bool asked_ = false, finished_ = false;
};

}  // namespace

void call(Link& link, MakeRequest make, std::chrono::milliseconds timeout, ReplyHandler done,
          Repeat repeat) {
  if (auto ok = link.check_process(); !ok) return done(fail(ok.error()));
  auto one = std::make_shared<Call>(link, std::move(make), std::move(done), repeat);
  const MonotonicTime deadline = std::chrono::steady_clock::now() + timeout;
  if (link.on_own_thread()) return one->start(deadline);
  link.post([one, deadline] { one->start(deadline); });
}

}  // namespace leat
