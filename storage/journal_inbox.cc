#include "storage/journal_inbox.h"

#include <algorithm>
#include <utility>

#include "storage/journal_format.h"

namespace leat::storage {
namespace {

JournalInbox::Time due_of(Duration max_delay) {
  if (max_delay <= Duration(0)) return JournalInbox::Time::min();
  if (max_delay == Duration::max()) return JournalInbox::Time::max();
  return JournalInbox::Time::clock::now() + max_delay;
}

}  // namespace

JournalInbox::Put JournalInbox::put(JournalEntry entry) {
  const std::lock_guard lock(mutex_);
  entry.position = last_ = last_ + 1;
  if (failed_) return {last_, false};
  bytes_ += entry_bytes(entry.bytes());
  due_ = std::min(due_, bytes_ > max_delayed_bytes_ ? Time::min() : due_of(entry.max_delay));
  entries_.push_back(std::move(entry));
  const bool wakes = due_ == Time::min() ? bytes_ >= wakes_at_bytes_ : due_ < sleeps_until_;
  if (wakes) stop_waking();
  return {last_, wakes};
}

void JournalInbox::close() {
  const std::lock_guard lock(mutex_);
  closing_ = true;
}

void JournalInbox::ask_to_seal() {
  const std::lock_guard lock(mutex_);
  seal_asked_ = true;
}

JournalInbox::Taken JournalInbox::take(std::size_t worth) {
  const std::lock_guard lock(mutex_);
  Taken taken{.closing = closing_};
  const Time now = Time::clock::now();
  if (worth != kNoRoom) taken.sealing = std::exchange(seal_asked_, false);
  const bool all = closing_ || taken.sealing;
  if (worth != kNoRoom && !entries_.empty() && (all || (due_ <= now && bytes_ >= worth))) {
    taken.entries = std::exchange(entries_, {});
    bytes_ = 0;
    due_ = Time::max();
    return taken;
  }
  if (due_ > now) taken.until = due_;
  sleeps_until_ = taken.until;
  wakes_at_bytes_ = worth;
  return taken;
}

void JournalInbox::awake() {
  const std::lock_guard lock(mutex_);
  stop_waking();
}

void JournalInbox::stop_waking() {
  sleeps_until_ = Time::min();
  wakes_at_bytes_ = kNoRoom;
}

void JournalInbox::fail() {
  const std::lock_guard lock(mutex_);
  failed_ = true;
  entries_.clear();
}

}  // namespace leat::storage
