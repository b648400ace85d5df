#include "client/context/sending.h"

#include <algorithm>
#include <array>

#include "protocol/base/varint.h"
#include "protocol/reserved_headers.h"

namespace leat {
namespace {
namespace names = reserved_headers;

Result<> check_id(const std::string& id, const char* what) {
  if (id.size() <= kMaxCorrelationBytes) return {};
  return fail(ErrorCode::kInvalidRequest, std::string(what) + " of " + std::to_string(id.size()) +
                                              " bytes; use at most " +
                                              std::to_string(kMaxCorrelationBytes));
}

}  // namespace

Sending::Sending(const OutgoingRecord& record, const RecordHeaders& own)
    : given_(&record), encoded_(as_text(own.encoded())), count_(own.size()) {}

Result<Sending> Sending::make(std::shared_ptr<Tracer> tracer, std::string_view topic,
                              const OutgoingRecord& record, const RecordHeaders& own) {
  Sending sending(record, own);
  const SharedContext from = record.context ? record.context : MessageScope::current();
  if (!from && !tracer) return sending;
  MessageContext context = from ? *from : MessageContext();
  if (auto ok = check_id(context.correlation_id, "a correlation id"); !ok) return fail(ok.error());
  if (auto ok = check_id(context.causation_id, "a causation id"); !ok) return fail(ok.error());
  if (const auto set = parse_traceparent(sending.given(names::kTraceParent))) {
    const std::string_view state = sending.given(names::kTraceState);
    context.trace = set;
    context.trace_state = valid_tracestate(state) ? state : std::string_view();
  }
  const bool renewed = tracer != nullptr;
  if (tracer) sending.start(std::move(tracer), topic, context);
  sending.put_headers(context, renewed);
  return sending;
}

void Sending::start(std::shared_ptr<Tracer> tracer, std::string_view topic,
                    MessageContext& context) {
  OpenSpan open = tracer->start("send " + std::string(topic), SpanKind::kProducer, context.trace);
  context.trace = open.context();
  if (!open.recorded()) return;
  TraceSpan& span = open.span;
  span.trace_state = context.trace_state;
  span.add("messaging.system", "leat");
  span.add("messaging.operation.name", "send");
  span.add("messaging.operation.type", "send");
  span.add("messaging.destination.name", std::string(topic));
  if (given_->id) span.add("messaging.message.id", std::string(as_text(*given_->id)));
  if (given_->value)
    span.add("messaging.message.body.size", static_cast<std::int64_t>(given_->value->size()));
  const std::string_view correlation = given(names::kCorrelationId);
  if (!correlation.empty() || !context.correlation_id.empty())
    span.add("messaging.message.conversation_id",
             context.correlation_id.empty() ? std::string(correlation) : context.correlation_id);
  traced_ = std::make_shared<Traced>(std::move(tracer), std::move(open), Completion<Ack>());
}

// What the application set stands where it is; a trace's headers are renewed as a whole.
void Sending::put_headers(const MessageContext& context, bool renewed) {
  if (given(names::kCorrelationId).empty()) add(names::kCorrelationId, context.correlation_id);
  if (given(names::kCausationId).empty()) add(names::kCausationId, context.causation_id);
  const bool set = !given(names::kTraceParent).empty();
  if (!context.trace || (set && !renewed)) return;
  for (const std::string_view name : {names::kTraceParent, names::kTraceState}) take_out(name);
  add(names::kTraceParent, format_traceparent(*context.trace));
  add(names::kTraceState, context.trace_state);
}

void Sending::add(std::string_view name, std::string_view value) {
  if (value.empty()) return;
  for (const std::string_view part : {name, value}) {
    std::array<std::byte, kMaxVarintBytes> length;
    const std::byte* end = put_varint(length.data(), static_cast<std::int64_t>(part.size()));
    encoded_ += as_text(Bytes(length.data(), static_cast<std::size_t>(end - length.data())));
    encoded_ += part;
  }
  ++count_;
}

// The first header of that name; empty: there is none.
std::string_view Sending::given(std::string_view name) const {
  const auto it = std::ranges::find(record().headers, name, &RecordHeader::key);
  if (it == record().headers.end() || !it->value) return {};
  return as_text(*it->value);
}

void Sending::take_out(std::string_view name) {
  const auto is_it = [&](const RecordHeader& header) { return header.key == name; };
  if (!std::ranges::any_of(record().headers, is_it)) return;
  if (!changed_) changed_ = *given_;
  std::erase_if(changed_->headers, is_it);
}

// ---- the span ----

void Sending::Traced::finish(const Result<Ack>& ack) {
  if (ack) {
    span.span.add("messaging.destination.partition.id", std::to_string(ack->partition.value));
    if (ack->offset.value >= 0) span.span.add("messaging.leat.offset", ack->offset.value);
    if (ack->duplicate) span.span.add("messaging.leat.duplicate", "true");
  } else {
    span.span.add("error.type", std::string(error_info(ack.error().code).name));
    span.span.error = ack.error().message();
  }
  tracer->finish(std::move(span));
}

Completion<Ack> Sending::traced(Completion<Ack>& handler) {
  if (!traced_) return std::move(handler);
  traced_->handler = std::move(handler);
  return [traced = traced_](Result<Ack> ack) {
    traced->finish(ack);
    if (traced->handler) traced->handler(std::move(ack));
  };
}

void Sending::give_back(Completion<Ack>& handler, const Error& why) {
  if (!traced_) return;
  handler = std::move(traced_->handler);
  traced_->finish(fail(why));
}

}  // namespace leat
