#include "client/patterns/saga/saga_logic.h"

#include <algorithm>

#include "protocol/names.h"

namespace leat::patterns {
namespace {

bool is_undoing(const SagaRow& row) {
  return row.status == SagaStatus::kCompensating;
}

std::string at_step(const SagaRow& row) {
  return saga_step_text(row.state.step, row.state.attempt, is_undoing(row));
}

Result<> check_data(const SagaState& state) {
  if (state.data.size() <= kMostSagaData) return {};
  return fail(ErrorCode::kLimitReached, "saga '" + state.id + "' has " +
                                            std::to_string(state.data.size()) +
                                            " bytes of data, of " + std::to_string(kMostSagaData) +
                                            " that it may have: keep them in a table of your own");
}

// What the application makes of a reply; of the state only its own part is taken.
Result<> change_data(const SagaStep& step, SagaState& state, Bytes reply) {
  if (!step.on_ok) return {};
  SagaState seen = state;
  step.on_ok(seen, reply);
  state.data = std::move(seen.data);
  return check_data(state);
}

// Of a refusal, what the history keeps: text that a database takes.
std::string said(Bytes reply) {
  constexpr std::size_t kMost = 200;  // bytes
  const std::string_view text = as_text(reply);
  if (!is_utf8(text) || text.find('\0') != text.npos) return escaped(text, kMost);
  std::size_t end = std::min(text.size(), kMost);
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)) + (end < text.size() ? "..." : "");
}

void end(SagaDecision& decision, SagaStatus status) {
  decision.row.status = status;
  decision.row.backs_off = false;
}

// What the history says of the state that a decision came to.
SagaDecision finished(SagaDecision decision) {
  decision.event.status = decision.row.status;
  if (decision.send) decision.event.sent = at_step(decision.row);
  return decision;
}

}  // namespace

std::chrono::milliseconds saga_backoff(const SagaStep& step, std::uint32_t attempt) {
  auto wait = step.min_backoff;
  for (std::uint32_t i = 1; i < attempt && wait < step.max_backoff && wait.count() > 0; ++i)
    wait *= 2;
  return std::min(wait, step.max_backoff);
}

SagaDecision SagaLogic::decided(SagaRow row, std::string what) const {
  SagaDecision decision{.row = std::move(row), .event = {}};
  decision.event.step = at_step(decision.row);
  decision.event.what = std::move(what);
  decision.event.at = decision.row.updated = now_;
  decision.event.version = ++decision.row.version;
  return decision;
}

Result<const SagaStep*> SagaLogic::step(const SagaRow& row, const std::string& name) const {
  if (const SagaStep* const found = definition_.find(name)) return found;
  return fail(ErrorCode::kInvalidConfig,
              "saga '" + row.state.id + "' needs the step '" + name + "', which '" +
                  definition_.name +
                  "' does not have any more: keep the steps of sagas that are under way");
}

// The step that is waited for, to be sent again or given up.
Result<const SagaStep*> SagaLogic::current(const SagaRow& row) const {
  const auto found = step(row, row.state.step);
  if (!found || !is_undoing(row) || (*found)->compensation) return found;
  return fail(
      ErrorCode::kInvalidConfig,
      "saga '" + row.state.id + "' is undoing the step '" + row.state.step + "', and '" +
          definition_.name +
          "' does not say how any more: keep the compensations of sagas that are under way");
}

void SagaLogic::send(SagaDecision& decision, const SagaStep& step, std::uint32_t attempt) const {
  decision.row.state.step = step.name;
  decision.row.state.attempt = attempt;
  decision.row.backs_off = false;
  decision.row.deadline = now_ + step.timeout;
  decision.send = &step;
}

void SagaLogic::on_to(SagaDecision& decision, std::size_t index) const {
  if (index < definition_.steps.size())
    send(decision, definition_.steps[index], 1);
  else
    end(decision, SagaStatus::kCompleted);
}

Result<> SagaLogic::undo_last(SagaDecision& decision) const {
  SagaRow& row = decision.row;
  row.status = SagaStatus::kCompensating;
  for (; !row.done.empty(); row.done.pop_back()) {
    const auto last = step(row, row.done.back());
    if (!last) return fail(last.error());
    if (!(*last)->compensation) continue;
    send(decision, **last, 1);
    return {};
  }
  end(decision, SagaStatus::kCompensated);
  return {};
}

void SagaLogic::again(SagaDecision& decision, const SagaStep& step) const {
  const auto wait = saga_backoff(step, decision.row.state.attempt);
  if (wait.count() == 0) return send(decision, step, decision.row.state.attempt + 1);
  decision.row.backs_off = true;
  decision.row.deadline = now_ + wait;
}

// A step that never answered may have been done.
Result<> SagaLogic::give_up(SagaDecision& decision, const SagaStep& step) const {
  SagaRow& row = decision.row;
  const std::string after = " after " + std::to_string(row.state.attempt) + " attempts";
  if (is_undoing(row)) {
    row.why += (row.why.empty() ? "" : "; ") + step.name + " could not be undone" + after;
    end(decision, SagaStatus::kFailed);
    return {};
  }
  row.why = step.name + " did not answer" + after;
  row.done.push_back(step.name);
  return undo_last(decision);
}

Result<SagaDecision> SagaLogic::begin(std::string_view id, std::string_view data) const {
  SagaRow row{.state = {.id = std::string(id), .data = std::string(data), .step = {}},
              .definition = definition_.name,
              .reply_to = definition_.reply_to,
              .version = 0,
              .created = now_};
  if (auto ok = check_data(row.state); !ok) return fail(ok.error());
  SagaDecision decision = decided(std::move(row), "started");
  decision.event.step.clear();
  on_to(decision, 0);
  return finished(std::move(decision));
}

Result<MaybeSagaDecision> SagaLogic::replied(SagaRow row, const SagaAddress& about,
                                             SagaOutcome outcome, Bytes payload) const {
  if (has_ended(row.status) || about.step != row.state.step || about.undo != is_undoing(row) ||
      about.attempt > row.state.attempt)
    return MaybeSagaDecision();
  const bool ok = outcome == SagaOutcome::kOk;
  const auto at = ok ? step(row, row.state.step) : current(row);
  if (!at) return fail(at.error());
  // An attempt that failed to undo is tried again already.
  if (is_undoing(row) && !ok && (row.backs_off || about.attempt < row.state.attempt))
    return MaybeSagaDecision();
  SagaDecision decision = decided(
      std::move(row), is_undoing(row) ? (ok ? "undone" : "not undone") : (ok ? "ok" : "failed"));
  SagaRow& next = decision.row;
  decision.event.step = saga_step_text(about.step, about.attempt, about.undo);
  if (!ok) decision.event.detail = said(payload);
  Result<> went;
  if (is_undoing(next) && ok) {
    next.done.pop_back();
    went = undo_last(decision);
  } else if (is_undoing(next)) {
    if (next.state.attempt < (*at)->compensation_attempts)
      again(decision, **at);
    else
      went = give_up(decision, **at);
  } else if (ok) {
    if (auto changed = change_data(**at, next.state, payload); !changed)
      return fail(changed.error());
    next.done.push_back((*at)->name);
    on_to(decision, static_cast<std::size_t>(*at - definition_.steps.data()) + 1);
  } else {
    next.why = (*at)->name + " failed";
    if (!payload.empty()) next.why += ": " + decision.event.detail;
    went = undo_last(decision);
  }
  if (!went) return fail(went.error());
  return MaybeSagaDecision(finished(std::move(decision)));
}

Result<MaybeSagaDecision> SagaLogic::timer(SagaRow row, std::int64_t version) const {
  if (has_ended(row.status) || version != row.version) return MaybeSagaDecision();
  // Clocks of several machines differ a little.
  if (row.deadline > row.updated && row.deadline - now_ > (row.deadline - row.updated) / 2)
    return fail(ErrorCode::kInvalidConfig,
                "a time-out of saga '" + row.state.id + "' came " +
                    std::to_string((row.deadline - now_).count()) + " ms too early: read '" +
                    row.reply_to +
                    "' as a shared or key_shared group, which waits for delayed records, and see "
                    "that the clocks of this machine and the broker's agree");
  const auto at = current(row);
  if (!at) return fail(at.error());
  const bool sends = row.backs_off;
  SagaDecision decision = decided(std::move(row), sends ? "sent again" : "timed out");
  SagaRow& next = decision.row;
  Result<> went;
  if (sends)
    send(decision, **at, next.state.attempt + 1);
  else if (next.state.attempt < (is_undoing(next) ? (*at)->compensation_attempts : (*at)->attempts))
    again(decision, **at);
  else
    went = give_up(decision, **at);
  if (!went) return fail(went.error());
  return MaybeSagaDecision(finished(std::move(decision)));
}

Result<SagaDecision> retried(SagaRow row, Timestamp now) {
  const std::string of = "saga '" + row.state.id + "' ";
  if (row.status == SagaStatus::kCompleted || row.status == SagaStatus::kCompensated)
    return fail(ErrorCode::kInvalidRequest,
                of + "is " + std::string(name_of(row.status)) + ": there is nothing to try again");
  if (!has_ended(row.status) && row.deadline > now)
    return fail(ErrorCode::kInvalidRequest,
                of + "waits for " + at_step(row) + ", and goes on by itself");
  SagaDecision decision{.row = std::move(row), .event = {}};
  SagaRow& next = decision.row;
  if (next.status == SagaStatus::kFailed) {
    next.status = SagaStatus::kCompensating;
    next.state.attempt = 0;
  }
  decision.event = {.version = ++next.version, .at = now, .what = "retried by hand"};
  next.backs_off = true;
  next.updated = next.deadline = now;
  return finished(std::move(decision));
}

}  // namespace leat::patterns
