// The consumer on its caller's thread: where partitions begin, what a rebalance asks, commits.
#include "client/consumer.h"

#include <algorithm>
#include <set>

#include "client/consumer_core.h"

namespace leat {
namespace {
constexpr auto kLeaveTime = std::chrono::seconds(2);
}

Consumer::Core::Core(Link& link, TopicDescription topic, ConsumerOptions options)
    : link_(link),
      topic_(std::move(topic)),
      options_(std::move(options)),
      committed_at_(clock_.now()),
      logic_(options_.prefetch_bytes, options_.decompressed_bytes) {
  if (member())
    group_.emplace(GroupLogic::Options{.group = options_.group->name,
                                       .topic = topic_.name,
                                       .client_name = link_.options().client_name,
                                       .session_timeout = options_.session_timeout,
                                       .rebalance_timeout = options_.rebalance_timeout},
                   Random::from_system());
}

Result<> Consumer::Core::check_partitions() {
  const auto count = static_cast<std::int32_t>(topic_.partitions.size());
  if (options_.partitions.empty())
    for (std::int32_t i = 0; i < count; ++i) options_.partitions.emplace_back(i);
  for (const PartitionIndex partition : options_.partitions)
    if (partition.value < 0 || partition.value >= count)
      return fail(ErrorCode::kUnknownPartition, std::to_string(partition.value) + "; topic '" +
                                                    topic_.name + "' has partitions 0 to " +
                                                    std::to_string(count - 1));
  return {};
}

Result<> Consumer::Core::start() {
  if (!group_) {
    if (auto ok = check_partitions(); !ok) return ok;
    if (auto ok = begin(options_.partitions); !ok) return ok;
  }
  link_.run([this] {
    timer_.emplace(link_.executor());
    link_.add(this);
    pump();
  });
  return group_ ? wait_for_group() : Result<>();
}

Result<> Consumer::Core::wait_for_group() {
  {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, link_.options().request_timeout,
                           [this] { return error_ || group_->joined(); }))
      return fail(ErrorCode::kTimedOut, "joining group '" + options_.group->name + "'");
    if (error_) return fail(*error_);
  }
  return rebalance();
}

void Consumer::Core::close() {
  if (options_.auto_commit) auto_commit();
  bool leave = false;
  link_.run([&] {
    link_.remove(this);
    timer_.reset();
    const std::lock_guard lock(mutex_);
    closed_ = true;
    leave = group_ && group_->joined() && link_.up();
  });
  // Best effort: a member that does not say so is expelled in its time.
  if (leave) [[maybe_unused]]
    const auto ok = link_.call(group_->leave_request(), kLeaveTime, [](const native::Reply&) {});
}

// ---- where to begin ----

Result<Consumer::Core::Bounds> Consumer::Core::bounds() {
  Bounds bounds;
  auto ok = link_.call(native::DescribeTopic{topic_.name, false}, link_.options().request_timeout,
                       [&](const native::Reply& reply) {
                         const auto* topic = std::get_if<native::TopicReply>(&reply);
                         if (!topic || topic->topic.id != topic_.id) return;
                         for (const auto& partition : topic->topic.partitions)
                           bounds.push_back({partition.log_start, partition.high_watermark});
                       });
  if (!ok) return fail(ok.error());
  if (bounds.size() != topic_.partitions.size())
    return fail(ErrorCode::kUnknownTopic, "'" + topic_.name + "' was created again");
  return bounds;
}

Result<std::vector<std::optional<Offset>>> Consumer::Core::committed(const Partitions& partitions) {
  std::vector<std::optional<Offset>> offsets(topic_.partitions.size());
  if (!options_.group) return offsets;
  native::FetchOffsets request{options_.group->name, {}};
  for (const PartitionIndex partition : partitions)
    request.partitions.push_back({topic_.id, partition});
  auto ok = link_.call(request, link_.options().request_timeout, [&](const native::Reply& reply) {
    const auto* found = std::get_if<native::FetchOffsetsReply>(&reply);
    if (!found) return;
    for (const native::CommittedOffset& offset : found->offsets)
      offsets.at(static_cast<std::size_t>(offset.partition.value)) = offset.offset;
  });
  if (!ok) return fail(ok.error());
  if (options_.ignore_committed) offsets.assign(offsets.size(), std::nullopt);
  return offsets;
}

Result<Offset> Consumer::Core::first_offset(PartitionIndex partition, const Bounds& all) {
  const auto& bounds = all.at(static_cast<std::size_t>(partition.value));
  const StartFrom& start = options_.start;
  switch (start.kind) {
    case StartFrom::Kind::kEarliest:
      break;
    case StartFrom::Kind::kLatest:
      return bounds.high_watermark;
    case StartFrom::Kind::kOffset:
      return Offset(start.value);
    case StartFrom::Kind::kLast:
      return std::max(bounds.log_start, bounds.high_watermark + -start.value);
    case StartFrom::Kind::kTimestamp: {
      Offset offset = bounds.high_watermark;
      auto ok = link_.call(native::FindOffset{{topic_.id, partition}, start.value},
                           link_.options().request_timeout, [&](const native::Reply& reply) {
                             if (const auto* found = std::get_if<native::FindOffsetReply>(&reply))
                               offset = found->offset;
                           });
      if (!ok) return fail(ok.error());
      return offset;
    }
  }
  return bounds.log_start;
}

// Said now, and not only when the first fetch comes back.
Result<Offset> Consumer::Core::within(PartitionIndex partition, Offset offset,
                                      const Bounds& all) const {
  const auto& bounds = all.at(static_cast<std::size_t>(partition.value));
  if (offset >= bounds.log_start && offset <= bounds.high_watermark) return offset;
  if (options_.on_out_of_range == OutOfRange::kEarliest) return bounds.log_start;
  if (options_.on_out_of_range == OutOfRange::kLatest) return bounds.high_watermark;
  return fail(ErrorCode::kOffsetOutOfRange,
              std::to_string(offset.value) + "; partition " + std::to_string(partition.value) +
                  " of '" + topic_.name + "' holds " + std::to_string(bounds.log_start.value) +
                  " to " + std::to_string(bounds.high_watermark.value));
}

Result<> Consumer::Core::begin(const Partitions& partitions) {
  if (partitions.empty()) return {};
  auto offsets = committed(partitions);
  if (!offsets) return fail(offsets.error());
  auto all = bounds();
  if (!all) return fail(all.error());
  std::vector<std::pair<PartitionIndex, Offset>> positions;
  for (const PartitionIndex partition : partitions) {
    const auto& known = offsets->at(static_cast<std::size_t>(partition.value));
    auto from = known ? Result<Offset>(*known) : first_offset(partition, *all);
    if (!from) return fail(from.error());
    auto position = within(partition, *from, *all);
    if (!position) return fail(position.error());
    positions.emplace_back(partition, *position);
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [partition, position] : positions) logic_.assign(partition, position);
  return {};
}

Result<> Consumer::Core::reset_positions() {
  Partitions lost;
  {
    const std::lock_guard lock(mutex_);
    lost = std::exchange(out_of_range_, {});
  }
  if (lost.empty()) return {};
  auto all = bounds();
  if (!all) return fail(all.error());
  {
    const std::lock_guard lock(mutex_);
    for (const PartitionIndex partition : lost) {
      const auto& bounds = all->at(static_cast<std::size_t>(partition.value));
      logic_.assign(partition, options_.on_out_of_range == OutOfRange::kEarliest
                                   ? bounds.log_start
                                   : bounds.high_watermark);
    }
  }
  wake();
  return {};
}

// ---- rebalances ----

// Carries out what the group has asked since the last call; the partitions that stay go on
// meanwhile.
Result<> Consumer::Core::rebalance() {
  GroupLogic::Change change;
  {
    const std::lock_guard lock(mutex_);
    change = std::exchange(change_, {});
    // Overtaken by a later answer, some of it may no longer hold.
    const auto stale = [this](PartitionIndex p) { return !group_->gives_back(p); };
    const auto gone = [this](PartitionIndex p) {
      return !group_->holds(p) || group_->gives_back(p) || logic_.assigned(p);
    };
    std::erase_if(change.revoked, stale);
    std::erase_if(change.assigned, gone);
  }
  if (!change.lost.empty() && options_.events.on_lost) options_.events.on_lost(change.lost);
  if (!change.revoked.empty()) give_back(change.revoked);
  if (change.assigned.empty()) return {};
  if (auto ok = begin(change.assigned); !ok) return ok;
  if (options_.events.on_assigned) options_.events.on_assigned(change.assigned);
  wake();
  return {};
}

void Consumer::Core::give_back(const Partitions& partitions) {
  if (options_.auto_commit) auto_commit();
  if (options_.events.on_revoked) options_.events.on_revoked(partitions);
  {
    const std::lock_guard lock(mutex_);
    for (const PartitionIndex partition : partitions) logic_.drop(partition);
    group_->released(partitions);
  }
  wake();
}

// ---- records ----

Result<std::span<const ConsumedRecord>> Consumer::Core::poll(std::chrono::milliseconds timeout) {
  const MonotonicTime until = clock_.now() + timeout;
  given_ = positions();
  if (options_.auto_commit && clock_.now() - committed_at_ >= *options_.auto_commit) auto_commit();
  for (;;) {
    if (group_)
      if (auto ok = rebalance(); !ok) return fail(ok.error());
    if (auto ok = reset_positions(); !ok) return fail(ok.error());
    std::unique_lock lock(mutex_);
    const auto asked = [this] { return !change_.empty() || !out_of_range_.empty(); };
    arrived_.wait_until(lock, until, [&] { return error_ || asked() || logic_.holds_records(); });
    if (asked() && !error_) continue;
    auto records = logic_.take();
    if (!records) return fail(records.error());
    records_ = std::move(*records);
    if (records_.empty() && error_) return fail(*error_);
    lock.unlock();
    if (!records_.empty()) wake();
    return std::span<const ConsumedRecord>(records_);
  }
}

Result<> Consumer::Core::seek(PartitionIndex partition, Offset offset) {
  {
    const std::lock_guard lock(mutex_);
    if (!logic_.assigned(partition))
      return fail(ErrorCode::kUnknownPartition,
                  std::to_string(partition.value) + " is not read by this consumer");
    logic_.assign(partition, offset);
  }
  wake();
  return {};
}

Result<> Consumer::Core::set_paused(PartitionIndex partition, bool paused) {
  {
    const std::lock_guard lock(mutex_);
    if (!logic_.assigned(partition))
      return fail(ErrorCode::kUnknownPartition,
                  std::to_string(partition.value) + " is not read by this consumer");
    logic_.set_paused(partition, paused);
  }
  arrived_.notify_all();
  return {};
}

std::vector<std::pair<PartitionIndex, Offset>> Consumer::Core::positions() const {
  const std::lock_guard lock(mutex_);
  return logic_.positions();
}

// ---- commits ----

native::CommitOffsets Consumer::Core::commit_request(
    const std::vector<std::pair<PartitionIndex, Offset>>& positions) const {
  native::CommitOffsets request{.group = options_.group->name, .offsets = {}};
  for (const auto& [partition, offset] : positions)
    request.offsets.push_back({topic_.id, partition, offset, {}});
  const std::lock_guard lock(mutex_);
  if (!group_) return request;
  request.member = group_->member();
  request.epoch = group_->epoch();
  return request;
}

Result<> Consumer::Core::commit(std::vector<std::pair<PartitionIndex, Offset>> positions) {
  if (!options_.group)
    return fail(ErrorCode::kInvalidRequest, "a consumer without a group has nothing to commit to");
  if (positions.empty()) return {};  // a member that has nothing
  return link_.call(commit_request(positions), link_.options().request_timeout,
                    [](const native::Reply&) {});
}

void Consumer::Core::commit_async(std::vector<std::pair<PartitionIndex, Offset>> positions,
                                  std::function<void(const Result<>&)> handler) {
  link_.post(
      [self = shared_from_this(), positions = std::move(positions), handler = std::move(handler)] {
        if (!self->options_.group || positions.empty()) {
          if (handler)
            handler(fail(ErrorCode::kInvalidRequest, "there is nothing, or nowhere, to commit"));
          return;
        }
        self->link_.request(self->commit_request(positions), self->link_.options().request_timeout,
                            [handler](const Result<const native::Reply*>& reply) {
                              if (!handler) return;
                              if (reply) return handler({});
                              handler(fail(reply.error()));
                            });
      });
}

// What poll() gave before its latest call; what a rebalance has taken meanwhile is left out.
void Consumer::Core::auto_commit() {
  committed_at_ = clock_.now();
  std::vector<std::pair<PartitionIndex, Offset>> mine;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& position : given_)
      if (logic_.assigned(position.first)) mine.push_back(position);
  }
  // Refused or lost, the next one carries it; until then records come again elsewhere.
  [[maybe_unused]] const auto ok = commit(std::move(mine));
}

// ---- the face ----

Consumer::Consumer(std::shared_ptr<Link> link, std::shared_ptr<Core> core)
    : link_(std::move(link)), core_(std::move(core)) {}
Consumer::~Consumer() {
  if (link_->check_process()) core_->close();
}
const TopicDescription& Consumer::topic() const {
  return core_->topic();
}
Result<std::span<const ConsumedRecord>> Consumer::poll(std::chrono::milliseconds timeout) {
  if (auto ok = link_->check_process(); !ok) return fail(ok.error());
  return core_->poll(timeout);
}
Result<> Consumer::commit() {
  if (auto ok = link_->check_process(); !ok) return ok;
  return core_->commit(core_->positions());
}
Result<> Consumer::commit(PartitionIndex partition, Offset offset) {
  if (auto ok = link_->check_process(); !ok) return ok;
  return core_->commit({{partition, offset}});
}
void Consumer::commit_async(std::function<void(const Result<>&)> handler) {
  core_->commit_async(core_->positions(), std::move(handler));
}
Result<> Consumer::seek(PartitionIndex partition, Offset offset) {
  return core_->seek(partition, offset);
}
Result<> Consumer::pause(PartitionIndex partition) {
  return core_->set_paused(partition, true);
}
Result<> Consumer::resume(PartitionIndex partition) {
  return core_->set_paused(partition, false);
}
std::vector<std::pair<PartitionIndex, Offset>> Consumer::positions() const {
  return core_->positions();
}

}  // namespace leat
