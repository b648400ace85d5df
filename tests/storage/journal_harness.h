// A journal by itself, with what it told.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "storage/journal.h"

namespace leat::storage {

inline constexpr auto kHang = std::chrono::seconds(60);

inline JournalEntry entry_of(const std::string& text) {
  auto owner = std::make_shared<const std::string>(text);
  const Bytes body = as_bytes(*owner);
  return {.kind = 7, .owner = std::move(owner), .body = body};
}

class Harness {
 public:
  Harness(WriteMode writes, std::string directory, FileIo& io = real_file_io())
      : directory_(std::move(directory)), io_(io) {
    options.writes = writes;
    options.overlap_bytes = 1;  // several in flight whenever it can
    options.directory = directory_;
    options.first_segment_bytes = 32 << 10;
    options.segment_bytes = 64 << 10;
  }
  ~Harness() { close(); }

  Result<> open(JournalPosition persisted = {}) {
    close();
    replayed.clear();
    auto opened = Journal::open(options, io_, persisted,
                                [this](const JournalEntry& entry) -> Result<> {
                                  replayed.emplace_back(as_text(entry.body));
                                  EXPECT_EQ(entry.kind, 7);
                                  return {};
                                },
                                {.on_durable =
                                     [this](std::span<const JournalEntry> entries) {
                                       const std::lock_guard lock(mutex_);
                                       for (const JournalEntry& entry : entries)
                                         durable_.emplace_back(as_text(entry.body));
                                       changed_.notify_all();
                                     },
                                 .on_failed =
                                     [this](const Error&) {
                                       const std::lock_guard lock(mutex_);
                                       failures += 1;
                                       changed_.notify_all();
                                     }});
    if (!opened) return fail(opened.error());
    journal = std::move(*opened);
    return {};
  }
  void close() { journal.reset(); }

  void append(const std::string& text, Duration max_delay = Duration(0)) {
    JournalEntry entry = entry_of(text);
    entry.max_delay = max_delay;
    journal->append(std::move(entry));
    ++appended_;
  }
  // True when everything appended since open is durable; false when the journal failed.
  bool settle() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kHang,
                                  [this] { return durable_.size() == appended_ || failures > 0; }));
    return failures == 0;
  }
  std::vector<std::string> durable() {
    const std::lock_guard lock(mutex_);
    return durable_;
  }

  JournalOptions options;
  std::unique_ptr<Journal> journal;
  std::vector<std::string> replayed;
  int failures = 0;

 private:
  std::string directory_;
  FileIo& io_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> durable_;
  std::size_t appended_ = 0;
};

}  // namespace leat::storage
