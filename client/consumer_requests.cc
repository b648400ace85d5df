// What ConsumerCore asks the broker, and what becomes of the answers. The link's thread.
#include <algorithm>

#include "client/call.h"
#include "client/consumer_core.h"
#include "client/requests.h"

namespace leat {
namespace {

constexpr std::uint64_t kAllRecords = std::uint64_t{1} << 62;  // bytes bound deliveries
constexpr std::chrono::milliseconds kFetchWait{5'000};

}  // namespace

// ---- beginning ----

void ConsumerCore::start(Completion<> done) {
  auto held = std::make_shared<Completion<>>(std::move(done));
  link_.post([self = shared(), held] {
    self->started_ = std::move(*held);
    {
      const std::lock_guard lock(self->mutex_);
      if (self->closed_) return self->check_started();
    }
    self->timer_.emplace(self->link_.executor());
    self->next_commit_ = self->clock_.now() + self->options_.auto_commit;
    self->link_.add(self.get());
    self->describing_ = self->options_.topics.size();
    for (const std::string& topic : self->options_.topics)
      requests::describe_topic(
          self->link_, topic, true, self->link_.options().request_timeout,
          [self](const Result<TopicDescription>& found) { self->described(found); });
    if (self->options_.topics.empty()) self->described(fail(ErrorCode::kUsage, "no topic to read"));
  });
}

// A member may wait for topics to be created; and what it reads it is told by the group.
void ConsumerCore::described(const Result<TopicDescription>& topic) {
  {
    const std::lock_guard lock(mutex_);
    if (describing_ > 0) --describing_;
    if (closed_) return;
    if (!topic && !(group_ && topic.error() == ErrorCode::kUnknownTopic)) {
      if (!error_) error_ = topic.error();
    } else if (topic && !group_) {
      if (auto ok = assign_all(*topic); !ok && !error_) error_ = ok.error();
    }
  }
  arrived_.notify_all();
  serve();
  pump();
}

Result<> ConsumerCore::assign_all(const TopicDescription& topic) {
  const auto count = static_cast<std::int32_t>(topic.partitions.size());
  const auto name = std::make_shared<const std::string>(topic.name);
  for (const PartitionIndex partition : options_.partitions)
    if (partition.value < 0 || partition.value >= count)
      return fail(ErrorCode::kUnknownPartition, std::to_string(partition.value) + "; topic '" +
                                                    topic.name + "' has partitions 0 to " +
                                                    std::to_string(count - 1));
  for (const PartitionIndex partition : options_.partitions)
    logic_.assign({topic.id, partition}, name);
  if (options_.partitions.empty())
    for (std::int32_t i = 0; i < count; ++i) logic_.assign({topic.id, PartitionIndex(i)}, name);
  return {};
}

void ConsumerCore::check_started() {
  if (!started_ || describing_ > 0) return;
  Result<> result;
  {
    const std::lock_guard lock(mutex_);
    const bool ready = group_ ? group_->joined() : logic_.resolved();
    if (!error_ && !closed_ && !ready) return;
    if (closed_) result = fail(ErrorCode::kClosed);
    if (error_) result = fail(*error_);
    if (!group_ && result)
      if (auto error = logic_.take_error()) result = fail(std::move(*error));
  }
  std::exchange(started_, {})(std::move(result));
}

// ---- asking ----

void ConsumerCore::pump() {
  const auto self = shared_from_this();  // a handler may let go of it
  ConsumerLogic::Wanted wanted;
  std::optional<GroupLogic::Request> membership;
  {
    const std::lock_guard lock(mutex_);
    pump_posted_ = false;
    if (closed_ || !timer_) return;
    if (link_.up() && describing_ == 0 && !error_) {
      wanted = logic_.wanted();
      if (group_) membership = group_->wanted(clock_.now());
    }
  }
  ask(wanted);
  if (membership) ask_group(*membership);
  check_started();
  arm_timer();
}

void ConsumerCore::ask(const ConsumerLogic::Wanted& wanted) {
  const auto patience = link_.options().request_timeout;
  for (const std::uint32_t subscription : wanted.unsubscribe)
    link_.request(native::Unsubscribe{subscription}, patience, [](const auto&) {});
  if (!wanted.committed.empty()) ask_committed(wanted.committed);
  for (const auto& [id, topic] : wanted.bounds) ask_bounds(id, topic);
  for (const auto& time : wanted.times) ask_time(time);
  for (const auto& one : wanted.subscribe) subscribe(one);
  for (const auto& one : wanted.fetch) fetch(one);
  for (const auto& grant : wanted.grants)
    link_.tell(native::Grant{grant.subscription, kAllRecords, grant.bytes});
}

// `take` sees what came, under the lock; not a lost connection, after which all is asked again.
template <class Take>
void ConsumerCore::answered(const Result<const native::Reply*>& reply, Take take) {
  if (!reply && reply.error() == ErrorCode::kDisconnected) return;
  if (!reply && reply.error().retryable()) return link_.reset(reply.error());
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    take();
  }
  arrived_.notify_all();
  serve();
  pump();
}

namespace {
Error why(const Result<const native::Reply*>& reply) {
  return reply ? Error(ErrorCode::kMalformedFrame, "the reply does not belong to the request")
               : reply.error();
}
template <class Expected>
const Expected* as(const Result<const native::Reply*>& reply) {
  return reply ? std::get_if<Expected>(*reply) : nullptr;
}
}  // namespace

void ConsumerCore::ask_committed(const std::vector<PartitionKey>& keys) {
  native::FetchOffsets request{options_.group->name, {}};
  for (const PartitionKey& key : keys) request.partitions.push_back({key.topic, key.partition});
  link_.request(request, link_.options().request_timeout,
                [self = shared(), keys](const Result<const native::Reply*>& reply) {
                  self->answered(reply, [&] {
                    const auto* found = as<native::FetchOffsetsReply>(reply);
                    if (!found) {
                      for (const PartitionKey& key : keys) self->logic_.refused(key, why(reply));
                      return;
                    }
                    std::vector<std::pair<PartitionKey, ConsumerLogic::Position>> offsets;
                    for (const auto& at : found->offsets)
                      offsets.push_back({{at.topic, at.partition}, {at.offset, at.leader_epoch}});
                    self->logic_.committed(keys, offsets);
                  });
                });
}

void ConsumerCore::ask_bounds(TopicId id, const TopicName& topic) {
  link_.request(native::DescribeTopic{*topic}, link_.options().request_timeout,
                [self = shared(), id, topic](const Result<const native::Reply*>& reply) {
                  self->answered(reply, [&] {
                    const auto* found = as<native::TopicReply>(reply);
                    if (found && found->topic.id == id) {
                      std::vector<ConsumerLogic::Bounds> bounds;
                      for (const auto& partition : found->topic.partitions)
                        bounds.push_back({partition.log_start, partition.high_watermark});
                      return self->logic_.bounds(id, bounds);
                    }
                    const Error error =
                        found ? Error(ErrorCode::kUnknownTopic, "deleted meanwhile") : why(reply);
                    for (const auto& [key, name] : self->logic_.assigned())
                      if (key.topic == id) self->logic_.refused(key, error);
                  });
                });
}

void ConsumerCore::ask_time(const ConsumerLogic::FindTime& time) {
  link_.request(native::FindOffset{{time.key.topic, time.key.partition}, time.timestamp_ms},
                link_.options().request_timeout,
                [self = shared(), key = time.key](const auto& reply) {
                  self->answered(reply, [&] {
                    if (const auto* found = as<native::FindOffsetReply>(reply))
                      self->logic_.found(key, found->offset);
                    else
                      self->logic_.refused(key, why(reply));
                  });
                });
}

void ConsumerCore::subscribe(const ConsumerLogic::Subscribe& one) {
  link_.request(native::Subscribe{.subscription = one.subscription,
                                  .partition = {one.key.topic, one.key.partition},
                                  .offset = one.from.offset,
                                  .leader_epoch = one.from.leader_epoch,
                                  .records = kAllRecords,
                                  .bytes = one.bytes,
                                  .max_bytes = options_.fetch_bytes},
                link_.options().request_timeout,
                [self = shared(), number = one.subscription](const auto& reply) {
                  self->answered(reply, [&] {
                    if (const auto* begun = as<native::SubscribeReply>(reply))
                      self->logic_.subscribed(number, begun->high_watermark);
                    else
                      self->logic_.ended(number, why(reply));
                  });
                });
}

void ConsumerCore::fetch(const ConsumerLogic::Fetch& one) {
  link_.request(native::Fetch{.topic = one.key.topic,
                              .partition = one.key.partition,
                              .offset = one.from.offset,
                              .max_bytes = options_.fetch_bytes,
                              .max_wait_ms = static_cast<std::uint32_t>(kFetchWait.count()),
                              .leader_epoch = one.from.leader_epoch},
                kFetchWait + link_.options().request_timeout,
                [self = shared(), number = one.subscription](const auto& reply) {
                  self->answered(reply, [&] {
                    if (const auto* fetched = as<native::FetchReply>(reply))
                      self->logic_.fetched(number, fetched->batches, fetched->high_watermark);
                    else
                      self->logic_.ended(number, why(reply));
                  });
                });
}

void ConsumerCore::on_push(const native::Reply& reply) {
  const auto self = shared_from_this();  // a handler may let go of it
  const auto* end = std::get_if<native::PushEnd>(&reply);
  {
    const std::lock_guard lock(mutex_);
    if (const auto* push = std::get_if<native::Push>(&reply))
      logic_.pushed(push->subscription, push->batches, push->high_watermark);
    if (end) logic_.ended(end->subscription, {end->code, std::string(end->detail)});
  }
  arrived_.notify_all();
  serve();
  if (end) pump();
}

void ConsumerCore::on_down() {
  const std::lock_guard lock(mutex_);
  logic_.disconnected();
  if (group_) group_->disconnected();
}

void ConsumerCore::on_ended(const Error& why) {
  const auto self = shared_from_this();  // a handler may let go of it
  {
    const std::lock_guard lock(mutex_);
    error_ = why;
  }
  arrived_.notify_all();
  serve();
  check_started();
}

void ConsumerCore::on_closed() {
  const auto self = shared_from_this();  // a handler may let go of it
  std::optional<std::pair<WaitId, Wait>> wait;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    wait = std::exchange(wait_, std::nullopt);
  }
  arrived_.notify_all();
  timer_.reset();
  if (wait) fail_wait(wait->second, ErrorCode::kClosed);
  check_started();
}

// ---- the group ----

void ConsumerCore::ask_group(const GroupLogic::Request& request) {
  const auto answer = [self = shared()](const auto& reply) { self->on_group(reply); };
  const auto milliseconds = [](auto time) { return static_cast<std::uint32_t>(time.count()); };
  const auto patience = link_.options().request_timeout;
  if (request.kind == GroupLogic::Request::Kind::kJoin) {
    native::JoinGroup join{.group = options_.group->name,
                           .member = request.member,
                           .topics = {options_.topics.begin(), options_.topics.end()},
                           .session_timeout_ms = milliseconds(options_.session_timeout),
                           .rebalance_timeout_ms = milliseconds(options_.rebalance_timeout),
                           .client_name = link_.options().client_name};
    return link_.request(join, patience, answer);
  }
  native::SyncGroup sync{
      options_.group->name, request.member, request.epoch, {}, milliseconds(request.max_wait)};
  for (const PartitionKey& key : request.owned) sync.owned.push_back({key.topic, key.partition});
  link_.request(sync, request.max_wait + patience, answer);
}

void ConsumerCore::on_group(const Result<const native::Reply*>& reply) {
  answered(reply, [&] {
    const auto* assignment = as<native::GroupAssignment>(reply);
    if (assignment) {
      GroupLogic::Partitions partitions;
      for (const auto& topic : assignment->topics) {
        const auto name = std::make_shared<const std::string>(topic.name);
        for (const std::int32_t partition : topic.partitions)
          partitions.push_back({{topic.topic, PartitionIndex(partition)}, name});
      }
      return group_->assigned(assignment->epoch, std::move(partitions), clock_.now());
    }
    group_->refused(why(reply));
    if (group_->error()) error_ = group_->error();
    // Others may have them by now.
    for (const auto& [key, topic] : logic_.assigned()) logic_.remove(key);
  });
}

// ---- time, and the end ----

void ConsumerCore::arm_timer() {
  if (!timer_) return;
  std::optional<MonotonicTime> next;
  if (options_.group && options_.auto_commit.count() > 0) next = next_commit_;
  {
    const std::lock_guard lock(mutex_);
    const auto group = group_ ? group_->next_deadline() : std::nullopt;
    if (group) next = next ? std::min(*next, *group) : *group;
  }
  if (!next) return;
  timer_->expires_at(*next);
  timer_->async_wait([weak = std::weak_ptr(shared())](std::error_code error) {
    const auto self = weak.lock();
    if (error || !self) return;
    self->commit_by_itself();
    self->pump();
  });
}

void ConsumerCore::commit_by_itself() {
  if (!options_.group || options_.auto_commit.count() == 0 || clock_.now() < next_commit_) return;
  next_commit_ = clock_.now() + options_.auto_commit;
  std::vector<Position> positions;
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || !link_.up()) return;
    positions = take_uncommitted();
  }
  send_commit(positions, {});
}

// Last words to the broker, as long as it listens.
void ConsumerCore::part(const std::vector<Position>& positions, bool leave, Completion<> done) {
  if (!leave)
    return send_commit(positions,
                       [done = std::move(done)](const Result<>&) mutable { done(Result<>()); });
  if (!positions.empty()) send_commit(positions, {});
  const auto patience = std::min(link_.options().request_timeout, kPartingTime);
  call(
      link_,
      [group = options_.group->name, member = group_->member()] {
        return native::LeaveGroup{group, member};
      },
      patience,
      [self = shared(), done = std::move(done)](const auto&) mutable { done(Result<>()); },
      Repeat::kOnce);
}

}  // namespace leat
