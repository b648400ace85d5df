#include "storage/journal.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "protocol/base/assert.h"
#include "protocol/base/random.h"
#include "storage/aligned_buffer.h"
#include "storage/journal_format.h"
#include "storage/journal_recovery.h"
#include "storage/journal_segments.h"
#include "storage/thread.h"

namespace leat::storage {
namespace {

Result<Manifest> load_manifest(FileIo& io, const std::string& directory,
                               JournalPosition persisted) {
  auto names = io.list(directory);
  if (!names) return fail(names.error());
  const bool listed = std::find(names->begin(), names->end(), kManifestName) != names->end();
  if (listed) {
    auto bytes = read_file(io, directory + "/" + kManifestName, kMaxManifestBytes);
    if (!bytes) return fail(bytes.error());
    return Manifest::decode(*bytes);
  }
  // The manifest comes before the first group, so a journal without one never held an entry.
  if (persisted != JournalPosition())
    return fail(ErrorCode::kCorruptStorage,
                "'" + directory + "/MANIFEST' is missing; restore the directory from a backup");
  Manifest fresh;
  fresh.journal_id = Random::from_system().next();
  return fresh;
}

}  // namespace

class Journal::Writer {
  using SteadyTime = std::chrono::steady_clock::time_point;

 public:
  Writer(JournalOptions options, JournalEvents events)
      : options_(std::move(options)), events_(std::move(events)) {}

  ~Writer() { close(); }

  void close() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  Result<JournalRecovery> open(FileIo& io, JournalPosition persisted, const Visitor& visit) {
    if (auto ok = io.make_directory(options_.directory); !ok) return fail(ok.error());
    auto manifest = load_manifest(io, options_.directory, persisted);
    if (!manifest) return fail(manifest.error());
    auto replayed = replay_journal(io, options_.directory, *manifest, persisted, visit);
    if (!replayed) return fail(replayed.error());
    manifest->incarnation += 1;
    if (auto ok = start(io, *manifest, *replayed); !ok) return fail(ok.error());
    return JournalRecovery{.incarnation = manifest->incarnation,
                           .last = replayed->last,
                           .replayed = replayed->entries_visited,
                           .torn_bytes = replayed->torn_bytes};
  }

  JournalPosition append(JournalEntry entry) {
    const std::lock_guard lock(mutex_);
    entry.position = appended_ = appended_ + 1;
    if (failed_) return appended_;
    pending_bytes_ += entry.body.size();
    const bool full = pending_bytes_ > options_.max_delayed_bytes;
    const SteadyTime due = full ? SteadyTime::min() : due_of(entry.max_delay);
    pending_.push_back(std::move(entry));
    if (due < due_) {
      due_ = due;
      changed_.notify_one();
    }
    return appended_;
  }

  void set_persisted(JournalPosition position) { segments_->set_persisted(position); }

  JournalStats stats() const {
    return {.groups = groups_,
            .syncs = groups_,
            .bytes_written = bytes_written_,
            .segments = segments_->count()};
  }

  std::uint64_t unpersisted_bytes() const { return segments_->sealed_bytes() + used_; }

 private:
  Result<> start(FileIo& io, const Manifest& manifest, const Replayed& replayed) {
    journal_id_ = manifest.journal_id;
    incarnation_ = manifest.incarnation;
    chain_ = replayed.chain;
    appended_ = sealed_ = durable_ = replayed.last;
    segments_ = std::make_unique<JournalSegments>(
        JournalSegments::Options{options_.directory, options_.first_segment_bytes,
                                 options_.segment_bytes, options_.at_point},
        io, manifest, replayed.segments);
    auto first = segments_->start();
    if (!first) return fail(first.error());
    take(std::move(*first));
    // Everything replayed was synced: say so, so that its loss can be told from a torn tail.
    AlignedBuffer buffer;
    if (auto ok = write_marker(buffer); !ok) return ok;
    for (std::size_t i = 0; i < options_.writers; ++i)
      threads_.push_back(start_thread("leat-journal", [this] { run(); }));
    return {};
  }

  static SteadyTime due_of(Duration max_delay) {
    if (max_delay <= Duration(0)) return SteadyTime::min();
    if (max_delay == Duration::max()) return SteadyTime::max();
    return std::chrono::steady_clock::now() + max_delay;
  }

  // One group under way.
  struct Flight {
    std::vector<JournalEntry> entries;
    JournalPosition last;
    bool landed = false;
    std::optional<Error> error;
  };
  struct Sealed {
    std::shared_ptr<File> file;
    std::uint64_t at = 0;
    std::list<Flight>::iterator flight;
  };
  enum class Task : std::uint8_t { kWrite, kMark, kEnd };

  // One of the writers. Who has the turn waits for entries and seals the next group, then lets the
  // next one in and writes: groups are sealed in order, and written side by side.
  void run() {
    AlignedBuffer buffer;
    std::vector<JournalEntry> entries;
    for (;;) {
      std::unique_lock turn(turn_mutex_);
      switch (wait_for(entries)) {
        case Task::kEnd:
          return;
        case Task::kMark:
          if (auto ok = mark(buffer); !ok) return fly_and_fail({}, ok.error());
          continue;
        case Task::kWrite:
          break;
      }
      auto sealed = seal(entries, buffer);
      turn.unlock();
      if (!sealed) return;
      point("journal.before_write");
      auto ok = sealed->file->write(sealed->at, buffer.bytes());
      point("journal.after_write");
      land(sealed->flight, ok);
    }
  }

  // With the turn. Takes a group of what is pending once the first of it is due, or says that a
  // marker is, `marker_after` of idleness behind the last group.
  Task wait_for(std::vector<JournalEntry>& entries) {
    std::unique_lock lock(mutex_);
    SteadyTime marker_at = SteadyTime::max();
    if (unmarked_) marker_at = std::chrono::steady_clock::now() + options_.marker_after;
    for (;;) {
      const SteadyTime now = std::chrono::steady_clock::now();
      if (failed_) return Task::kEnd;
      if (due_ <= now || (stopping_ && !pending_.empty())) break;
      if (stopping_ || marker_at <= now) return unmarked_ ? Task::kMark : Task::kEnd;
      const SteadyTime until = std::min(due_, marker_at);
      if (until == SteadyTime::max())
        changed_.wait(lock);
      else
        changed_.wait_until(lock, until);
    }
    take_group(entries);
    return Task::kWrite;
  }

  // As many entries as fit into a group; at least one.
  void take_group(std::vector<JournalEntry>& entries) {
    entries.clear();
    std::size_t bytes = kGroupHeaderBytes;
    while (!pending_.empty()) {
      const std::size_t body = pending_.front().body.size();
      bytes += entry_bytes(body);
      if (!entries.empty() && bytes > options_.max_group_bytes) break;
      pending_bytes_ -= body;
      entries.push_back(std::move(pending_.front()));
      pending_.pop_front();
    }
    due_ = pending_.empty() ? SteadyTime::max() : SteadyTime::min();
  }

  // With the turn: gives the group its place, in the file and in the chain. Nothing, when the next
  // segment cannot be had.
  std::optional<Sealed> seal(std::vector<JournalEntry>& entries, AlignedBuffer& buffer) {
    const std::size_t bytes = group_bytes(entries);
    if (auto ok = make_room(bytes); !ok) {
      fly_and_fail(std::move(entries), ok.error());
      return std::nullopt;
    }
    fill(entries, buffer);
    unmarked_ = true;
    const std::uint64_t at = used_.fetch_add(bytes);
    if (used_ >= segment_bytes_ / 2) segments_->prepare_next();
    return Sealed{file_, at, fly(std::move(entries))};
  }

  std::list<Flight>::iterator fly(std::vector<JournalEntry> entries) {
    const std::lock_guard lock(flights_mutex_);
    return flights_.insert(flights_.end(), {std::move(entries), sealed_, false, std::nullopt});
  }

  void fly_and_fail(std::vector<JournalEntry> entries, const Error& error) {
    land(fly(std::move(entries)), fail(error));
  }

  // Tells what is durable now: all before the first group that is still under way. After a failed
  // write or sync nothing may be assumed of the disk: no retry, and nothing behind it is told.
  void land(std::list<Flight>::iterator flight, const Result<>& ok) {
    if (!ok) stop_for_good();
    {
      const std::lock_guard lock(flights_mutex_);
      flight->landed = true;
      if (!ok) flight->error = ok.error();
      while (!flights_.empty() && flights_.front().landed && !told_failure_) {
        const Flight& first = flights_.front();
        if (first.error) {
          told_failure_ = true;
          events_.on_failed(*first.error);
          break;
        }
        durable_ = first.last;
        events_.on_durable(first.entries);
        flights_.pop_front();
      }
    }
    landed_.notify_all();
    if (ok) point("journal.after_durable");
  }

  // With the turn: everything sealed is durable, says the disk itself.
  Result<> mark(AlignedBuffer& buffer) {
    {
      std::unique_lock lock(flights_mutex_);
      landed_.wait(lock, [this] { return flights_.empty() || told_failure_; });
      if (told_failure_) return {};
    }
    unmarked_ = false;
    point("journal.marker");
    return write_marker(buffer);
  }

  Result<> write_marker(AlignedBuffer& buffer) {
    const std::size_t bytes = group_bytes({});
    if (auto ok = make_room(bytes); !ok) return ok;
    fill({}, buffer);
    return file_->write(used_.fetch_add(bytes), buffer.bytes());
  }

  static std::size_t group_bytes(std::span<const JournalEntry> entries) {
    return GroupHeader{.body_bytes = body_bytes(entries)}.group_bytes();
  }
  static std::uint32_t body_bytes(std::span<const JournalEntry> entries) {
    std::size_t body = 0;
    for (const JournalEntry& entry : entries) body += entry_bytes(entry.body.size());
    return static_cast<std::uint32_t>(body);
  }

  void fill(std::span<const JournalEntry> entries, AlignedBuffer& buffer) {
    JournalPosition durable;
    {
      const std::lock_guard lock(flights_mutex_);
      durable = durable_;
    }
    const GroupHeader header{.crc = 0,
                             .body_bytes = body_bytes(entries),
                             .entries = static_cast<std::uint32_t>(entries.size()),
                             .incarnation = incarnation_,
                             .first = sealed_ + 1,
                             .durable = durable,
                             .previous_crc = chain_,
                             .journal_id = journal_id_};
    buffer.resize(header.group_bytes());
    copy_entries(entries, buffer.bytes());
    chain_ = seal_group(buffer.bytes(), header);
    sealed_ = sealed_ + entries.size();
    groups_ += 1;
    bytes_written_ += header.group_bytes();
  }

  static void copy_entries(std::span<const JournalEntry> entries, MutableBytes group) {
    std::byte* to = group.data() + kGroupHeaderBytes;
    for (const JournalEntry& entry : entries) {
      store_le<std::uint32_t>(to, static_cast<std::uint32_t>(entry.body.size()));
      store_le<std::uint16_t>(to + 4, entry.kind);
      store_le<std::uint16_t>(to + 6, 0);
      std::memcpy(to + kEntryHeaderBytes, entry.body.data(), entry.body.size());
      std::byte* end = to + entry_bytes(entry.body.size());
      std::fill(to + kEntryHeaderBytes + entry.body.size(), end, std::byte{0});
      to = end;
    }
    std::fill(to, group.data() + group.size(), std::byte{0});
  }

  Result<> make_room(std::size_t group_bytes) {
    if (used_ + group_bytes <= segment_bytes_) return {};
    auto next = segments_->roll(sealed_, group_bytes);
    if (!next) return fail(next.error());
    take(std::move(*next));
    return {};
  }

  void take(OpenSegment segment) {
    file_ = std::move(segment.file);  // groups under way keep the one before
    segment_bytes_ = segment.bytes;
    used_ = 0;
  }

  void stop_for_good() {
    const std::lock_guard lock(mutex_);
    failed_ = true;
    pending_.clear();
    changed_.notify_all();
  }

  void point(const char* name) const {
    if (options_.at_point) options_.at_point(name);
  }

  JournalOptions options_;
  JournalEvents events_;

  // Whoever has the turn.
  std::mutex turn_mutex_;
  std::unique_ptr<JournalSegments> segments_;
  std::shared_ptr<File> file_;
  std::uint64_t segment_bytes_ = 0;
  std::uint64_t journal_id_ = 0, incarnation_ = 0;
  std::uint32_t chain_ = 0;
  JournalPosition sealed_;  // of the last entry that has its place
  bool unmarked_ = false;   // groups were sealed since the last marker
  std::atomic<std::uint64_t> used_{0}, groups_{0}, bytes_written_{0};

  // The writers.
  std::mutex flights_mutex_;
  std::condition_variable landed_;
  std::list<Flight> flights_;  // in order of sealing
  JournalPosition durable_;    // and told
  bool told_failure_ = false;

  // The shard's thread and the writers.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<JournalEntry> pending_;
  std::size_t pending_bytes_ = 0;
  SteadyTime due_ = SteadyTime::max();  // when the first of what is pending must be written
  JournalPosition appended_;
  bool failed_ = false;
  bool stopping_ = false;

  std::vector<std::thread> threads_;
};

Journal::Journal(std::unique_ptr<Writer> writer) : writer_(std::move(writer)) {}
Journal::~Journal() = default;

Result<std::unique_ptr<Journal>> Journal::open(JournalOptions options, FileIo& io,
                                               JournalPosition persisted, const Visitor& visit,
                                               JournalEvents events) {
  std::unique_ptr<Journal> journal(
      new Journal(std::make_unique<Writer>(std::move(options), std::move(events))));
  auto recovery = journal->writer_->open(io, persisted, visit);
  if (!recovery) return fail(recovery.error());
  journal->recovery_ = *recovery;
  return journal;
}

void Journal::close() {
  writer_->close();
}
JournalPosition Journal::append(JournalEntry entry) {
  return writer_->append(std::move(entry));
}
void Journal::set_persisted(JournalPosition position) {
  writer_->set_persisted(position);
}
JournalStats Journal::stats() const {
  return writer_->stats();
}
std::uint64_t Journal::unpersisted_bytes() const {
  return writer_->unpersisted_bytes();
}

}  // namespace leat::storage
