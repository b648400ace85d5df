// The consumer on the link's thread: fetching, and the group's heartbeat.
#include "client/consumer_core.h"

#include <algorithm>

namespace leat {
namespace {

void append(Consumer::Core::Partitions& to, const Consumer::Core::Partitions& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

void Consumer::Core::on_down() {
  const std::lock_guard lock(mutex_);
  if (group_) group_->disconnected();
}

void Consumer::Core::pump() {
  if (!link_.up()) return;
  take_part();
  fetch();
}

void Consumer::Core::fail_with(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
  }
  arrived_.notify_all();
}

// ---- records ----

void Consumer::Core::fetch() {
  std::vector<ConsumerLogic::Fetch> fetches;
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || error_) return;
    fetches = logic_.wanted();
  }
  for (const auto& fetch : fetches)
    link_.request(
        native::Fetch{.topic = topic_.id,
                      .partition = fetch.partition,
                      .offset = fetch.offset,
                      .max_bytes = options_.fetch_bytes,
                      .max_wait_ms = static_cast<std::uint32_t>(options_.fetch_wait.count()),
                      .leader_epoch = fetch.epoch.value},
        options_.fetch_wait + link_.options().request_timeout,
        [self = shared_from_this(), fetch](const auto& reply) { self->on_fetched(fetch, reply); });
}

void Consumer::Core::on_fetched(const ConsumerLogic::Fetch& fetch,
                                const Result<const native::Reply*>& reply) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    const auto* fetched = reply ? std::get_if<native::FetchReply>(*reply) : nullptr;
    if (fetched) {
      if (auto ok = logic_.fetched(fetch, fetched->batches, fetched->high_watermark); !ok)
        error_ = ok.error();
    } else {
      logic_.lost(fetch);
      if (!reply && reply.error().code == ErrorCode::kDisconnected) return;  // on_up() goes on
      const bool reset = !reply && reply.error().code == ErrorCode::kOffsetOutOfRange &&
                         options_.on_out_of_range != OutOfRange::kError;
      if (reset && logic_.assigned(fetch.partition)) {
        logic_.drop(fetch.partition);
        out_of_range_.push_back(fetch.partition);
      } else if (!reset) {
        error_ =
            reply ? Error(ErrorCode::kMalformedFrame, "not a reply to a fetch") : reply.error();
      }
    }
  }
  arrived_.notify_all();
  pump();
}

// ---- the group ----

void Consumer::Core::take_part() {
  std::optional<native::Request> request;
  std::chrono::milliseconds timeout = link_.options().request_timeout;
  {
    const std::lock_guard lock(mutex_);
    if (!group_ || closed_ || error_) return;
    switch (group_->next(clock_.now())) {
      case GroupLogic::Step::kNothing:
        return arm_timer();
      case GroupLogic::Step::kJoin:
        request = group_->join_request();
        break;
      case GroupLogic::Step::kSync:
        request = group_->sync_request();
        timeout += options_.session_timeout / 3;
        break;
    }
  }
  // The request borrows a member id that only this thread changes.
  link_.request(*request, timeout,
                [self = shared_from_this()](const auto& reply) { self->on_group(reply); });
}

void Consumer::Core::on_group(const Result<const native::Reply*>& reply) {
  if (!reply && reply.error().code == ErrorCode::kDisconnected) return;  // on_down() knows
  if (!reply && reply.error().retryable()) return link_.reset(reply.error());
  const auto* assignment = reply ? std::get_if<native::GroupAssignment>(*reply) : nullptr;
  if (!assignment && (reply || reply.error().code != ErrorCode::kUnknownMember))
    return fail_with(reply ? Error(ErrorCode::kMalformedFrame, "not an assignment")
                           : reply.error());
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    const auto change =
        assignment ? group_->answered(*assignment, clock_.now()) : group_->expelled();
    append(change_.revoked, change.revoked);
    append(change_.assigned, change.assigned);
    append(change_.lost, change.lost);
    for (const PartitionIndex partition : change.lost) logic_.drop(partition);
    if (assignment && group_->topic() && *group_->topic() != topic_.id)
      error_ = Error(ErrorCode::kUnknownTopic,
                     "'" + topic_.name + "' was deleted and created again; begin a new consumer");
  }
  arrived_.notify_all();
  pump();
}

// Heartbeats go on while a partition waits to be given back.
void Consumer::Core::arm_timer() {
  const auto next = group_->next_deadline();
  if (!next || !timer_) return;
  timer_->expires_at(std::max(*next, clock_.now() + std::chrono::milliseconds(1)));
  timer_->async_wait([weak = weak_from_this()](std::error_code error) {
    if (error) return;
    if (const auto self = weak.lock()) self->pump();
  });
}

}  // namespace leat
