#include "client/patterns/saga/saga_definition.h"

#include <algorithm>
#include <set>

#include "protocol/names.h"

namespace leat::patterns {
namespace {

constexpr std::pair<SagaStatus, std::string_view> kStatuses[] = {
    {SagaStatus::kRunning, "running"},     {SagaStatus::kCompensating, "compensating"},
    {SagaStatus::kCompleted, "completed"}, {SagaStatus::kCompensated, "compensated"},
    {SagaStatus::kFailed, "failed"},
};

// Names stand in headers and lists, joined by '/' and ','.
bool is_name(std::string_view name) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !name.empty() && name.size() <= kMostSagaName &&
         name.find_first_not_of(kPlain) == std::string_view::npos;
}

Error invalid(const std::string& of, const std::string& why) {
  return {ErrorCode::kInvalidConfig, of + " " + why};
}

Result<> check(const std::string& saga, const SagaStep& step) {
  const std::string of = "step '" + step.name + "' of saga '" + saga + "'";
  if (!is_name(step.name))
    return fail(ErrorCode::kInvalidConfig, "a step of saga '" + saga + "' is called '" +
                                               escaped(step.name) +
                                               "': 1 to 64 of A-Z a-z 0-9 . _ -");
  if (!step.command) return fail(invalid(of, "has no command"));
  if (step.timeout.count() <= 0)
    return fail(invalid(of, "needs a timeout above zero: replies may never come"));
  for (const std::uint32_t attempts : {step.attempts, step.compensation_attempts})
    if (attempts == 0 || attempts > kMostSagaAttempts)
      return fail(invalid(of, "has 1 to " + std::to_string(kMostSagaAttempts) + " attempts, not " +
                                  std::to_string(attempts)));
  if (step.timeout > kMostSagaWait || step.max_backoff > kMostSagaWait)
    return fail(invalid(of, "waits for a year at most (timeout, max_backoff)"));
  if (step.min_backoff.count() < 0 || step.max_backoff < step.min_backoff)
    return fail(invalid(of, "has a max_backoff that is less than its min_backoff"));
  return {};
}

}  // namespace

std::string_view name_of(SagaStatus status) {
  return kStatuses[static_cast<std::size_t>(status)].second;
}

std::optional<SagaStatus> saga_status(std::string_view name) {
  for (const auto& [status, called] : kStatuses)
    if (called == name) return status;
  return std::nullopt;
}

const SagaStep* SagaDefinition::find(std::string_view step) const {
  const auto found = std::ranges::find(steps, step, &SagaStep::name);
  return found == steps.end() ? nullptr : &*found;
}

Result<> check(const SagaDefinition& definition) {
  if (!is_name(definition.name))
    return fail(ErrorCode::kInvalidConfig, "a saga is called '" + escaped(definition.name) +
                                               "': 1 to 64 of A-Z a-z 0-9 . _ -");
  const std::string of = "saga '" + definition.name + "'";
  if (!validate_topic_name(definition.reply_to))
    return fail(invalid(of, "needs a topic for its replies (reply_to), which '" +
                                escaped(definition.reply_to) + "' cannot be"));
  if (definition.steps.empty() || definition.steps.size() > kMostSagaSteps)
    return fail(invalid(of, "has 1 to " + std::to_string(kMostSagaSteps) + " steps, not " +
                                std::to_string(definition.steps.size())));
  std::set<std::string_view> names;
  for (const SagaStep& step : definition.steps) {
    if (auto ok = check(definition.name, step); !ok) return ok;
    if (!names.insert(step.name).second)
      return fail(invalid(of, "has two steps '" + step.name + "'"));
  }
  return {};
}

Result<> check_saga_id(std::string_view id) {
  const bool control = std::ranges::any_of(
      id, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (!id.empty() && id.size() <= kMostSagaId && !control && is_utf8(id)) return {};
  return fail(ErrorCode::kInvalidRequest,
              "a saga's id is 1 to 200 bytes of UTF-8 without control characters, not '" +
                  escaped(id, 60) + "'");
}

}  // namespace leat::patterns
