// What a saga is made of: steps in their order, each with the command that does it and the one that
// undoes it. Functions see the saga's state and nothing else: they are called again after a crash
// or a conflict, and may be in another process then.
//
//   SagaDefinition order{
//       .name = "order",
//       .reply_to = "order-saga",
//       .steps = {{.name = "reserve",
//                  .command = [](const SagaState& s) { return SagaCommand{"stock", s.data}; },
//                  .compensation = [](const SagaState& s) { return SagaCommand{"stock", s.data};
//                  }},
//                 {.name = "charge",
//                  .command = [](const SagaState& s) { return SagaCommand{"payment", s.data}; }}}};
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/patterns/sql/database.h"

namespace leat::patterns {

inline constexpr std::size_t kMostSagaSteps = 64;
inline constexpr std::size_t kMostSagaName = 64;  // bytes, of definitions and steps
inline constexpr std::size_t kMostSagaId = 200;   // bytes
inline constexpr std::size_t kMostSagaData = 256 << 10;
inline constexpr std::uint32_t kMostSagaAttempts = 1'000;
inline constexpr std::chrono::hours kMostSagaWait{24 * 366};

enum class SagaStatus : std::uint8_t {
  kRunning,
  kCompensating,  // what was done is undone, the last first
  kCompleted,     // every step is done
  kCompensated,   // everything that was done is undone
  kFailed,        // it could not be undone: wants a person, and `leat saga retry`
};
std::string_view name_of(SagaStatus status);
std::optional<SagaStatus> saga_status(std::string_view name);
inline bool has_ended(SagaStatus status) {
  return status != SagaStatus::kRunning && status != SagaStatus::kCompensating;
}

// What the functions of a definition see.
struct SagaState {
  std::string id;
  std::string data;  // the application's own bytes; at most kMostSagaData
  std::string step;  // that the saga is at
  std::uint32_t attempt = 1;
};

// What a participant is asked to do.
struct SagaCommand {
  std::string aggregate_type;  // decides the topic, as OutboxEvent's
  std::string payload = {};
  std::string type = {};  // empty: the step's name, and ".undo" behind it for a compensation
  // Decides the partition; empty: the saga's id. The same for a step and its compensation, or one
  // may overtake the other.
  std::string key = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
};

struct SagaStep {
  std::string name;  // [A-Za-z0-9._-]{1,64}; running sagas know their steps by it
  std::function<SagaCommand(const SagaState&)> command;
  // None: there is nothing to undo. Is also sent for a step that was given up without an answer, so
  // whoever gets it must be content when there is nothing to undo, and then never do the step.
  std::function<SagaCommand(const SagaState&)> compensation = {};
  // Sees the reply of a step that went well, and may change SagaState::data.
  std::function<void(SagaState&, Bytes reply)> on_ok = {};

  std::chrono::milliseconds timeout{30'000};  // of one attempt, without a reply
  std::uint32_t attempts = 3;                 // of the command; then what was done is undone
  std::uint32_t compensation_attempts = 10;   // then the saga has failed
  // Between attempts, doubled from one to the next.
  std::chrono::milliseconds min_backoff{1'000}, max_backoff{60'000};
};

struct SagaDefinition {
  std::string name;      // [A-Za-z0-9._-]{1,64}, no other's in the system
  std::string reply_to;  // topic (aggregate type) of the replies, and of the saga's own time-outs
  std::vector<SagaStep> steps;
  // When a saga ends, in the transaction that ends it: for the business row. A saga that failed and
  // is tried again ends twice.
  std::function<Result<>(Database&, const SagaState&, SagaStatus)> on_end = {};

  const SagaStep* find(std::string_view step) const;
};

// Error kInvalidConfig: what is wrong with it.
Result<> check(const SagaDefinition& definition);
// Error kInvalidRequest: 1 to 200 bytes of UTF-8 without control characters.
Result<> check_saga_id(std::string_view id);

}  // namespace leat::patterns
