#include "client/context/process_spans.h"

#include <algorithm>

namespace leat {
namespace {

constexpr std::size_t kMostLinks = 128;

void describe(TraceSpan& span, const ConsumedRecord& record, const std::string* group) {
  span.add("messaging.system", "leat");
  span.add("messaging.operation.name", "process");
  span.add("messaging.operation.type", "process");
  span.add("messaging.destination.name", std::string(record.topic));
  span.add("messaging.destination.partition.id", std::to_string(record.partition.value));
  if (group) span.add("messaging.consumer.group.name", *group);
}

}  // namespace

ProcessSpans::~ProcessSpans() {
  for (auto& [first, open] : open_) {
    open.outcome = "unsettled";
    finish(open);
  }
}

SharedContext ProcessSpans::begin(std::span<const ConsumedRecord> records, std::uint32_t first) {
  if (records.empty()) return nullptr;
  const bool one = records.size() == 1;
  Open open{one ? begin_one(records.front()) : begin_many(records), records.size()};
  SharedContext context;
  if (one) {
    auto child = std::make_shared<MessageContext>(MessageContext::child_of(records.front()));
    child->trace = open.span.context();
    context = std::move(child);
  }
  open_.insert_or_assign(first, std::move(open));
  return context;
}

OpenSpan ProcessSpans::begin_one(const ConsumedRecord& record) {
  const MessageContext context = MessageContext::from_record(record);
  OpenSpan open =
      tracer_->start("process " + std::string(record.topic), SpanKind::kConsumer, context.trace);
  if (!open.recorded()) return open;
  TraceSpan& span = open.span;
  span.trace_state = context.trace_state;
  describe(span, record, group_.get());
  span.add("messaging.message.id", message_id(record));
  span.add("messaging.leat.offset", record.offset.value);
  if (record.value)
    span.add("messaging.message.body.size", static_cast<std::int64_t>(record.value->size()));
  if (!context.correlation_id.empty())
    span.add("messaging.message.conversation_id", context.correlation_id);
  if (record.attempts > 1) span.add("messaging.leat.attempt", std::int64_t{record.attempts});
  return open;
}

OpenSpan ProcessSpans::begin_many(std::span<const ConsumedRecord> records) {
  OpenSpan open = tracer_->start("process " + std::string(records.front().topic),
                                 SpanKind::kConsumer, std::nullopt);
  if (!open.recorded()) return open;
  TraceSpan& span = open.span;
  describe(span, records.front(), group_.get());
  span.add("messaging.batch.message_count", static_cast<std::int64_t>(records.size()));
  span.add("messaging.leat.offset", records.front().offset.value);
  for (const ConsumedRecord& record : records) {
    if (span.links.size() == kMostLinks) break;
    if (const auto trace = MessageContext::from_record(record).trace) span.links.push_back(*trace);
  }
  return open;
}

void ProcessSpans::settled(std::uint32_t first, std::size_t settled, std::string_view outcome,
                           std::string failure) {
  auto it = open_.upper_bound(first);
  if (it == open_.begin()) return;
  Open& open = (--it)->second;
  open.outcome = outcome;
  if (!failure.empty()) {
    open.failed += settled;
    open.failure = std::move(failure);
  }
  open.records -= std::min(settled, open.records);
  if (open.records > 0) return;
  finish(open);
  open_.erase(it);
}

void ProcessSpans::finish_all() {
  for (auto& [first, open] : open_) finish(open);
  open_.clear();
}

void ProcessSpans::finish(Open& open) {
  TraceSpan& span = open.span.span;
  if (open.span.recorded()) {
    if (!open.outcome.empty()) span.add("messaging.leat.outcome", std::string(open.outcome));
    if (open.failed > 0) span.error = open.failure;
  }
  tracer_->finish(std::move(open.span));
}

}  // namespace leat
