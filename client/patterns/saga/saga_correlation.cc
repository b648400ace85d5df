#include "client/patterns/saga/saga_correlation.h"

#include <charconv>

#include "client/context/message_context.h"
#include "protocol/reserved_headers.h"

namespace leat::patterns {
namespace {

constexpr std::string_view kUndo = "/undo";

// "charge/2", "charge/2/undo".
bool read_step(std::string_view text, SagaAddress& address) {
  address.undo = text.ends_with(kUndo);
  if (address.undo) text.remove_suffix(kUndo.size());
  const std::size_t slash = text.rfind('/');
  if (slash == text.npos || slash == 0) return false;
  address.step = text.substr(0, slash);
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data() + slash + 1, end, address.attempt);
  return read.ec == std::errc() && read.ptr == end && address.attempt > 0;
}

}  // namespace

std::optional<std::string_view> header_text(const ConsumedRecord& record, std::string_view name) {
  const auto found = record.headers.find(name);
  if (!found || !found->value) return std::nullopt;
  return as_text(*found->value);
}

std::string saga_step_text(std::string_view step, std::uint32_t attempt, bool undo) {
  std::string text(step);
  text += '/';
  text += std::to_string(attempt);
  if (undo) text += kUndo;
  return text;
}

std::optional<SagaAddress> saga_address(const ConsumedRecord& record) {
  const auto saga = header_text(record, reserved_headers::kCorrelationId);
  const auto definition = header_text(record, reserved_headers::kSaga);
  if (!saga || saga->empty() || !definition) return std::nullopt;
  SagaAddress address{.saga = *saga, .definition = *definition, .step = {}};
  if (const auto step = header_text(record, reserved_headers::kSagaStep);
      step && !read_step(*step, address))
    return std::nullopt;
  return address;
}

Result<OutboxEvent> saga_reply(const ConsumedRecord& command, SagaOutcome outcome,
                               std::optional<Bytes> payload) {
  const auto address = saga_address(command);
  const auto reply_to = header_text(command, reserved_headers::kReplyTo);
  if (!address || address->step.empty() || !reply_to || reply_to->empty())
    return fail(ErrorCode::kInvalidRequest,
                "the record is no saga's command: it wants the headers leat-correlation-id, "
                "leat-saga, leat-saga-step and leat-reply-to");
  OutboxEvent event{.aggregate_type = *reply_to,
                    .aggregate_id = address->saga,
                    .type = "SagaReply",
                    .payload = payload};
  const auto copy = [&](std::string_view name) {
    if (const auto header = command.headers.find(name)) event.headers.push_back(*header);
  };
  for (const std::string_view name : {reserved_headers::kCorrelationId, reserved_headers::kFlowId,
                                      reserved_headers::kSaga, reserved_headers::kSagaStep})
    copy(name);
  // The outbox knows better where the command is handled in a span of its own.
  if (const SharedContext context = MessageScope::current(); !context || !context->trace) {
    copy(reserved_headers::kTraceParent);
    copy(reserved_headers::kTraceState);
  }
  event.headers.push_back(
      {reserved_headers::kSagaReply, bytes(outcome == SagaOutcome::kOk ? "ok" : "failed")});
  return event;
}

}  // namespace leat::patterns
