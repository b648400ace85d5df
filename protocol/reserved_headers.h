// The names of the headers that Leat gives a meaning (rule 9). They are headers like any other, so
// every producer can set them, Kafka's too. Values are text, numbers in decimal, times in
// milliseconds since 1970. New names begin with "leat-", but for those that have a standard, and
// stand here.
#pragma once

#include <string_view>

namespace leat::reserved_headers {

inline constexpr std::string_view kId = "leat-id";                 // of the message
inline constexpr std::string_view kDeliverAt = "leat-deliver-at";  // not before
inline constexpr std::string_view kExpiresAt = "leat-expires-at";  // not after

// On a record that was sent again from a dead letter topic: which letter it was. It belongs to the
// id, which is known already.
inline constexpr std::string_view kRedriven = "leat-redriven";

// Request and reply (client/requester.h): where the reply goes, and which request it answers.
inline constexpr std::string_view kReplyTo = "leat-reply-to";  // a topic
inline constexpr std::string_view kReplyPartition = "leat-reply-partition";

// Which flow a message belongs to, and which message caused it (client/context/message_context.h).
// Of a request and its reply the correlation id is theirs alone; where that is part of a flow, the
// flow's id stands beside it.
inline constexpr std::string_view kCorrelationId = "leat-correlation-id";
inline constexpr std::string_view kFlowId = "leat-flow-id";
inline constexpr std::string_view kCausationId = "leat-causation-id";
inline constexpr std::string_view kTraceParent = "traceparent";  // W3C Trace Context
inline constexpr std::string_view kTraceState = "tracestate";

// Sagas (client/patterns/saga/): on a command and its reply, besides kCorrelationId, which is the
// saga's id.
inline constexpr std::string_view kSaga = "leat-saga";             // its definition
inline constexpr std::string_view kSagaStep = "leat-saga-step";    // "charge/1", "charge/1/undo"
inline constexpr std::string_view kSagaReply = "leat-saga-reply";  // a reply's: "ok" or "failed"
inline constexpr std::string_view kSagaTimer = "leat-saga-timer";  // a time-out's: of which version

// On a record in a dead letter topic: why it is there, and where it came from.
inline constexpr std::string_view kDeadReason = "leat-dead-reason";
inline constexpr std::string_view kDeadGroup = "leat-dead-group";
inline constexpr std::string_view kDeadTopic = "leat-dead-topic";
inline constexpr std::string_view kDeadPartition = "leat-dead-partition";
inline constexpr std::string_view kDeadOffset = "leat-dead-offset";
inline constexpr std::string_view kDeadAttempts = "leat-dead-attempts";
inline constexpr std::string_view kDeadAt = "leat-dead-at";

}  // namespace leat::reserved_headers
