#include "client/producer_core.h"

#include <algorithm>

#include "client/call.h"
#include "client/context/outgoing_extras.h"
#include "client/context/sending.h"
#include "client/requests.h"
#include "protocol/partitioner.h"

namespace leat {
namespace {

// No batch is larger than the broker takes it, even where it gets no smaller by compression.
ProducerOptions within(ProducerOptions options, std::size_t max_batch_bytes) {
  options.batch_bytes = std::min(options.batch_bytes, max_batch_bytes);
  return options;
}

OutgoingRecord with_headers(OutgoingRecord record, const RecordHeaders& first) {
  auto at = record.headers.begin();
  for (const RecordHeader& header : first) at = std::next(record.headers.insert(at, header));
  return record;
}

}  // namespace

ProducerCore::ProducerCore(Link& link, const ProducerOptions& options)
    : link_(link), options_(within(options, link.max_batch_bytes())), logic_(options_) {}

std::shared_ptr<ProducerCore> ProducerCore::open(Link& link, const ProducerOptions& options) {
  std::shared_ptr<ProducerCore> core(new ProducerCore(link, options));
  link.run([&] {
    core->timer_.emplace(link.executor());
    link.add(core.get());
    core->pump();
  });
  return core;
}

void ProducerCore::close() {
  if (!link_.check_process()) return leave_to_parent(shared_from_this());
  link_.run([this] {
    link_.remove(this);
    timer_.reset();
    on_ended({ErrorCode::kClosed, "the producer was destroyed"});
  });
}

void ProducerCore::on_ended(const Error& why) {
  Outcomes outcomes;
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) closed_ = why;
    for (TopicSlot& slot : slots_) {
      for (Parked& parked : slot.parked) outcomes.push_back({std::move(parked.handler), fail(why)});
      slot.parked.clear();
    }
    parked_bytes_ = 0;
    logic_.fail_all(why, outcomes);
  }
  room_.notify_all();
  tell(outcomes);
}

// ---- any thread ----

std::uint32_t ProducerCore::topic(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (const auto it = slot_of_.find(name); it != slot_of_.end()) return it->second;
  const auto number = static_cast<std::uint32_t>(slots_.size());
  slots_.emplace_back().name = std::string(name);
  slot_of_.emplace(name, number);
  return number;
}

std::uint32_t ProducerCore::topic(const TopicDescription& description) {
  const std::uint32_t number = topic(description.name);
  const std::lock_guard lock(mutex_);
  TopicSlot& slot = slots_[number];
  if (options_.source) return number;  // there is more to know
  slot.known = true;
  slot.id = description.id;
  slot.partitions = static_cast<std::int32_t>(description.partitions.size());
  return number;
}

Result<PartitionIndex> ProducerCore::partition_of(std::uint32_t topic,
                                                  const OutgoingRecord& record) {
  const TopicSlot& slot = slots_[topic];
  if (record.partition) {
    if (record.partition->value >= 0 && record.partition->value < slot.partitions)
      return *record.partition;
    return fail(ErrorCode::kUnknownPartition,
                std::to_string(record.partition->value) + "; topic '" + slot.name +
                    "' has partitions 0 to " + std::to_string(slot.partitions - 1));
  }
  if (record.key) return partition_for_key(*record.key, slot.partitions);
  if (record.id) return partition_for_key(*record.id, slot.partitions);
  // Where it went the last time, whoever sent it.
  if (record.source_position) {
    std::byte position[16];
    store_be(position, record.source_position->high);
    store_be(position + 8, record.source_position->low);
    return partition_for_key(position, slot.partitions);
  }
  return logic_.sticky_partition(topic, slot.partitions);
}

Result<> ProducerCore::send(std::uint32_t topic, const OutgoingRecord& record, AckHandler& handler,
                            std::chrono::milliseconds patience) {
  const bool alone = !Sending::needed(link_.tracer(), record);
  const auto send_with = [&](const RecordHeaders& own) {
    return alone ? put(topic, record, own, handler, patience)
                 : put_in_context(topic, record, own, handler, patience);
  };
  if (!has_extras(record)) return send_with({});
  RecordExtras extras;
  if (auto ok = read_extras(record, clock_, extras); !ok) return ok;
  return send_with(ExtraHeaders(extras).headers());
}

Result<> ProducerCore::put_in_context(std::uint32_t topic, const OutgoingRecord& record,
                                      const RecordHeaders& own, AckHandler& handler,
                                      std::chrono::milliseconds patience) {
  std::string name;
  {
    const std::lock_guard lock(mutex_);
    name = slots_[topic].name;
  }
  auto sending = Sending::make(link_.tracer(), name, record, own);
  if (!sending) return fail(sending.error());
  AckHandler traced = sending->traced(handler);
  auto ok = put(topic, sending->record(), sending->own(), traced, patience);
  if (ok) return ok;
  handler = std::move(traced);
  sending->give_back(handler, ok.error());
  return ok;
}

Result<> ProducerCore::put(std::uint32_t topic, const OutgoingRecord& record,
                           const RecordHeaders& own, AckHandler& handler,
                           std::chrono::milliseconds patience) {
  if (auto ok = link_.check_process(); !ok) return ok;
  const RecordData data{record.key, record.value, record.headers, own};
  const std::size_t max_batch = link_.max_batch_bytes();
  if (RecordBatchBuilder::max_record_size(data) + batch_layout::kHeaderBytes > max_batch)
    return fail(ErrorCode::kBatchTooLarge, "a record and its batch have at most " +
                                               std::to_string(max_batch) +
                                               " bytes, says the broker (limits.batch_bytes)");
  const std::int64_t timestamp =
      record.timestamp_ms.value_or(clock_.wall_now().time_since_epoch().count());
  // The link's own thread makes room: it cannot wait for it.
  if (link_.on_own_thread()) patience = std::chrono::milliseconds(0);
  std::unique_lock lock(mutex_);
  const auto room = [this] { return closed_ || buffered() < options_.buffer_bytes; };
  if (!room() && !room_.wait_for(lock, patience, room))
    return fail(ErrorCode::kQueueFull, "the producer's buffer of " +
                                           std::to_string(options_.buffer_bytes) +
                                           " bytes is full; is the broker up?");
  if (closed_) return fail(*closed_);
  if (logic_.fenced()) return fail(*logic_.fenced());
  TopicSlot& slot = slots_[topic];
  if (slot.broken) return fail(*slot.broken);
  if (!slot.known) {
    if (record.source_position.has_value() != options_.source.has_value())
      return logic_.admit({topic, PartitionIndex(0)}, record.source_position);
    park(slot, with_headers(record, own), timestamp, std::move(handler));
    if (!std::exchange(slot.looking, true))
      link_.post([self = shared_from_this(), topic] { self->look_up(topic); });
    return {};
  }
  auto partition = partition_of(topic, record);
  if (!partition) return fail(partition.error());
  const ProducerLogic::Target target{topic, *partition};
  if (auto ok = logic_.admit(target, record.source_position); !ok) return ok;
  const MonotonicTime now = clock_.now();
  const bool changed = logic_.append(target, data, timestamp, std::move(handler), now,
                                     logic_.reserve(), record.source_position);
  // One wake for many records: when a batch is full, or due before the pump looks again.
  const bool soon = !timer_at_ || *timer_at_ > now + options_.linger;
  const bool full = logic_.buffered_bytes() >= options_.batch_bytes;
  if (changed && (soon || full || logic_.any_stored())) post_pump();
  return {};
}

void ProducerCore::park(TopicSlot& slot, OutgoingRecord record, std::int64_t timestamp_ms,
                        AckHandler handler) {
  slot.parked.push_back(
      {logic_.reserve(), OwnedRecord(std::move(record)), timestamp_ms, std::move(handler)});
  parked_bytes_ += slot.parked.back().record.size();
}

void ProducerCore::post_pump() {
  if (std::exchange(pump_posted_, true)) return;
  link_.post([self = shared_from_this()] { self->pump(); });
}

void ProducerCore::hurry() {
  const std::lock_guard lock(mutex_);
  logic_.flush();
  post_pump();
}

void ProducerCore::flush(Completion<> done) {
  if (auto ok = link_.check_process(); !ok) return done(fail(ok.error()));
  const std::lock_guard lock(mutex_);
  flushes_.push_back({logic_.flush(), std::move(done)});
  post_pump();
}

// ---- the link's thread: topics ----

void ProducerCore::look_up(std::uint32_t topic) {
  std::string name;
  {
    const std::lock_guard lock(mutex_);
    name = slots_[topic].name;
  }
  requests::describe_topic(
      link_, std::move(name), true, options_.delivery_timeout,
      [self = shared_from_this(), topic](Result<TopicDescription> description) {
        self->described(topic, description);
      });
}

void ProducerCore::described(std::uint32_t topic, const Result<TopicDescription>& description) {
  if (!options_.source || !description) return found(topic, description);
  requests::source_positions(link_, description->id, *options_.source, options_.delivery_timeout,
                             [self = shared_from_this(), topic,
                              description = *description](Result<requests::StoredSource> stored) {
                               self->learned(topic, description, std::move(stored));
                             });
}

void ProducerCore::learned(std::uint32_t topic, const TopicDescription& description,
                           Result<requests::StoredSource> stored) {
  if (!stored) return found(topic, fail(stored.error()));
  {
    const std::lock_guard lock(mutex_);
    logic_.learned(topic, std::move(stored->positions), stored->durability);
  }
  found(topic, description);
}

void ProducerCore::found(std::uint32_t topic, const Result<TopicDescription>& description) {
  Outcomes outcomes;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    TopicSlot& slot = slots_[topic];
    slot.looking = false;
    slot.known = description.has_value();
    if (description) {
      slot.id = description->id;
      slot.partitions = static_cast<std::int32_t>(description->partitions.size());
      logic_.release(topic);
    } else {
      if (options_.source) slot.broken = description.error();
      logic_.fail_topic(topic, description.error(), outcomes);
    }
    for (Parked& parked : slot.parked) {
      const OutgoingRecord& record = parked.record.borrow();
      parked_bytes_ -= parked.record.size();
      auto partition = description ? partition_of(topic, record) : fail(description.error());
      auto admitted = partition ? logic_.admit({topic, *partition}, record.source_position)
                                : Result<>(fail(partition.error()));
      if (!admitted) {
        outcomes.push_back({std::move(parked.handler), fail(admitted.error())});
        continue;
      }
      logic_.append({topic, *partition}, {record.key, record.value, record.headers, {}},
                    parked.timestamp_ms, std::move(parked.handler), clock_.now(), parked.number,
                    record.source_position);
    }
    slot.parked.clear();
  }
  tell(outcomes);
  pump();
}

// ---- the link's thread: batches ----

void ProducerCore::on_down() {
  const std::lock_guard lock(mutex_);
  logic_.disconnected();
}

void ProducerCore::pump() {
  Outcomes outcomes;
  std::vector<ProducerLogic::Outgoing> outgoing;
  std::vector<TopicId> ids;
  bool ask = false;
  {
    const std::lock_guard lock(mutex_);
    pump_posted_ = false;
    if (closed_) return;
    logic_.take_stored(outcomes);
    logic_.expire(clock_.now(), outcomes);
    if (link_.up()) {
      outgoing = logic_.ready(clock_.now());
      ask = logic_.wants_identity();
    }
    for (const auto& batch : outgoing) ids.push_back(slots_[batch.name.target.topic].id);
    arm_timer();
  }
  if (ask) ask_identity();
  for (std::size_t i = 0; i < outgoing.size(); ++i)
    link_.request(native::Produce{ids[i], outgoing[i].name.target.partition, outgoing[i].bytes,
                                  outgoing[i].source},
                  link_.options().request_timeout,
                  [self = shared_from_this(), name = outgoing[i].name](const auto& reply) {
                    self->on_reply(name, reply);
                  });
  tell(outcomes);
}

void ProducerCore::ask_identity() {
  link_.request(
      native::InitProducer{}, link_.options().request_timeout,
      [self = shared_from_this()](const Result<const native::Reply*>& reply) {
        if (!reply && reply.error() == ErrorCode::kDisconnected) return;  // on_up() asks again
        if (!reply && reply.error().retryable()) return self->link_.reset(reply.error());
        const auto* given = reply ? std::get_if<native::InitProducerReply>(*reply) : nullptr;
        Outcomes outcomes;
        {
          const std::lock_guard lock(self->mutex_);
          if (given)
            self->logic_.identified({given->producer_id, given->epoch});
          else
            self->logic_.fail_all({reply ? ErrorCode::kMalformedFrame : reply.error().code,
                                   "the broker gave no producer id" +
                                       (reply ? std::string() : ": " + reply.error().message()) +
                                       " (without one: .idempotent = false)"},
                                  outcomes);
        }
        self->tell(outcomes);
        self->pump();
      });
}

void ProducerCore::on_reply(const ProducerLogic::BatchName& name,
                            const Result<const native::Reply*>& reply) {
  if (!reply && reply.error() == ErrorCode::kDisconnected) return;  // on_down() sends it again
  // In order, or not at all: what follows a refused batch must not overtake its next attempt.
  if (!reply && reply.error().retryable()) return link_.reset(reply.error());
  Outcomes outcomes;
  bool look = false;
  {
    const std::lock_guard lock(mutex_);
    const auto* produced = reply ? std::get_if<native::ProduceReply>(*reply) : nullptr;
    TopicSlot& slot = slots_[name.target.topic];
    if (produced) {
      logic_.acknowledged(
          name,
          {name.target.partition, produced->base_offset, produced->durability, produced->duplicate},
          outcomes, produced->known);
    } else if (!reply && reply.error() == ErrorCode::kUnknownTopic) {
      // Deleted; perhaps created again under its name, which makes it another topic (rule 7).
      logic_.topic_gone(name);
      slot.known = false;
      look = !std::exchange(slot.looking, true);
    } else {
      logic_.refused(
          name,
          reply ? Error(ErrorCode::kMalformedFrame, "not a reply to a produce") : reply.error(),
          outcomes);
    }
  }
  if (look) look_up(name.target.topic);
  tell(outcomes);
  pump();
}

void ProducerCore::tell(Outcomes& outcomes) {
  const auto self = shared_from_this();  // a handler may let go of it
  for (auto& outcome : outcomes)
    if (outcome.handler) outcome.handler(std::move(outcome.result));
  room_.notify_all();  // also by what nobody asked to be told of
  std::vector<Completion<>> done;
  {
    const std::lock_guard lock(mutex_);
    const auto parked_before = [this](ProducerLogic::Number number) {
      return std::ranges::any_of(slots_, [&](const TopicSlot& slot) {
        return !slot.parked.empty() && slot.parked.front().number <= number;
      });
    };
    std::erase_if(flushes_, [&](Flush& flush) {
      if (!logic_.done_through(flush.through) || parked_before(flush.through)) return false;
      done.push_back(std::move(flush.done));
      return true;
    });
  }
  for (auto& flushed : done) flushed(Result<>());
}

void ProducerCore::arm_timer() {
  const auto next = logic_.next_deadline(clock_.now());
  timer_at_ = next;
  if (!next) return;
  timer_->expires_at(std::max(*next, clock_.now() + std::chrono::milliseconds(1)));
  timer_->async_wait([weak = weak_from_this()](std::error_code error) {
    if (error) return;
    if (const auto self = weak.lock()) self->pump();
  });
}

}  // namespace leat
