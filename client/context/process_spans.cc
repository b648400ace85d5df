#include "client/context/process_spans.h"

#include <utility>

namespace leat {
namespace {

constexpr std::size_t kMostLinks = 128;

}  // namespace

ProcessSpans::~ProcessSpans() {
  for (auto& [index, open] : open_) finish(open, "unsettled", {});
}

void ProcessSpans::describe(TraceSpan& span, const ConsumedRecord& record) const {
  span.add("messaging.system", "leat");
  span.add("messaging.operation.name", "process");
  span.add("messaging.operation.type", "process");
  span.add("messaging.destination.name", std::string(record.topic));
  span.add("messaging.destination.partition.id", std::to_string(record.partition.value));
  if (group_) span.add("messaging.consumer.group.name", *group_);
  span.add("messaging.leat.offset", record.offset.value);
}

SharedContext ProcessSpans::begin(const ConsumedRecord& record, std::uint32_t index) {
  auto child = std::make_shared<MessageContext>(MessageContext::child_of(record));
  OpenSpan open =
      tracer_->start("process " + std::string(record.topic), SpanKind::kConsumer, child->trace);
  child->trace = open.context();
  if (!open.recorded()) return child;
  TraceSpan& span = open.span;
  span.trace_state = child->trace_state;
  describe(span, record);
  span.add("messaging.message.id", child->causation_id);
  span.add("messaging.message.conversation_id", child->correlation_id);
  if (record.value)
    span.add("messaging.message.body.size", static_cast<std::int64_t>(record.value->size()));
  if (record.attempts > 1) span.add("messaging.leat.attempt", std::int64_t{record.attempts});
  open_.insert_or_assign(index, std::move(open));
  return child;
}

void ProcessSpans::begin(std::span<const ConsumedRecord> records) {
  if (records.empty()) return;
  const ConsumedRecord& first = records.front();
  OpenSpan open =
      tracer_->start("process " + std::string(first.topic), SpanKind::kConsumer, std::nullopt);
  if (!open.recorded()) return;
  TraceSpan& span = open.span;
  describe(span, first);
  span.add("messaging.batch.message_count", static_cast<std::int64_t>(records.size()));
  for (const ConsumedRecord& record : records) {
    if (span.links.size() == kMostLinks) break;
    if (const auto sent = MessageContext::from_record(record).trace) span.links.push_back(*sent);
  }
  open_.insert_or_assign(0, std::move(open));
}

void ProcessSpans::settled(std::uint32_t first, std::uint32_t count, std::string_view outcome,
                           const std::string& failure) {
  const auto begin = open_.lower_bound(first);
  auto it = begin;
  for (; it != open_.end() && it->first - first < count; ++it) finish(it->second, outcome, failure);
  open_.erase(begin, it);
}

void ProcessSpans::finish_all() {
  for (auto& [index, open] : open_) finish(open, {}, {});
  open_.clear();
}

void ProcessSpans::finish(OpenSpan& open, std::string_view outcome, const std::string& failure) {
  if (!outcome.empty()) open.span.add("messaging.leat.outcome", std::string(outcome));
  if (!failure.empty()) open.span.error = failure;
  tracer_->finish(std::move(open));
}

}  // namespace leat
