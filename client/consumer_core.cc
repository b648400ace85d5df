#include "client/consumer_core.h"

#include <algorithm>

#include "client/call.h"
#include "client/requests.h"

namespace leat {
namespace {

std::vector<TopicPartition> named(const GroupLogic::Partitions& partitions) {
  std::vector<TopicPartition> names;
  for (const auto& [key, topic] : partitions) names.push_back({*topic, key.partition});
  return names;
}

Error not_assigned(const TopicPartition& partition) {
  return {ErrorCode::kUnknownPartition, "partition " + std::to_string(partition.partition.value) +
                                            " of '" + partition.topic +
                                            "' is not assigned to this consumer"};
}

}  // namespace

ConsumerCore::ConsumerCore(Link& link, ConsumerOptions options)
    : Reader(link, options.group),
      options_(std::move(options)),
      logic_(options_, [&link] { return link.next_subscription(); }) {
  if (options_.joins()) group_.emplace(options_.session_timeout, Random::from_system());
}

// ---- rebalance events ----

// With the lock, which is let go of for the callbacks.
void ConsumerCore::tell_events(std::unique_lock<std::mutex>& lock) {
  while (group_ && !telling_ && !closed_) {
    const auto event = group_->next_event();
    if (!event) return;
    telling_ = true;
    apply(*event, lock);
    telling_ = false;
  }
}

void ConsumerCore::apply(const GroupLogic::Event& event, std::unique_lock<std::mutex>& lock) {
  using Kind = GroupLogic::Event::Kind;
  const auto& callback = event.kind == Kind::kAssigned  ? options_.on_assigned
                         : event.kind == Kind::kRevoked ? options_.on_revoked
                                                        : options_.on_lost;
  lock.unlock();
  if (callback) callback(named(event.partitions));
  lock.lock();
  if (event.kind == Kind::kAssigned)
    for (const auto& [key, topic] : event.partitions) logic_.assign(key, topic);
  if (event.kind == Kind::kRevoked) {
    if (options_.auto_commit.count() > 0) {
      const auto positions = take_uncommitted();
      lock.unlock();
      send_commit(positions, {});  // before the SyncGroup that gives the partitions back
      lock.lock();
    }
    for (const auto& [key, topic] : event.partitions) {
      logic_.remove(key);
      committed_.erase(key);
    }
    group_->released(event.partitions);
  }
  post_pump();
}

// ---- positions ----

void ConsumerCore::commit(Completion<> done) {
  std::vector<Position> positions;
  {
    const std::lock_guard lock(mutex_);
    positions = logic_.positions();
  }
  send_commit(positions, std::move(done));
}

void ConsumerCore::commit(const std::vector<PartitionOffset>& offsets, Completion<> done) {
  std::vector<Position> positions;
  {
    std::unique_lock lock(mutex_);
    for (const PartitionOffset& offset : offsets) {
      const TopicPartition partition{offset.topic, offset.partition};
      const auto key = logic_.find(partition);
      if (!key) {
        lock.unlock();
        return done(fail(not_assigned(partition)));
      }
      positions.push_back({*key, nullptr, {offset.offset, -1}, true});
    }
  }
  send_commit(positions, std::move(done));
}

void ConsumerCore::send_commit(const std::vector<Position>& positions, Completion<> done) {
  const auto finish = [](Completion<>& completion, Result<> result) {
    if (completion) completion(std::move(result));
  };
  if (!options_.group)
    return finish(done, fail(ErrorCode::kInvalidRequest,
                             "a consumer without a group has nothing to commit to"));
  if (positions.empty()) return finish(done, {});
  std::vector<native::CommittedOffset> offsets;
  for (const Position& at : positions)
    offsets.push_back(
        {at.key.topic, at.key.partition, at.position.offset, {}, at.position.leader_epoch});
  std::string member;
  std::int32_t epoch = -1;
  if (group_) {
    const std::lock_guard lock(mutex_);
    member = group_->member();
    epoch = group_->epoch();
  }
  if (!done) done = [](const Result<>&) {};
  call(
      link_,
      [group = options_.group->name, offsets = std::move(offsets), member = std::move(member),
       epoch] {
        return native::CommitOffsets{group, offsets, member, epoch};
      },
      link_.options().request_timeout, expect<native::CommitOffsetsReply>(std::move(done)));
}

// What was worked on since the last time, and counts as committed from now on.
std::vector<ConsumerCore::Position> ConsumerCore::take_uncommitted() {
  std::vector<Position> positions = logic_.positions(true);
  std::erase_if(positions, [this](const Position& at) {
    const auto it = committed_.find(at.key);
    return it == committed_.end() ? !at.moved : it->second == at.position.offset;
  });
  for (const Position& at : positions) committed_[at.key] = at.position.offset;
  return positions;
}

Result<> ConsumerCore::seek(const TopicPartition& partition, Offset to) {
  const std::lock_guard lock(mutex_);
  const auto key = logic_.find(partition);
  if (!key) return fail(not_assigned(partition));
  if (to.value < 0)
    return fail(ErrorCode::kOffsetOutOfRange, std::to_string(to.value) + "; offsets begin at 0");
  logic_.seek(*key, to);
  post_pump();
  return {};
}

Result<> ConsumerCore::pause(const TopicPartition& partition, bool paused) {
  const std::lock_guard lock(mutex_);
  const auto key = logic_.find(partition);
  if (!key) return fail(not_assigned(partition));
  logic_.pause(*key, paused);
  if (!paused) post_pump();
  arrived_.notify_all();
  return {};
}

std::vector<PartitionOffset> ConsumerCore::positions() const {
  const std::lock_guard lock(mutex_);
  std::vector<PartitionOffset> all;
  for (const Position& at : logic_.positions())
    all.push_back({*at.topic, at.key.partition, at.position.offset});
  return all;
}

std::int64_t ConsumerCore::skipped() const {
  const std::lock_guard lock(mutex_);
  return logic_.skipped();
}

std::vector<TopicPartition> ConsumerCore::assignment() const {
  const std::lock_guard lock(mutex_);
  return named(logic_.assigned());
}

// ---- the end ----

void ConsumerCore::close(Completion<> done) {
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
    const bool automatic = self->options_.auto_commit.count() > 0;
    const auto positions = automatic ? self->take_uncommitted() : std::vector<Position>();
    const bool leave = self->group_ && self->group_->leave();
    for (const auto& [key, topic] : self->logic_.assigned()) self->logic_.remove(key);
    const auto wanted = self->logic_.wanted();
    auto wait = std::exchange(self->wait_, std::nullopt);
    lock.unlock();
    self->link_.remove(self.get());
    self->timer_.reset();
    self->arrived_.notify_all();
    const Error why(ErrorCode::kClosed, "the consumer was closed");
    if (wait) fail_wait(wait->second, why);
    if (self->started_) self->started_(fail(why));
    if (!self->link_.up()) return (*held)(Result<>());
    self->ask(wanted);
    self->part(positions, leave, std::move(*held));
  });
}

}  // namespace leat
