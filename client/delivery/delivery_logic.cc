#include "client/delivery/delivery_logic.h"

#include <algorithm>

#include "client/context/process_spans.h"

namespace leat {
namespace {

constexpr std::size_t kMostAtOnce = Parcel::kMostRanges;  // so that one request acks them all

void end_spans(ProcessSpans& spans, std::uint32_t first, std::uint32_t count,
               const Settlement& settlement) {
  switch (settlement.outcome) {
    case native::Outcome::kAck:
      return spans.settled(first, count, "ack", {});
    case native::Outcome::kReject:
      return spans.settled(first, count, "reject", "rejected: " + settlement.reason);
    default:
      return spans.settled(first, count, "nack", "not acked: to be delivered again");
  }
}

Error invalid(const char* what) {
  return {ErrorCode::kInvalidRequest, what};
}

// The offsets of a batch, and how many records it has.
struct Span {
  Offset first, last;
  std::uint64_t records;
};

// The batches of a delivery: whole, undamaged, ascending.
Result<std::vector<Span>> check_batches(Bytes batches) {
  std::vector<Span> spans;
  for (Bytes rest = batches; !rest.empty();) {
    auto batch = RecordBatchView::parse(rest);
    if (!batch) return fail(batch.error());
    if (auto ok = batch->check(); !ok) return fail(ok.error());
    if (!spans.empty() && batch->base_offset() <= spans.back().last)
      return fail(ErrorCode::kInvalidBatch, "batches that were delivered are not in order");
    spans.push_back({batch->base_offset(), batch->last_offset(),
                     static_cast<std::uint64_t>(batch->record_count())});
    rest = rest.subspan(batch->bytes().size());
  }
  return spans;
}

bool ascend(const std::vector<native::DeliveredRange>& ranges) {
  for (std::size_t i = 0; i < ranges.size(); ++i)
    if (ranges[i].first > ranges[i].last || (i > 0 && ranges[i].first <= ranges[i - 1].last))
      return false;
  return true;
}

// Whether each offset of the ranges lies in a batch; both ascend.
bool covered(const std::vector<native::DeliveredRange>& ranges, const std::vector<Span>& spans) {
  auto span = spans.begin();
  for (const native::DeliveredRange& range : ranges) {
    for (Offset at = range.first; at <= range.last; at = span->last + 1) {
      while (span != spans.end() && span->last < at) ++span;
      if (span == spans.end() || span->first > at) return false;
    }
  }
  return true;
}

template <class Ranges>
std::uint64_t offsets_in(const Ranges& ranges) {
  std::uint64_t count = 0;
  for (const native::DeliveredRange& range : ranges)
    count += static_cast<std::uint64_t>(range.last - range.first) + 1;
  return count;
}

}  // namespace

Result<> check_leasing(const ConsumerOptions& options) {
  using Start = StartFrom::Kind;
  if (!options.group)
    return fail(invalid("members of shared and key_shared groups need a group: name one"));
  if (options.by_hand || !options.partitions.empty())
    return fail(invalid(
        "members of shared and key_shared groups get records of all partitions: choose none"));
  if (options.start.kind != Start::kEarliest && options.start.kind != Start::kLatest)
    return fail(
        invalid("shared and key_shared groups begin at the earliest or the latest record; to begin "
                "elsewhere, set the offsets of the group while it has no members"));
  if (options.ignore_committed)
    return fail(
        invalid("shared and key_shared groups go on where they were; to begin elsewhere, set the "
                "offsets of "
                "the group while it has no members"));
  if (options.auto_commit.count() > 0)
    return fail(
        invalid("records of shared and key_shared groups are acked, not committed: use "
                "auto_ack"));
  return {};
}

DeliveryLogic::DeliveryLogic(const ConsumerOptions& options) : options_(options) {}

// ---- the membership ----

DeliveryLogic::Grants DeliveryLogic::attach() {
  ++generation_;
  received_ = outstanding_ = {};
  granted_ = {std::max<std::size_t>(options_.prefetch_records, 1),
              std::max<std::size_t>(options_.prefetch_bytes, 1)};
  return granted_;
}

std::vector<Parcel> DeliveryLogic::detach() {
  ++generation_;
  held_.clear();
  current_.reset();
  given_.reset();
  granted_ = received_ = outstanding_ = {};
  leased_.clear();
  answering_ = extending_ = false;
  std::vector<Parcel> unsent;
  while (auto parcel = gathered_.take()) unsent.push_back(std::move(*parcel));
  return unsent;
}

// Once the broker may send less than half of what there is room for: neither does it run dry, nor
// does each record that is settled cost a frame.
std::optional<DeliveryLogic::Grants> DeliveryLogic::wanted_grants() {
  const auto raised = [](std::uint64_t bound, std::uint64_t outstanding, std::uint64_t received,
                         std::uint64_t granted) {
    const std::uint64_t room = bound > outstanding ? bound - outstanding : 0;
    const std::uint64_t left = granted > received ? granted - received : 0;
    return room > 0 && left <= room / 2 ? std::max(granted, received + room) : granted;
  };
  const Grants wanted{raised(std::max<std::size_t>(options_.prefetch_records, 1),
                             outstanding_.records, received_.records, granted_.records),
                      raised(std::max<std::size_t>(options_.prefetch_bytes, 1), outstanding_.bytes,
                             received_.bytes, granted_.bytes)};
  if (wanted == granted_) return std::nullopt;
  granted_ = wanted;
  return granted_;
}

void DeliveryLogic::release(std::uint64_t delivery, std::uint64_t records, std::uint64_t bytes) {
  leased_.remove(delivery, records);
  outstanding_.records -= std::min(outstanding_.records, records);
  outstanding_.bytes -= std::min(outstanding_.bytes, bytes);
}

// ---- deliveries ----

Result<> DeliveryLogic::delivered(const native::Delivery& delivery) {
  if (!ascend(delivery.ranges) || (by_key() && delivery.ranges.empty()))
    return fail(ErrorCode::kMalformedFrame, "ranges that were delivered do not ascend");
  const auto spans = check_batches(delivery.batches);
  if (spans && !by_key() && !covered(delivery.ranges, *spans))
    return fail(ErrorCode::kMalformedFrame, "ranges that were delivered lie outside their batches");
  // By key each record of the batches was delivered. Of damaged ones, what there may be at most.
  std::uint64_t records = by_key() ? 0 : offsets_in(delivery.ranges);
  if (by_key() && spans)
    for (const Span& span : *spans) records += span.records;
  if (by_key() && !spans)
    records = granted_.records - std::min(granted_.records, received_.records);
  const Grants size{records, delivery.batches.size()};
  received_ = {received_.records + size.records, received_.bytes + size.bytes};
  Held held{nullptr,
            {},
            delivery.partition,
            std::make_shared<const std::string>(delivery.topic),
            {delivery.ranges.begin(), delivery.ranges.end()},
            delivery.number,
            records};
  if (!spans) {
    report(held, spans.error());
    made_room_ = true;
    return {};
  }
  outstanding_ = {outstanding_.records + size.records, outstanding_.bytes + size.bytes};
  if (by_key() && !spans->empty())
    leased_.add(delivery.number, delivery.partition, spans->front().first, spans->back().last,
                records);
  if (!by_key() && !delivery.ranges.empty())
    leased_.add(delivery.number, delivery.partition, delivery.ranges.front().first,
                delivery.ranges.back().last, records);
  held.bytes = std::make_shared<const std::vector<std::byte>>(delivery.batches.begin(),
                                                              delivery.batches.end());
  held.rest = Bytes(*held.bytes);
  held_.push_back(std::move(held));
  return {};
}

void DeliveryLogic::report(const Held& held, const Error& why) {
  std::string where =
      "partition " + std::to_string(held.partition.partition.value) + " of '" + *held.topic + "'";
  if (!why.detail.empty()) where += ": " + why.detail;
  errors_.emplace_back(why.code, std::move(where));
}

// ---- handing out ----

bool DeliveryLogic::holds_something() const {
  return has_current() || !held_.empty() || !errors_.empty();
}

// True: current_ has records.
bool DeliveryLogic::refill() {
  while (!has_current()) {
    current_.reset();
    if (held_.empty()) return false;
    Held& held = held_.front();
    if (auto ok = decode(held); !ok) {
      report(held, ok.error());
      release(held.number, held.records, held.rest.size());
      made_room_ = true;
      held.rest = {};
    }
    if (held.rest.empty()) held_.pop_front();
  }
  return true;
}

// Some batches of a delivery, from its front: bounded, for decompressed they may be much.
Result<> DeliveryLogic::decode(Held& held) {
  Current current{std::make_shared<Decoded>(), {}, 0};
  Decoded& owner = *current.owner;
  owner.bytes = held.bytes;
  owner.topic = held.topic;
  owner.lease.settler = settler_;
  owner.lease.generation = generation_;
  owner.lease.delivery = held.number;
  owner.lease.topic = held.partition.topic;
  owner.lease.partition = held.partition.partition;
  owner.lease.first_number = numbered_;
  std::size_t decompressed = 0;
  do {
    const auto bytes = decode_batch(held, current);
    if (!bytes && current.records.empty()) {
      release(held.number, 0, owner.lease.bytes);
      return fail(bytes.error());
    }
    if (!bytes) break;  // told once what comes before it was handed out
    decompressed += *bytes;
  } while (!held.rest.empty() && decompressed < options_.prefetch_bytes &&
           current.records.size() < kMostAtOnce);
  owner.lease.unsettled = static_cast<std::uint32_t>(owner.lease.records.size());
  numbered_ += owner.lease.unsettled;
  if (owner.lease.unsettled > 0) {
    current_ = std::move(current);
  } else {
    release(held.number, 0, owner.lease.bytes);
    made_room_ = true;
  }
  return {};
}

// Gives how much memory it took.
Result<std::size_t> DeliveryLogic::decode_batch(Held& held, Current& current) {
  const auto batch = RecordBatchView::parse(held.rest);
  auto reader = RecordReader::open(*batch, options_.decompressed_bytes);
  if (!reader) return fail(reader.error());
  Lease& lease = current.owner->lease;
  if (current.records.empty()) {
    const auto most = std::min<std::uint64_t>(held.records, kMostAtOnce);
    current.records.reserve(most);
    lease.records.reserve(most);
  }
  for (const RecordView& record : *reader) {
    if (by_key()) {
      while (held.ranges.size() > 1 && held.ranges.front().last < record.offset)
        held.ranges.pop_front();
    } else {
      ack_gaps(held, record.offset);
      if (held.ranges.empty() || held.ranges.front().first != record.offset) continue;
    }
    add_record(held, record, batch->leader_epoch().value, current);
  }
  if (!by_key()) ack_gaps(held, batch->last_offset() + 1);
  const std::size_t memory = reader->decompressed_bytes();
  current.owner->readers.push_back(std::move(*reader));
  lease.bytes += batch->bytes().size();
  held.rest = held.rest.subspan(batch->bytes().size());
  return memory;
}

void DeliveryLogic::add_record(Held& held, const RecordView& record, std::int32_t leader_epoch,
                               Current& current) {
  native::DeliveredRange& range = held.ranges.front();
  current.records.push_back({held.partition.partition, record.offset, record.timestamp_ms,
                             record.key, record.value, record.headers, *held.topic, range.attempt,
                             leader_epoch, &current.owner->lease.topic});
  current.owner->lease.records.push_back({record.offset});
  held.records -= std::min<std::uint64_t>(held.records, 1);
  if (by_key()) return;
  if (range.first == range.last)
    held.ranges.pop_front();
  else
    range.first = record.offset + 1;
}

// Offsets below `end` that were delivered and hold no record, because compaction took it: nobody
// else could settle them. By key the broker sees to them.
void DeliveryLogic::ack_gaps(Held& held, Offset end) {
  while (!held.ranges.empty() && held.ranges.front().first < end) {
    native::DeliveredRange& range = held.ranges.front();
    const Offset last = std::min(range.last, end + -1);
    const auto offsets = static_cast<std::uint64_t>(last - range.first) + 1;
    gathered_.add_range(held.partition, held.number, native::Outcome::kAck, range.first, last);
    release(held.number, offsets, 0);
    held.records -= std::min(held.records, offsets);
    if (last == range.last)
      held.ranges.pop_front();
    else
      range.first = end;
  }
}

// The next `count` of current_, which is let go of at its end: whoever has the records keeps them.
void DeliveryLogic::handed_out(std::uint32_t count) {
  const std::uint32_t first = current_->next;
  if (options_.auto_ack) given_ = {current_->owner, first, count};
  current_->next += count;
  if (!has_current()) current_.reset();
}

Result<SharedRecords> DeliveryLogic::take() {
  if (auto error = take_error()) return fail(std::move(*error));
  if (!refill()) {
    if (auto error = take_error()) return fail(std::move(*error));
    return SharedRecords();
  }
  auto& records = current_->records;
  const std::uint32_t first = current_->next;
  const auto count =
      static_cast<std::uint32_t>(std::min<std::size_t>(records.size() - first, kMostAtOnce));
  SharedRecords given{{}, current_->owner, &current_->owner->lease, first};
  if (count == records.size())
    given.records = std::exchange(records, {});
  else
    given.records.assign(records.begin() + first, records.begin() + first + count);
  handed_out(count);
  return given;
}

Result<std::optional<SharedRecord>> DeliveryLogic::next() {
  if (auto error = take_error()) return fail(std::move(*error));
  if (!refill()) {
    if (auto error = take_error()) return fail(std::move(*error));
    return std::optional<SharedRecord>();
  }
  SharedRecord record{current_->records[current_->next], current_->owner, &current_->owner->lease,
                      current_->next};
  handed_out(1);
  return std::optional(std::move(record));
}

std::optional<Error> DeliveryLogic::take_error() {
  if (errors_.empty() || has_current()) return std::nullopt;
  Error error = std::move(errors_.front());
  errors_.pop_front();
  return error;
}

void DeliveryLogic::came_for_more() {
  if (!given_) return;
  const Given given = *std::exchange(given_, std::nullopt);
  Completion<> nobody;
  [[maybe_unused]] const auto settled =  // by the caller, perhaps
      settle(given.owner->lease, given.first, given.count, {}, nobody);
}

// ---- settling ----

std::optional<Result<>> DeliveryLogic::settle(Lease& lease, std::uint32_t first,
                                              std::uint32_t count, const Settlement& settlement,
                                              Completion<>& done) {
  if (lease.generation != generation_)
    return fail(ErrorCode::kLeaseLost, "the connection it came over was lost");
  // By itself: the broker would refuse it together with what others settle.
  if (settlement.reason.size() > native::Settle::kMostReasonBytes)
    return fail(ErrorCode::kInvalidRequest,
                "a reason of " + std::to_string(settlement.reason.size()) + " bytes; use at most " +
                    std::to_string(native::Settle::kMostReasonBytes));
  settling_.clear();
  for (std::uint32_t i = first; i < first + count; ++i)
    if (const auto& [offset, settled] = lease.records[i]; !settled)
      settling_.push_back(
          {offset, by_key() ? lease.first_number + i : static_cast<std::uint64_t>(offset.value)});
  if (settling_.empty() && count == 1) return fail(ErrorCode::kLeaseLost, "it was settled before");
  if (settling_.empty()) return Result<>();
  gathered_.add({lease.topic, lease.partition}, lease.delivery, settlement, settling_,
                std::move(done));
  if (settlement.outcome == native::Outcome::kExtend) return std::nullopt;
  if (lease.spans) end_spans(*lease.spans, first, count, settlement);
  for (std::uint32_t i = first; i < first + count; ++i) lease.records[i].settled = true;
  lease.unsettled -= static_cast<std::uint32_t>(settling_.size());
  release(lease.delivery, settling_.size(), lease.unsettled == 0 ? lease.bytes : 0);
  return std::nullopt;
}

void DeliveryLogic::dropped(std::uint64_t generation, std::uint64_t delivery, std::uint32_t records,
                            std::size_t bytes) {
  if (generation == generation_) release(delivery, records, bytes);
}

// Once is enough until it is sent. What has ended since is refused, and nobody is told.
void DeliveryLogic::extend_all() {
  if (!leased_.empty() && !std::exchange(extending_, true)) leased_.extend(gathered_);
}

std::optional<Parcel> DeliveryLogic::wanted_settlements() {
  if (answering_) return std::nullopt;
  auto parcel = gathered_.take();
  answering_ = parcel.has_value();
  extending_ = false;
  return parcel;
}

}  // namespace leat
