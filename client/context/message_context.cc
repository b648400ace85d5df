#include "client/context/message_context.h"

#include <utility>

#include "client/shared_record.h"
#include "protocol/reserved_headers.h"

namespace leat {
namespace {

constinit thread_local MessageScope* t_innermost = nullptr;

std::string_view text_of(const RecordHeader& header) {
  return header.value ? as_text(*header.value) : std::string_view();
}

// The first of a name counts.
void keep(std::string& id, const RecordHeader& header) {
  if (id.empty() && text_of(header).size() <= kMaxCorrelationBytes) id = text_of(header);
}

}  // namespace

MessageContext MessageContext::begin(std::string correlation_id) {
  return {.correlation_id = std::move(correlation_id)};
}

MessageContext MessageContext::from_headers(const RecordHeaders& headers) {
  namespace names = reserved_headers;
  MessageContext context;
  std::string flow;
  std::string_view state;
  for (const RecordHeader& header : headers) {
    if (header.key == names::kCorrelationId)
      keep(context.correlation_id, header);
    else if (header.key == names::kFlowId)
      keep(flow, header);
    else if (header.key == names::kCausationId)
      keep(context.causation_id, header);
    else if (header.key == names::kTraceParent && !context.trace)
      context.trace = parse_traceparent(text_of(header));
    else if (header.key == names::kTraceState && state.empty())
      state = text_of(header);
  }
  if (!flow.empty()) context.correlation_id = std::move(flow);
  if (context.trace && valid_tracestate(state)) context.trace_state = state;
  return context;
}

MessageContext MessageContext::child_of(const ConsumedRecord& record) {
  MessageContext context = from_record(record);
  context.causation_id = causation_id_of(record);
  if (context.correlation_id.empty()) context.correlation_id = context.causation_id;
  return context;
}

std::vector<OwnedHeader> MessageContext::to_headers() const {
  namespace names = reserved_headers;
  std::vector<OwnedHeader> headers;
  const auto add = [&](std::string_view name, std::string value) {
    if (!value.empty()) headers.push_back({std::string(name), std::move(value)});
  };
  add(names::kCorrelationId, correlation_id);
  add(names::kCausationId, causation_id);
  if (!trace) return headers;
  add(names::kTraceParent, format_traceparent(*trace));
  add(names::kTraceState, trace_state);
  return headers;
}

std::string causation_id_of(const ConsumedRecord& record) {
  const auto id = record.headers.find(reserved_headers::kId);
  if (id && !text_of(*id).empty() && text_of(*id).size() <= kMaxCorrelationBytes)
    return std::string(text_of(*id));
  // No longer than 255 bytes, but where the topic's name is of the longest: then its end is.
  std::string where =
      "/" + std::to_string(record.partition.value) + "/" + std::to_string(record.offset.value);
  return std::string(record.topic.substr(0, kMaxCorrelationBytes - where.size())) + where;
}

// ---- the scope ----

MessageScope::MessageScope(SharedContext context)
    : context_(std::move(context)), outer_(std::exchange(t_innermost, this)) {}

MessageScope::MessageScope(const ConsumedRecord& record)
    : record_(record), begins_(true), outer_(std::exchange(t_innermost, this)) {}

MessageScope::MessageScope(const SharedRecord& record)
    : begins_(true), context_(record.context), outer_(std::exchange(t_innermost, this)) {
  if (!context_) record_ = record;
}

MessageScope::MessageScope(Lazily, const ConsumedRecord& record, std::shared_ptr<const void> owner)
    : record_(record), owner_(std::move(owner)), outer_(std::exchange(t_innermost, this)) {}

MessageScope::~MessageScope() {
  t_innermost = outer_;
}

bool MessageScope::active() noexcept {
  return t_innermost != nullptr;
}

SharedContext MessageScope::current() {
  MessageScope* scope = t_innermost;
  if (!scope) return nullptr;
  if (const auto record = std::exchange(scope->record_, std::nullopt))
    if (scope->begins_ || !MessageContext::from_record(*record).empty())
      scope->context_ = std::make_shared<MessageContext>(MessageContext::child_of(*record));
  return scope->context_;
}

}  // namespace leat
