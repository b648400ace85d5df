#include "storage/store_thread.h"

#include "storage/thread.h"

namespace leat::storage {
namespace {
constexpr std::size_t kEntriesPerSlice = 256;  // then the shard is told
}  // namespace

StoreThread::StoreThread(Store& store, StoreThreadEvents events, std::function<bool()> roll_wanted)
    : store_(store),
      events_(std::move(events)),
      roll_wanted_(std::move(roll_wanted)),
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

void StoreThread::run() {
  std::vector<JournalEntry> entries;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !entries_.empty() || !entries.empty(); });
      if (stopping_ && entries_.empty() && entries.empty()) return;
      if (entries.empty()) entries.swap(entries_);
    }
    apply_round(entries);
  }
}

void StoreThread::apply_round(std::vector<JournalEntry>& entries) {
  const std::size_t count = std::min(entries.size(), kEntriesPerSlice);
  if (count == 0) return;
  const std::span slice(entries.data(), count);
  if (!failed_) {
    auto ok = store_.apply(slice);
    if (ok && roll_wanted_() && !store_.roll_pending()) ok = store_.roll();
    if (ok) {
      std::uint64_t bytes = 0;
      for (const JournalEntry& entry : slice) bytes += entry.body.size();
      events_.on_applied(slice.back().position, bytes);
    } else {
      failed_ = true;
      events_.on_failed(ok.error());
    }
  }
  entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace leat::storage
