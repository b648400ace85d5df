// How a command, its reply and a time-out say which saga and which step they belong to: in headers
// (protocol/reserved_headers.h), so that participants in any language can answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "client/patterns/outbox.h"
#include "client/records.h"

namespace leat::patterns {

// Borrows from the record.
struct SagaAddress {
  std::string_view saga;        // its id
  std::string_view definition;  // its name
  std::string_view step;        // empty: a time-out's
  std::uint32_t attempt = 1;
  bool undo = false;  // it is about the step's compensation
};
// Nothing: the record belongs to no saga.
std::optional<SagaAddress> saga_address(const ConsumedRecord& record);
// The value of the header leat-saga-step.
std::string saga_step_text(std::string_view step, std::uint32_t attempt, bool undo);

// A header's value as text.
std::optional<std::string_view> header_text(const ConsumedRecord& record, std::string_view name);

enum class SagaOutcome : std::uint8_t {
  kOk,
  kFailed,  // for business reasons, and without any effect: the saga undoes what was done before
};

// The answer to a command, to be added to the participant's outbox in the transaction that has the
// effect. One command (saga, step, undo or not) is answered alike at every attempt. Borrows from
// both. Error kInvalidRequest: the record is no saga's command.
Result<OutboxEvent> saga_reply(const ConsumedRecord& command, SagaOutcome outcome,
                               std::optional<Bytes> payload = {});

}  // namespace leat::patterns
