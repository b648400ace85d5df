// The journal: the one log of truth (rule 1). Entries get their position at once; a thread of the
// journal's own writes them in groups, one durable write per group (group commit), several of them
// in flight where the disk's door can (write_queue.h), and reports, in order, how far they are
// durable. Format and recovery: rule 4, docs/disk_format.md, journal_format.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "storage/file_io.h"
#include "storage/journal_format.h"
#include "storage/write_queue.h"

namespace leat::storage {

struct JournalOptions {
  std::string directory;                      // created if missing
  std::size_t first_segment_bytes = 1 << 20;  // small: start-up is quick
  std::size_t segment_bytes = 64 << 20;       // pre-written in the background
  std::size_t max_group_bytes = 1 << 20;      // one larger entry makes a group of its own
  std::size_t inlays_from = 64 << 10;         // a large body is written from where it lies
  std::size_t max_delayed_bytes = 4 << 20;    // entries that may wait are written beyond this
  WriteMode writes = WriteMode::kAuto;        // io_uring, or threads that wait
  std::size_t writes_in_flight = 16;
  std::size_t overlap_bytes = 16 << 10;  // beside a write in flight, less waits for company
  Duration marker_after = std::chrono::milliseconds(10);  // idle time before the durable marker
  // For tests: called on the journal's threads at named points, "journal.before_write" and the
  // others that tests/crash lists. Empty in production.
  std::function<void(const char* point)> at_point;
};

// Told on the journal's thread; must not block for long.
struct JournalEvents {
  // These entries, in order, are durable; each entry is told exactly once.
  std::function<void(std::span<const JournalEntry>)> on_durable;
  // A write or sync failed: the journal has stopped for good. Whatever was in flight is never told.
  std::function<void(const Error&)> on_failed;
  // There is no space for the next segment; told once a second until there is, on another thread.
  // What needs it waits. May be empty.
  std::function<void()> on_no_space;
};

// What open() found, for logs and metrics.
struct JournalRecovery {
  std::uint64_t incarnation = 0;
  JournalPosition last{};        // of the last intact entry
  std::uint64_t replayed = 0;    // entries handed to the visitor
  std::uint64_t torn_bytes = 0;  // a torn tail above the durable mark: truncated, counted
};

struct JournalStats {
  std::uint64_t groups = 0, syncs = 0, bytes_written = 0, segments = 0;
  std::uint64_t prewritten_bytes = 0;  // of segments that could not be recycled ones
  std::uint64_t system_calls = 0;      // to write and to wait
  std::string writes;                  // "uring" or "thread"
  std::string fallback;  // why auto did not take io_uring; empty if it did, or was not asked
};

class Journal {
 public:
  using Visitor = std::function<Result<>(const JournalEntry&)>;

  // Replays every intact entry above `persisted`, in order, through `visit` (after syncing what it
  // replays, rule 4), then starts the threads. Entries at or below `persisted` may be gone.
  // Errors: kCorruptStorage, with segment and positions, when loss is proved below the durable mark
  // or entries above `persisted` are missing; kFormatUnsupported; kUnsupportedRequest when
  // io_uring was asked for by name and cannot be had; kIoError, kNoSpace, kNotAllowed.
  static Result<std::unique_ptr<Journal>> open(JournalOptions options, FileIo& io,
                                               JournalPosition persisted, const Visitor& visit,
                                               JournalEvents events);
  ~Journal();  // close()
  // Writes what is pending and a durable marker, tells it, and stops the thread. Nothing may be
  // appended afterwards; the rest may still be called.
  void close();

  const JournalRecovery& recovery() const { return recovery_; }

  // Shard thread. Takes the entry and returns its position; never blocks. After a failure entries
  // are taken and dropped, never told durable.
  JournalPosition append(JournalEntry entry);

  // Any thread. Entries at or below `position` are in synced SSTs: their segments may be recycled.
  void set_persisted(JournalPosition position);

  // For a snapshot; any thread but the journal's. Between pin() and unpin() no segment is given up.
  void pin();
  void unpin();
  // Everything appended before lies, durable and marked so (rule 4), in segments that are not
  // written any more: these. One call at a time. Errors: kNoSpace, kClosed, the journal's own.
  Result<Manifest> seal();

  JournalStats stats() const;  // any thread
  // Bytes in segments that hold entries above the persisted position. Any thread.
  std::uint64_t unpersisted_bytes() const;

 private:
  class Writer;
  explicit Journal(std::unique_ptr<Writer> writer);
  std::unique_ptr<Writer> writer_;
  JournalRecovery recovery_;
};

}  // namespace leat::storage
