// The journal's files: which are in use, which comes next. A thread of its own writes the next one
// ahead of need (pre-written blocks are what makes a durable write quick; for large groups it is
// allocated) and recycles those whose
// entries RocksDB has persisted. A segment is in the synced manifest before its first group. Where
// there is no space for the next one, whoever needs it waits until there is. A file with a second
// name is a snapshot's, too: it is never written, cut or recycled, only unlinked.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "storage/journal_format.h"
#include "storage/recovery/journal_recovery.h"

namespace leat::storage {

struct OpenSegment {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
  std::unique_ptr<File> file;  // writes are durable when they return
};

class JournalSegments {
 public:
  struct Options {
    std::string directory;
    std::uint64_t first_bytes;
    std::uint64_t standard_bytes;
    std::function<void(const char*)> at_point;
    std::function<void()> on_no_space;
  };

  JournalSegments(Options options, FileIo& io, Manifest manifest,
                  std::vector<ReplayedSegment> replayed);
  ~JournalSegments();

  // Writes the first segment of this start, lists it beside the replayed ones under the manifest's
  // incarnation, removes files that nothing lists, and starts the thread.
  Result<OpenSegment> start();

  // The journal's thread: prepare the next segment now, for it will be needed soon. For groups that
  // are large a new one is allocated, not written beforehand: it would be written twice for little.
  void prepare_next(bool large_groups = false);
  // The journal's thread: seals the current segment, whose last entry is `last`, and gives the
  // next, of at least `min_bytes`. Waits until it is prepared.
  Result<OpenSegment> roll(JournalPosition last, std::uint64_t min_bytes);
  // The journal's thread: the current segment holds a durable group. Before that its predecessor
  // stays, or a power cut would leave a journal without any group.
  void begun();

  // Any thread but the journal's: waits until roll() will not have to. kNoSpace where there is none
  // for the next segment.
  Result<> await_next();
  // Any thread. Until as many unpin(), no segment is given up.
  void pin();
  void unpin();
  Manifest sealed() const;

  // Any thread. The journal closes: roll() fails with kNoSpace where it would wait for space.
  void give_up();
  void set_persisted(JournalPosition position);
  std::uint64_t sealed_bytes() const;  // of sealed segments above the persisted position
  std::size_t count() const;
  std::uint64_t prewritten_bytes() const { return prewritten_bytes_; }  // zeros, so far

 private:
  struct Sealed {
    std::uint64_t number, bytes;
    JournalPosition last;
  };
  struct Segment {
    std::uint64_t number, bytes;
  };

  std::string path(std::uint64_t number) const;
  Result<OpenSegment> make(std::uint64_t number, std::uint64_t bytes, bool written);
  Result<> write_zeros(File& file, std::uint64_t bytes);
  Result<OpenSegment> reopen(const Segment& file);
  // Lists sealed, current, spare and `next`. The lock is open meanwhile, for a sync takes its time
  // and the shard asks for sealed_bytes(); only the caller's thread changes what is listed.
  Result<> write_manifest(std::unique_lock<std::mutex>& lock,
                          std::optional<Segment> next = std::nullopt);
  Result<> remove_unlisted();
  void run();
  bool work_waits() const;
  bool oldest_retires() const;
  Result<> work(std::unique_lock<std::mutex>& lock);
  Result<> retire(std::unique_lock<std::mutex>& lock);
  Result<> prepare(std::unique_lock<std::mutex>& lock);
  void point(const char* name) const;

  Options options_;
  FileIo& io_;
  Manifest manifest_;  // identity and incarnation; its list is made anew for each write

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Sealed> sealed_;
  Segment current_{};
  bool begun_ = false;
  int pins_ = 0;
  std::optional<OpenSegment> spare_;
  std::vector<Segment> retired_;   // persisted, and perhaps in the manifest still
  std::vector<Segment> recycled_;  // of the standard size, but for one that could not be listed
  std::uint64_t next_number_ = 1;
  std::uint64_t wanted_bytes_ = 0;  // 0: no segment asked for
  bool large_groups_ = false;       // are to be expected in it
  JournalPosition persisted_;
  std::optional<Error> error_;
  bool no_space_ = false;  // at the last attempt
  bool gives_up_ = false;
  bool stopping_ = false;

  std::atomic<std::uint64_t> prewritten_bytes_{0};

  std::thread thread_;
};

}  // namespace leat::storage
