#include "client/producer.h"

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>

#include "client/link.h"
#include "client/producer_core.h"
#include "protocol/partitioner.h"

namespace leat {
namespace {
// No batch is larger than the broker takes it, even where it gets no smaller by compression.
ProducerOptions within(ProducerOptions options, std::size_t max_batch_bytes) {
  options.batch_bytes = std::min(options.batch_bytes, max_batch_bytes);
  return options;
}
}  // namespace

Producer::Core::Core(Link& link, TopicDescription topic, ProducerOptions options)
    : link_(link),
      topic_(std::move(topic)),
      options_(within(options, link.max_batch_bytes())),
      logic_(options_) {
  link_.run([this] {
    timer_.emplace(link_.executor());
    link_.add(this);
  });
}

void Producer::Core::close() {
  link_.run([this] {
    link_.remove(this);
    timer_.reset();
    on_ended({ErrorCode::kClosed, "the producer was destroyed"});
  });
}

Result<PartitionIndex> Producer::Core::partition_of(const OutgoingRecord& record) {
  const auto partitions = static_cast<std::int32_t>(topic_.partitions.size());
  if (record.partition) {
    if (record.partition->value >= 0 && record.partition->value < partitions)
      return *record.partition;
    return fail(ErrorCode::kUnknownPartition,
                std::to_string(record.partition->value) + "; topic '" + topic_.name +
                    "' has partitions 0 to " + std::to_string(partitions - 1));
  }
  if (record.key) return partition_for_key(*record.key, partitions);
  return logic_.sticky_partition(partitions);
}

Result<> Producer::Core::send(const OutgoingRecord& record, AckHandler handler) {
  const RecordData data{record.key, record.value, record.headers};
  const std::size_t max_batch = link_.max_batch_bytes();
  if (RecordBatchBuilder::max_record_size(data) + batch_layout::kHeaderBytes > max_batch)
    return fail(ErrorCode::kBatchTooLarge, "a record and its batch have at most " +
                                               std::to_string(max_batch) +
                                               " bytes, says the broker (limits.batch_bytes)");
  const std::int64_t timestamp =
      record.timestamp_ms.value_or(clock_.wall_now().time_since_epoch().count());
  // The link's own thread makes room: it cannot wait for it.
  const auto patience =
      link_.on_own_thread() ? std::chrono::milliseconds(0) : options_.delivery_timeout;
  std::unique_lock lock(mutex_);
  if (!room_.wait_for(lock, patience, [this] {
        return closed_ || logic_.buffered_bytes() < options_.buffer_bytes;
      }))
    return fail(ErrorCode::kQueueFull, "the producer's buffer stayed full; is the broker up?");
  if (closed_) return fail(*closed_);
  auto partition = partition_of(record);
  if (!partition) return fail(partition.error());
  const MonotonicTime now = clock_.now();
  const bool changed = logic_.append(*partition, data, timestamp, std::move(handler), now);
  // One wake for many records: when a batch is full, or due before the pump looks again.
  const bool soon = !timer_at_ || *timer_at_ > now + options_.linger;
  const bool full = logic_.buffered_bytes() >= options_.batch_bytes;
  if (changed && !pump_posted_ && (soon || full)) {
    pump_posted_ = true;
    lock.unlock();
    link_.post([self = shared_from_this()] { self->pump(); });
  }
  return {};
}

Result<> Producer::Core::flush(std::chrono::milliseconds timeout) {
  if (link_.on_own_thread())
    return fail(ErrorCode::kNotAllowed, "a handler cannot wait for what its own thread does");
  std::unique_lock lock(mutex_);
  const auto last = logic_.flush();
  link_.post([self = shared_from_this()] { self->pump(); });
  // Settled, and the round of handlers that was under way then has ended.
  std::optional<std::uint64_t> round;
  if (!room_.wait_for(lock, timeout, [&] {
        if (!round && logic_.done_through(last)) round = tells_begun_;
        return round && tells_ended_ >= *round;
      }))
    return fail(ErrorCode::kTimedOut, "records are still unacknowledged");
  return {};
}

// ---- the link's thread ----

void Producer::Core::on_up() {
  pump();
}

void Producer::Core::on_down() {
  const std::lock_guard lock(mutex_);
  identity_asked_ = false;
  logic_.disconnected();
}

void Producer::Core::init_producer() {
  link_.request(native::InitProducer{}, link_.options().request_timeout,
                [self = shared_from_this()](const auto& reply) { self->on_identity(reply); });
}

void Producer::Core::on_identity(const Result<const native::Reply*>& reply) {
  if (!reply && reply.error().code == ErrorCode::kDisconnected) return;  // on_up() asks again
  if (!reply && reply.error().retryable()) return link_.reset(reply.error());
  const auto* issued = reply ? std::get_if<native::InitProducerReply>(*reply) : nullptr;
  std::vector<ProducerLogic::Outcome> outcomes;
  {
    const std::lock_guard lock(mutex_);
    identity_asked_ = false;
    if (issued)
      logic_.set_identity({issued->producer_id, issued->epoch});
    else if (!reply && reply.error().code == ErrorCode::kUnsupportedRequest)
      logic_.go_without_identity();  // an older broker: retries may duplicate
    else
      logic_.fail_all(
          reply ? Error(ErrorCode::kMalformedFrame, "not a producer id") : reply.error(), outcomes);
    ++tells_begun_;
  }
  tell_counted(outcomes);
  pump();
}

void Producer::Core::on_ended(const Error& why) {
  std::vector<ProducerLogic::Outcome> outcomes;
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) closed_ = why;
    logic_.fail_all(why, outcomes);
    ++tells_begun_;
  }
  tell_counted(outcomes);
}

void Producer::Core::pump() {
  std::vector<ProducerLogic::Outcome> outcomes;
  std::vector<ProducerLogic::Outgoing> outgoing;
  bool ask = false;
  {
    const std::lock_guard lock(mutex_);
    pump_posted_ = false;
    if (closed_) return;
    logic_.expire(clock_.now(), outcomes);
    if (link_.up()) outgoing = logic_.ready(clock_.now());
    ask = link_.up() && !logic_.idle() && logic_.needs_identity() && !identity_asked_;
    if (ask) identity_asked_ = true;
    ++tells_begun_;
    arm_timer();
  }
  tell_counted(outcomes);
  if (ask) init_producer();
  for (const auto& batch : outgoing)
    link_.request(native::Produce{topic_.id, batch.partition, batch.bytes},
                  link_.options().request_timeout,
                  [self = shared_from_this(), id = batch.id](const auto& reply) {
                    self->on_reply(id, reply);
                  });
}

void Producer::Core::on_reply(ProducerLogic::BatchId id,
                              const Result<const native::Reply*>& reply) {
  if (!reply && reply.error().code == ErrorCode::kDisconnected) return;  // on_down() sends it again
  // In order, or not at all: what follows a refused batch must not overtake its next attempt.
  if (!reply && reply.error().retryable()) return link_.reset(reply.error());
  std::vector<ProducerLogic::Outcome> outcomes;
  {
    const std::lock_guard lock(mutex_);
    const auto* produced = reply ? std::get_if<native::ProduceReply>(*reply) : nullptr;
    if (produced)
      logic_.acknowledged(id, *produced, outcomes);
    else
      logic_.failed(
          id, reply ? Error(ErrorCode::kMalformedFrame, "not a reply to a produce") : reply.error(),
          outcomes);
    ++tells_begun_;
  }
  tell_counted(outcomes);
  pump();
}

void Producer::Core::tell(std::vector<ProducerLogic::Outcome>& outcomes) {
  for (auto& outcome : outcomes) outcome.handler(outcome.result);
}

void Producer::Core::tell_counted(std::vector<ProducerLogic::Outcome>& outcomes) {
  tell(outcomes);
  {
    const std::lock_guard lock(mutex_);
    ++tells_ended_;
  }
  room_.notify_all();
}

void Producer::Core::arm_timer() {
  const auto next = logic_.next_deadline(clock_.now());
  timer_at_ = next;
  if (!next) return;
  timer_->expires_at(std::max(*next, clock_.now() + std::chrono::milliseconds(1)));
  timer_->async_wait([weak = weak_from_this()](std::error_code error) {
    if (error) return;
    if (const auto self = weak.lock()) self->pump();
  });
}

// ---- the face ----

Producer::Producer(std::shared_ptr<Link> link, std::shared_ptr<Core> core)
    : link_(std::move(link)), core_(std::move(core)) {}
Producer::~Producer() {
  if (link_->check_process()) core_->close();
}
const TopicDescription& Producer::topic() const {
  return core_->topic();
}
Result<> Producer::send(const OutgoingRecord& record, AckHandler handler) {
  if (auto ok = link_->check_process(); !ok) return ok;
  return core_->send(record, std::move(handler));
}
Result<> Producer::flush(std::chrono::milliseconds timeout) {
  if (auto ok = link_->check_process(); !ok) return ok;
  return core_->flush(timeout);
}

Result<Ack> Producer::send_and_wait(const OutgoingRecord& record) {
  auto done = std::make_shared<std::promise<Result<Ack>>>();
  auto result = done->get_future();
  if (auto ok = send(record, [done](const Result<Ack>& ack) { done->set_value(ack); }); !ok)
    return fail(ok.error());
  if (auto ok = flush(); !ok) return fail(ok.error());
  return result.get();
}

}  // namespace leat
