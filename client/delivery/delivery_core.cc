#include "client/delivery/delivery_core.h"

#include <algorithm>

#include "client/requests.h"

namespace leat {
namespace {

Result<> settled_one_by_one() {
  return fail(ErrorCode::kInvalidRequest,
              "records of shared and key_shared groups are settled one by one: record.ack()");
}
Result<> any_partition() {
  return fail(ErrorCode::kInvalidRequest,
              "members of shared and key_shared groups have no partitions of their own");
}

std::uint32_t milliseconds(std::chrono::milliseconds time) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(time.count(), 0, 0xffffffff));
}

Error lost() {
  return {ErrorCode::kLeaseLost,
          "the connection it came over was lost; whether it was settled is unknown"};
}

void finish_all(std::vector<Parcel> parcels, const Error& why) {
  for (Parcel& parcel : parcels) parcel.finish(why);
}

}  // namespace

DeliveryCore::DeliveryCore(Link& link, ConsumerOptions options)
    : Reader(link, options.group), options_(std::move(options)), logic_(options_) {
  if (auto ok = check_leasing(options_); !ok) error_ = ok.error();
}

// ---- what callers want ----

void DeliveryCore::settle(Lease& lease, std::uint32_t first, std::uint32_t count,
                          const Settlement& settlement, Completion<> done) {
  std::optional<Result<>> at_once;
  if (auto ok = link_.check_process(); !ok) {
    at_once = fail(ok.error());
  } else {
    const std::lock_guard lock(mutex_);
    if (closed_)
      at_once = fail(ErrorCode::kClosed, "the consumer was closed");
    else
      at_once = logic_.settle(lease, first, count, settlement, done);
    // An answer that is awaited sends what was gathered meanwhile.
    if (!at_once && !logic_.awaits_answer()) post_pump();
  }
  if (at_once && done) done(std::move(*at_once));
}

// Posted: whoever destroys a lease may hold the lock.
void DeliveryCore::dropped(const Lease& lease) {
  if (!link_.check_process()) return;
  link_.post([self = shared(), generation = lease.generation, delivery = lease.delivery,
              records = lease.unsettled, bytes = lease.bytes] {
    {
      const std::lock_guard lock(self->mutex_);
      self->logic_.dropped(generation, delivery, records, bytes);
    }
    self->pump();
  });
}

void DeliveryCore::commit(Completion<> done) {
  done(settled_one_by_one());
}
void DeliveryCore::commit(const std::vector<PartitionOffset>&, Completion<> done) {
  done(settled_one_by_one());
}
Result<> DeliveryCore::seek(const TopicPartition&, Offset) {
  return any_partition();
}
Result<> DeliveryCore::pause(const TopicPartition&, bool) {
  return any_partition();
}

// ---- keeping leases ----

// Called for each record: all but the first of them only move the end.
void DeliveryCore::keep_leases(std::chrono::milliseconds time) {
  if (!link_.check_process()) return;
  const std::lock_guard lock(mutex_);
  keep_until_ = clock_.now() + time;
  if (closed_ || std::exchange(keeping_, true)) return;
  link_.post([self = shared()] { self->keep(); });
}

// On a timer for as long as there are leases, and nobody's handler is in its way.
void DeliveryCore::keep() {
  const auto interval = std::max(options_.ack_timeout / 3, std::chrono::milliseconds(1));
  MonotonicTime next;
  bool extended = false;
  {
    const std::lock_guard lock(mutex_);
    const MonotonicTime now = clock_.now();
    keeping_ = !closed_ && !error_ && logic_.has_leases() && now < keep_until_;
    if (!keeping_) return;
    if (extended = now >= leased_at_ + interval; extended) {
      logic_.extend_all();
      leased_at_ = now;
    }
    next = leased_at_ + interval;
  }
  if (extended) pump();
  if (!keep_timer_) keep_timer_.emplace(link_.executor());
  keep_timer_->expires_at(next);
  keep_timer_->async_wait([weak = std::weak_ptr(shared())](std::error_code aborted) {
    if (const auto self = aborted ? nullptr : weak.lock()) self->keep();
  });
}

// ---- beginning ----

void DeliveryCore::start(Completion<> done) {
  auto held = std::make_shared<Completion<>>(std::move(done));
  link_.post([self = shared(), held] {
    self->started_ = std::move(*held);
    self->begun_ = true;
    {
      const std::lock_guard lock(self->mutex_);
      if (self->closed_ || self->error_) return self->check_started();
    }
    self->link_.add(self.get());
    self->describing_ = self->options_.topics.size();
    for (const std::string& topic : self->options_.topics)
      requests::describe_topic(
          self->link_, topic, true, self->link_.options().request_timeout,
          [self](const Result<TopicDescription>& found) { self->described(found); });
    if (self->options_.topics.empty()) self->end({ErrorCode::kUsage, "no topic to read"});
  });
}

// Asked for so that a broker that creates topics on first use does so; a member may wait for them.
void DeliveryCore::described(const Result<TopicDescription>& topic) {
  --describing_;
  if (!topic && topic.error() != ErrorCode::kUnknownTopic) return end(topic.error());
  pump();
}

void DeliveryCore::check_started() {
  if (!started_) return;
  Result<> result;
  {
    const std::lock_guard lock(mutex_);
    if (!joined_ && !error_ && !closed_) return;
    if (closed_) result = fail(ErrorCode::kClosed);
    if (error_) result = fail(*error_);
  }
  std::exchange(started_, {})(std::move(result));
}

// ---- asking ----

void DeliveryCore::pump() {
  std::optional<DeliveryLogic::Grants> attaching, grants;
  std::optional<Parcel> parcel;
  {
    const std::lock_guard lock(mutex_);
    pump_posted_ = false;
    if (closed_ || error_ || !begun_ || describing_ > 0 || !link_.up()) return;
    if (subscription_ == 0) {
      attaching = logic_.attach();
    } else {
      parcel = logic_.wanted_settlements();
      grants = logic_.wanted_grants();
    }
  }
  if (attaching) return attach(*attaching);
  // The grant first: a member that has settled all it had, and may have no more, looks as if it had
  // stopped.
  if (grants) link_.tell(native::Grant{subscription_, grants->records, grants->bytes});
  if (parcel) send(std::move(*parcel));
}

void DeliveryCore::attach(DeliveryLogic::Grants grants) {
  subscription_ = link_.next_subscription();
  link_.request(native::Attach{.subscription = subscription_,
                               .group = options_.group->name,
                               .kind = options_.kind,
                               .topics = {options_.topics.begin(), options_.topics.end()},
                               .client_name = link_.options().client_name,
                               .records = grants.records,
                               .bytes = grants.bytes,
                               .max_bytes = options_.fetch_bytes,
                               .latest = options_.start.kind == StartFrom::Kind::kLatest,
                               .ack_timeout_ms = milliseconds(options_.ack_timeout),
                               .max_deliveries = options_.max_deliveries,
                               .dead_letter = options_.dead_letter,
                               .min_backoff_ms = milliseconds(options_.min_backoff),
                               .max_backoff_ms = milliseconds(options_.max_backoff),
                               .dead_letter_expired = options_.dead_letter_expired},
                link_.options().request_timeout,
                [self = shared(), number = subscription_](
                    const Result<const native::Reply*>& reply) { self->attached(number, reply); });
}

void DeliveryCore::attached(std::uint32_t subscription, const Result<const native::Reply*>& reply) {
  if (subscription != subscription_ || (!reply && reply.error() == ErrorCode::kDisconnected))
    return;  // on_up() tries again
  if (!reply && reply.error().retryable()) return link_.reset(reply.error());
  if (!reply) return end(reply.error());
  if (!std::holds_alternative<native::AttachReply>(**reply))
    return end({ErrorCode::kMalformedFrame, "the reply does not belong to the request"});
  joined_ = true;
  check_started();
  pump();
}

void DeliveryCore::send(Parcel parcel) {
  ++under_way_;
  const std::string reason(parcel.reason());  // the parcel moves before it is sent
  const native::Settle settle{subscription_, parcel.ranges(), reason};
  link_.request(
      settle, link_.options().request_timeout,
      [self = shared(), parcel = std::move(parcel)](
          const Result<const native::Reply*>& reply) mutable { self->settled(parcel, reply); });
}

void DeliveryCore::settled(Parcel& parcel, const Result<const native::Reply*>& reply) {
  // Before anybody is told: who then comes for more must not get what was leased before.
  if (!reply && reply.error() == ErrorCode::kDisconnected) on_down();
  {
    const std::lock_guard lock(mutex_);
    logic_.answered();
  }
  pump();  // what was gathered meanwhile goes out before anybody is told
  const auto* answer = reply ? std::get_if<native::SettleReply>(*reply) : nullptr;
  if (answer)
    parcel.finish(answer->refused);
  else if (reply)
    parcel.finish({ErrorCode::kMalformedFrame, "the reply does not belong to the request"});
  else
    parcel.finish(reply.error() == ErrorCode::kDisconnected ? lost() : reply.error());
  answered_one();
}

// ---- what comes ----

void DeliveryCore::on_push(const native::Reply& reply) {
  if (const auto* ended = std::get_if<native::PushEnd>(&reply);
      ended && ended->subscription == subscription_)
    return end({ended->code, std::string(ended->detail)});
  const auto* delivery = std::get_if<native::Delivery>(&reply);
  if (!delivery || delivery->subscription != subscription_) return;
  Result<> ok;
  {
    const std::lock_guard lock(mutex_);
    if (error_) return;
    if (!logic_.has_leases()) leased_at_ = clock_.now();
    ok = logic_.delivered(*delivery);
  }
  if (!ok) {
    link_.request(native::Unsubscribe{subscription_}, link_.options().request_timeout,
                  [](const auto&) {});
    return end(ok.error());
  }
  arrived_.notify_all();
  serve();
}

void DeliveryCore::on_down() {
  subscription_ = 0;
  std::vector<Parcel> unsent;
  {
    const std::lock_guard lock(mutex_);
    unsent = logic_.detach();
  }
  finish_all(std::move(unsent), lost());
}

// ---- the end ----

// For good. The membership is over, or is not to be.
void DeliveryCore::end(const Error& why) {
  std::vector<Parcel> unsent;
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || error_) return;
    error_ = why;
    unsent = logic_.detach();
  }
  subscription_ = 0;
  finish_all(std::move(unsent), lost());
  arrived_.notify_all();
  serve();
  check_started();
}

void DeliveryCore::on_ended(const Error& why) {
  end(why);
}

void DeliveryCore::on_closed() {
  std::vector<Parcel> unsent;
  std::optional<std::pair<WaitId, Wait>> wait;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    keep_timer_.reset();
    unsent = logic_.detach();
    wait = std::exchange(wait_, std::nullopt);
  }
  arrived_.notify_all();
  finish_all(std::move(unsent), ErrorCode::kClosed);
  if (wait) fail_wait(wait->second, ErrorCode::kClosed);
  check_started();
}

void DeliveryCore::answered_one() {
  if (--under_way_ == 0 && parted_) std::exchange(parted_, {})(Result<>());
}

void DeliveryCore::close(Completion<> done) {
  if (auto ok = link_.check_process(); !ok) {
    leave_to_parent(shared_from_this());
    return done(fail(ok.error()));
  }
  auto held = std::make_shared<Completion<>>(std::move(done));
  link_.run([self = shared(), held] {
    std::unique_lock lock(self->mutex_);
    if (std::exchange(self->closed_, true)) {
      lock.unlock();
      return (*held)(Result<>());
    }
    auto parcels = self->logic_.detach();
    auto wait = std::exchange(self->wait_, std::nullopt);
    lock.unlock();
    self->link_.remove(self.get());
    self->keep_timer_.reset();
    self->arrived_.notify_all();
    const Error why(ErrorCode::kClosed, "the consumer was closed");
    if (wait) fail_wait(wait->second, why);
    if (self->started_) self->started_(fail(why));
    self->part(std::move(parcels), std::move(*held));
  });
}

// Last words to the broker, as long as it listens.
void DeliveryCore::part(std::vector<Parcel> parcels, Completion<> done) {
  if (!link_.up() || subscription_ == 0) {
    finish_all(std::move(parcels), lost());
    return done(Result<>());
  }
  parted_ = std::move(done);
  ++under_way_;
  for (Parcel& parcel : parcels) send(std::move(parcel));
  link_.request(native::Unsubscribe{subscription_},
                std::min(link_.options().request_timeout, kPartingTime),
                [self = shared()](const auto&) { self->answered_one(); });
}

}  // namespace leat
