// The mailbox between the shard and the journal's thread: entries that have their position and are
// not with the disk yet, when they must be, and what the journal's thread is woken for.
#pragma once

#include <limits>
#include <mutex>
#include <vector>

#include "storage/journal.h"

namespace leat::storage {

class JournalInbox {
 public:
  using Time = WriteQueue::Time;
  // Not a number of bytes: nothing can be taken now, however much waits.
  static constexpr std::size_t kNoRoom = std::numeric_limits<std::size_t>::max();

  // Beyond `max_delayed_bytes` entries wait no longer, whatever they may.
  explicit JournalInbox(std::size_t max_delayed_bytes) : max_delayed_bytes_(max_delayed_bytes) {}

  // ---- the shard's thread ----
  struct Put {
    JournalPosition position;
    bool wakes;  // the journal's thread, which sleeps
  };
  Put put(JournalEntry entry);
  // Nothing is put afterwards, and all that is there is due.
  void close();

  // ---- any thread ----
  // The next take() gives whatever is there, and says so. The caller wakes the journal's thread.
  void ask_to_seal();

  // ---- the journal's thread ----
  struct Taken {
    std::vector<JournalEntry> entries;
    bool sealing = false;
    bool closing = false;
    Time until = Time::max();  // if there are no entries: sleep no longer
  };
  // Takes everything if some of it is due and it has `worth` bytes. Else put() wakes when that
  // comes true, until awake().
  Taken take(std::size_t worth);
  void awake();
  // What is there, and comes later, is dropped.
  void fail();

  void set_last(JournalPosition position) { last_ = position; }  // before the threads run

 private:
  void stop_waking();

  const std::size_t max_delayed_bytes_;
  std::mutex mutex_;
  std::vector<JournalEntry> entries_;
  std::size_t bytes_ = 0;                 // in groups
  Time due_ = Time::max();                // when the first of them must be written
  Time sleeps_until_ = Time::min();       // min and kNoRoom: awake
  std::size_t wakes_at_bytes_ = kNoRoom;  // of entries that are due at once
  JournalPosition last_;
  bool failed_ = false, closing_ = false, seal_asked_ = false;
};

}  // namespace leat::storage
