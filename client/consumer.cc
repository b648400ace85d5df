#include "client/consumer.h"

#include <algorithm>

#include "client/consumer_core.h"

namespace leat {

Consumer::Core::Core(Link& link, TopicDescription topic, ConsumerOptions options)
    : link_(link),
      topic_(std::move(topic)),
      options_(std::move(options)),
      logic_(options_.prefetch_bytes, options_.decompressed_bytes) {}

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

Result<std::vector<std::optional<Offset>>> Consumer::Core::committed() {
  std::vector<std::optional<Offset>> offsets(topic_.partitions.size());
  if (!options_.group) return offsets;
  native::FetchOffsets request{options_.group->name, {}};
  for (const PartitionIndex partition : options_.partitions)
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

Offset Consumer::Core::first_offset(PartitionIndex partition) const {
  const auto& bounds = topic_.partitions.at(static_cast<std::size_t>(partition.value));
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
  }
  return bounds.log_start;
}

// Said now, and not only when the first fetch comes back.
Result<> Consumer::Core::check_offset(PartitionIndex partition, Offset offset) const {
  const auto& bounds = topic_.partitions.at(static_cast<std::size_t>(partition.value));
  if (offset >= bounds.log_start && offset <= bounds.high_watermark) return {};
  return fail(ErrorCode::kOffsetOutOfRange,
              std::to_string(offset.value) + "; partition " + std::to_string(partition.value) +
                  " of '" + topic_.name + "' holds " + std::to_string(bounds.log_start.value) +
                  " to " + std::to_string(bounds.high_watermark.value));
}

Result<> Consumer::Core::start() {
  if (auto ok = check_partitions(); !ok) return ok;
  auto offsets = committed();
  if (!offsets) return fail(offsets.error());
  for (const PartitionIndex partition : options_.partitions) {
    const auto index = static_cast<std::size_t>(partition.value);
    const Offset from = offsets->at(index).value_or(first_offset(partition));
    if (auto ok = check_offset(partition, from); !ok) return ok;
    logic_.assign(partition, from);
  }
  link_.run([this] {
    link_.add(this);
    pump();
  });
  return {};
}

void Consumer::Core::close() {
  link_.run([this] {
    link_.remove(this);
    const std::lock_guard lock(mutex_);
    closed_ = true;
  });
}

// ---- the link's thread ----

void Consumer::Core::pump() {
  if (!link_.up()) return;
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
                      .max_wait_ms = static_cast<std::uint32_t>(options_.fetch_wait.count())},
        options_.fetch_wait + link_.options().request_timeout,
        [self = shared_from_this(), partition = fetch.partition](const auto& reply) {
          self->on_fetched(partition, reply);
        });
}

void Consumer::Core::on_fetched(PartitionIndex partition,
                                const Result<const native::Reply*>& reply) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    const auto* fetched = reply ? std::get_if<native::FetchReply>(*reply) : nullptr;
    if (fetched) {
      if (auto ok = logic_.fetched(partition, fetched->batches, fetched->high_watermark); !ok)
        error_ = ok.error();
    } else {
      logic_.lost(partition);
      if (!reply && reply.error().code == ErrorCode::kDisconnected) return;  // on_up() goes on
      error_ = reply ? Error(ErrorCode::kMalformedFrame, "not a reply to a fetch") : reply.error();
    }
  }
  arrived_.notify_all();
  pump();
}

// ---- the caller's thread ----

Result<std::span<const ConsumedRecord>> Consumer::Core::poll(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  arrived_.wait_for(lock, timeout, [this] { return error_ || logic_.holds_records(); });
  auto taken = logic_.take();
  if (!taken) error_ = taken.error();
  records_ = taken ? std::move(*taken) : ConsumerLogic::Records();
  if (records_.empty() && error_) return fail(*error_);
  lock.unlock();
  if (!records_.empty()) link_.post([self = shared_from_this()] { self->pump(); });
  return std::span<const ConsumedRecord>(records_);
}

Result<> Consumer::Core::commit(std::span<const std::pair<PartitionIndex, Offset>> positions) {
  if (!options_.group)
    return fail(ErrorCode::kInvalidRequest, "a consumer without a group has nothing to commit to");
  native::CommitOffsets request{options_.group->name, {}};
  for (const auto& [partition, offset] : positions)
    request.offsets.push_back({topic_.id, partition, offset, {}});
  return link_.call(request, link_.options().request_timeout, [](const native::Reply&) {});
}

std::vector<std::pair<PartitionIndex, Offset>> Consumer::Core::positions() const {
  const std::lock_guard lock(mutex_);
  return logic_.positions();
}

// ---- the face ----

Consumer::Consumer(std::shared_ptr<Link> link, std::shared_ptr<Core> core)
    : link_(std::move(link)), core_(std::move(core)) {}
Consumer::~Consumer() {
  core_->close();
}
const TopicDescription& Consumer::topic() const {
  return core_->topic();
}
Result<std::span<const ConsumedRecord>> Consumer::poll(std::chrono::milliseconds timeout) {
  return core_->poll(timeout);
}
Result<> Consumer::commit() {
  return core_->commit(core_->positions());
}
Result<> Consumer::commit(PartitionIndex partition, Offset offset) {
  const std::pair<PartitionIndex, Offset> position{partition, offset};
  return core_->commit({&position, 1});
}
std::vector<std::pair<PartitionIndex, Offset>> Consumer::positions() const {
  return core_->positions();
}

}  // namespace leat
