#include "storage/store_thread.h"

#include <chrono>
#include <utility>

#include "storage/thread.h"

namespace leat::storage {
namespace {
constexpr std::size_t kEntriesPerSlice = 256;  // then the shard is told
constexpr std::uint64_t kLookAtSpaceEvery = 4 << 20;
}  // namespace

StoreThread::StoreThread(Store& store, StoreThreadEvents events, StoreThreadOptions options)
    : store_(store),
      events_(std::move(events)),
      options_(std::move(options)),
      thread_(start_thread("leat-store", [this] { run(); })) {}

StoreThread::~StoreThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void StoreThread::apply(std::span<const JournalEntry> entries) {
  {
    const std::lock_guard lock(mutex_);
    entries_.insert(entries_.end(), entries.begin(), entries.end());
  }
  changed_.notify_one();
}

void StoreThread::look_at_space() {
  {
    const std::lock_guard lock(mutex_);
    look_ = true;
  }
  changed_.notify_one();
}

void StoreThread::roll_ended() {
  {
    const std::lock_guard lock(mutex_);
    roll_ended_ = true;
  }
  changed_.notify_one();
}

void StoreThread::run() {
  std::vector<JournalEntry> entries;
  tell_space();
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      const auto woken = [&] {
        return stopping_ || look_ || roll_ended_ || !entries_.empty() || !entries.empty();
      };
      if (!space_low_)
        changed_.wait(lock, woken);
      else if (!changed_.wait_for(lock, kSpaceAfter, woken))
        since_look_ = kLookAtSpaceEvery;
      if (std::exchange(look_, false)) since_look_ = kLookAtSpaceEvery;
      roll_ended_ = false;
      if (stopping_ && entries_.empty() && entries.empty()) return;
      if (entries.empty()) entries.swap(entries_);
    }
    apply_round(entries);
    if (since_look_ >= kLookAtSpaceEvery) tell_space();
    if (failed_) continue;
    if (auto ok = roll_if_wanted(); !ok) stop_for_good(ok.error());
  }
}

void StoreThread::tell_space() {
  since_look_ = 0;
  const auto free = options_.free_bytes();
  if (!free) return;
  space_low_ = *free < options_.reserve_bytes;
  events_.on_free(*free);
}

Result<> StoreThread::roll_if_wanted() {
  if (!store_.anything_to_roll() || store_.roll_pending() || !options_.roll_wanted()) return {};
  return store_.roll();
}

void StoreThread::stop_for_good(const Error& error) {
  failed_ = true;
  events_.on_failed(error);
}

void StoreThread::apply_round(std::vector<JournalEntry>& entries) {
  const std::size_t count = std::min(entries.size(), kEntriesPerSlice);
  if (count == 0) return;
  const std::span slice(entries.data(), count);
  if (!failed_) {
    if (auto ok = store_.apply(slice); ok) {
      std::uint64_t bytes = 0;
      for (const JournalEntry& entry : slice) bytes += entry.bytes();
      since_look_ += bytes;
      events_.on_applied(slice.back().position, bytes);
    } else {
      stop_for_good(ok.error());
    }
  }
  entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace leat::storage
