#include "storage/store_thread.h"

#include "storage/thread.h"

namespace leat::storage {
namespace {
// So that a read waits for one slice of the backlog at most, not for all of it.
constexpr std::size_t kEntriesPerSlice = 256;
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

void StoreThread::read(PartitionId partition, Offset from, std::size_t max_bytes, ReadToken token) {
  {
    const std::lock_guard lock(mutex_);
    reads_.push_back({partition, from, max_bytes, token});
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
  std::vector<Read> reads;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] {
        return stopping_ || roll_ended_ || !entries_.empty() || !reads_.empty() || !entries.empty();
      });
      roll_ended_ = false;
      if (stopping_ && entries_.empty() && entries.empty()) return;
      if (entries.empty()) entries.swap(entries_);
      reads.swap(reads_);
    }
    for (const Read& read : reads)
      events_.on_read(read.token, store_.read(read.partition, read.from, read.max_bytes));
    reads.clear();
    apply_round(entries);
    if (failed_) continue;
    if (auto ok = roll_if_wanted(); !ok) stop_for_good(ok.error());
  }
}

Result<> StoreThread::roll_if_wanted() {
  if (!store_.anything_to_roll() || store_.roll_pending() || !roll_wanted_()) return {};
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
      for (const JournalEntry& entry : slice) bytes += entry.body.size();
      events_.on_applied(slice.back().position, bytes);
    } else {
      stop_for_good(ok.error());
    }
  }
  entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace leat::storage
