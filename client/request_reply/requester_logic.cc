#include "client/request_reply/requester_logic.h"

#include <charconv>

#include "protocol/reserved_headers.h"

namespace leat {

void RequesterLogic::add(Number number, Request request, Done done, MonotonicTime now) {
  waiting_.push_back({number, now + timeout_, std::move(request.topic), std::move(request.record),
                      std::move(done)});
  at_.emplace(number, std::prev(waiting_.end()));
}

std::vector<RequesterLogic::Number> RequesterLogic::unsent() const {
  std::vector<Number> numbers;
  for (const Waiting& waiting : waiting_)
    if (waiting.unsent) numbers.push_back(waiting.number);
  return numbers;
}

std::optional<RequesterLogic::Request> RequesterLogic::take_unsent(Number number) {
  const auto found = at_.find(number);
  if (found == at_.end() || !found->second->unsent) return std::nullopt;
  Waiting& waiting = *found->second;
  Request request{waiting.topic, std::move(*waiting.unsent)};
  waiting.unsent.reset();
  return request;
}

std::optional<RequesterLogic::Number> RequesterLogic::number_of(const ConsumedRecord& reply) const {
  const auto header = reply.headers.find(reserved_headers::kCorrelationId);
  if (!header || !header->value) return std::nullopt;
  std::string_view id = as_text(*header->value);
  if (!id.starts_with(prefix_)) return std::nullopt;
  id.remove_prefix(prefix_.size());
  Number number = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  if (error != std::errc() || end != id.data() + id.size()) return std::nullopt;
  return number;
}

RequesterLogic::Done RequesterLogic::answered(const ConsumedRecord& reply) {
  const auto number = number_of(reply);
  return number ? take(*number) : Done();
}

RequesterLogic::Done RequesterLogic::take(Number number) {
  const auto found = at_.find(number);
  if (found == at_.end()) return {};
  Done done = std::move(found->second->done);
  waiting_.erase(found->second);
  at_.erase(found);
  return done;
}

Error RequesterLogic::timed_out(const Waiting& waiting) const {
  const std::string after = " within " + std::to_string(timeout_.count()) + " ms";
  if (waiting.unsent)
    return {ErrorCode::kTimedOut, "nothing was sent to '" + waiting.topic + "'" + after +
                                      ": the reply topic could not be read; is the broker up?"};
  return {ErrorCode::kTimedOut, "no reply from '" + waiting.topic + "'" + after};
}

void RequesterLogic::expire(MonotonicTime now, std::vector<Outcome>& outcomes) {
  while (!waiting_.empty() && waiting_.front().deadline <= now) {
    Error why = timed_out(waiting_.front());
    outcomes.push_back({take(waiting_.front().number), std::move(why)});
  }
}

void RequesterLogic::fail_all(const Error& why, std::vector<Outcome>& outcomes) {
  while (!waiting_.empty()) outcomes.push_back({take(waiting_.front().number), why});
}

std::optional<MonotonicTime> RequesterLogic::next_deadline() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.front().deadline;
}

}  // namespace leat
