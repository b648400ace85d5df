// The rules of a saga, without a database and without a clock: where it is and what happened give
// where it is next, and what is to be sent.
//
// A saga waits for one thing at a time, and each thing it does is a change of its version. So a
// reply counts if it is about the step that is waited for, and a timer if it is of the very version
// that is there; whatever else comes is late, or comes twice, and changes nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "client/patterns/saga/saga_correlation.h"
#include "client/patterns/saga/saga_store.h"

namespace leat::patterns {

struct SagaDecision {
  SagaRow row;                     // from now on
  SagaEvent event;                 // for its history
  const SagaStep* send = nullptr;  // whose command goes out, or, when compensating, compensation
  // Unless the saga has ended, a timer of row.version comes at row.deadline.
};
// Nothing: it changes nothing.
using MaybeSagaDecision = std::optional<SagaDecision>;

class SagaLogic {
 public:
  SagaLogic(const SagaDefinition& definition, Timestamp now) : definition_(definition), now_(now) {}

  // Error kLimitReached: too much data.
  Result<SagaDecision> begin(std::string_view id, std::string_view data) const;
  // Errors: kInvalidConfig (the definition has lost a step that the saga is at or has to undo,
  // or how to undo it),
  // kLimitReached (on_ok made too much data). Throws what on_ok does.
  Result<MaybeSagaDecision> replied(SagaRow row, const SagaAddress& about, SagaOutcome outcome,
                                    Bytes payload) const;
  // Error kInvalidConfig: a lost step; a timer that comes long before its time, as in a group that
  // does not wait for delayed records.
  Result<MaybeSagaDecision> timer(SagaRow row, std::int64_t version) const;

 private:
  SagaDecision decided(SagaRow row, std::string what) const;
  Result<const SagaStep*> step(const SagaRow& row, const std::string& name) const;
  Result<const SagaStep*> current(const SagaRow& row) const;
  void send(SagaDecision& decision, const SagaStep& step, std::uint32_t attempt) const;
  void on_to(SagaDecision& decision, std::size_t index) const;
  Result<> undo_last(SagaDecision& decision) const;
  void again(SagaDecision& decision, const SagaStep& step) const;
  Result<> give_up(SagaDecision& decision, const SagaStep& step) const;

  const SagaDefinition& definition_;
  Timestamp now_;
};

// By hand: a saga that has failed goes on compensating, with all of its attempts; one that waits
// for something overdue is asked again. Needs no definition: its next timer, which is due at once,
// sends. Error kInvalidRequest: it has ended, or what it waits for is not overdue.
Result<SagaDecision> retried(SagaRow row, Timestamp now);

// How long to wait behind an attempt.
std::chrono::milliseconds saga_backoff(const SagaStep& step, std::uint32_t attempt);

}  // namespace leat::patterns
