#include "client/reader.h"

namespace leat {

Reader::Reader(Link& link, const std::optional<Group>& group) : link_(link) {
  if (link.tracer()) spans_.emplace(link.tracer(), group ? &group->name : nullptr);
}

void Reader::post_pump() {
  if (std::exchange(pump_posted_, true)) return;
  link_.post([self = shared_from_this()] { self->pump(); });
}

// What was handed out before.
void Reader::worked_on() {
  if (spans_) spans_->came_for_more();
  came_for_more();
  if (made_room()) post_pump();
}

template <class Records>
Records Reader::traced(Records taken) {
  if (spans_ && taken) spans_->handed_out(*taken);
  return taken;
}

Result<SharedRecords> Reader::poll(std::chrono::milliseconds timeout) {
  if (auto ok = link_.check_process(); !ok) return fail(ok.error());
  if (link_.on_own_thread())
    return fail(ErrorCode::kNotAllowed, "a handler cannot wait for what its own thread does");
  const MonotonicTime deadline = clock_.now() + timeout;
  std::unique_lock lock(mutex_);
  worked_on();
  for (bool woken = true; woken;) {
    tell_events(lock);
    if (closed_) return fail(ErrorCode::kClosed);
    if (holds_something() || error_) break;
    woken = arrived_.wait_until(
        lock, deadline, [this] { return holds_something() || error_ || closed_ || has_events(); });
  }
  auto taken = traced(take());
  if (made_room()) post_pump();
  if (taken && taken->records.empty() && error_) return fail(*error_);
  return taken;
}

Reader::WaitId Reader::new_wait() {
  const std::lock_guard lock(mutex_);
  return ++last_wait_;
}

void Reader::wait(WaitId id, Wait wait) {
  std::unique_lock lock(mutex_);
  const auto here = link_.check_process();
  if (closed_ || wait_ || !here) {
    const Error why = !here ? here.error()
                      : closed_
                          ? Error(ErrorCode::kClosed)
                          : Error(ErrorCode::kInvalidRequest, "one poll() or next() at a time");
    lock.unlock();
    return fail_wait(wait, why);
  }
  worked_on();
  wait_.emplace(id, std::move(wait));
  const bool events = telling_ || has_events();
  if (events || !give(lock)) link_.post([self = shared_from_this()] { self->serve(); });
}

void Reader::cancel(WaitId id) {
  std::unique_lock lock(mutex_);
  if (!wait_ || wait_->first != id) return;
  Wait wait = std::move(wait_->second);
  wait_.reset();
  lock.unlock();
  fail_wait(wait, {ErrorCode::kClosed, "cancelled"});
}

// Gives who waits what is there; false when nothing is, and the lock is still held.
bool Reader::give(std::unique_lock<std::mutex>& lock) {
  if (!wait_ || (!holds_something() && !error_)) return false;
  Wait& wait = wait_->second;
  Result<SharedRecords> records;
  Result<std::optional<SharedRecord>> record;
  const bool many = std::holds_alternative<Completion<SharedRecords>>(wait);
  if (many)
    records = traced(take());
  else
    record = traced(take_one());
  if (made_room()) post_pump();
  const bool nothing = many ? records && records->records.empty() : record && !*record;
  if (nothing && !error_) return false;
  if (nothing && many) records = fail(*error_);
  if (nothing && !many) record = fail(*error_);
  Wait done = std::move(wait);
  wait_.reset();
  lock.unlock();
  if (many)
    std::get<0>(done)(std::move(records));
  else if (record)
    std::get<1>(done)(std::move(**record));
  else
    std::get<1>(done)(fail(record.error()));
  return true;
}

void Reader::serve() {
  std::unique_lock lock(mutex_);
  if (!wait_ || closed_) return;
  tell_events(lock);
  if (wait_ && !closed_) give(lock);
}

}  // namespace leat
