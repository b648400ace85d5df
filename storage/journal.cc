#include "storage/journal.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
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
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
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
    appended_ = written_ = replayed.last;
    segments_ = std::make_unique<JournalSegments>(
        JournalSegments::Options{options_.directory, options_.first_segment_bytes,
                                 options_.segment_bytes, options_.at_point},
        io, manifest, replayed.segments);
    auto first = segments_->start();
    if (!first) return fail(first.error());
    segment_ = std::move(*first);
    // Everything replayed was synced: say so, so that its loss can be told from a torn tail.
    if (auto ok = write_group({}); !ok) return ok;
    thread_ = start_thread("leat-journal", [this] { run(); });
    return {};
  }

  void run() {
    std::vector<JournalEntry> entries;
    for (;;) {
      const bool more = wait_for(entries);
      if (auto ok = write(entries); !ok) return stop_for_good(ok.error());
      entries.clear();
      if (!more) return;
    }
  }

  static SteadyTime due_of(Duration max_delay) {
    if (max_delay <= Duration(0)) return SteadyTime::min();
    if (max_delay == Duration::max()) return SteadyTime::max();
    return std::chrono::steady_clock::now() + max_delay;
  }

  // Takes what is pending once the first of it is due; nothing after `marker_after` of idleness,
  // when a marker is due. False: the last round.
  bool wait_for(std::vector<JournalEntry>& entries) {
    std::unique_lock lock(mutex_);
    const SteadyTime marker_at =
        unmarked_ ? std::chrono::steady_clock::now() + options_.marker_after : SteadyTime::max();
    for (;;) {
      const SteadyTime now = std::chrono::steady_clock::now();
      if (stopping_ || due_ <= now) break;
      if (marker_at <= now) return true;
      const SteadyTime until = std::min(due_, marker_at);
      if (until == SteadyTime::max())
        changed_.wait(lock);
      else
        changed_.wait_until(lock, until);
    }
    entries.swap(pending_);
    pending_bytes_ = 0;
    due_ = SteadyTime::max();
    return !stopping_ || !entries.empty();
  }

  Result<> write(std::span<const JournalEntry> entries) {
    if (entries.empty() && unmarked_) {
      unmarked_ = false;
      point("journal.marker");
      return write_group({});
    }
    while (!entries.empty()) {
      const auto group = entries.first(group_size(entries));
      if (auto ok = write_group(group); !ok) return ok;
      unmarked_ = true;
      events_.on_durable(group);
      point("journal.after_durable");
      entries = entries.subspan(group.size());
    }
    return {};
  }

  // As many entries as fit into a group; at least one.
  std::size_t group_size(std::span<const JournalEntry> entries) const {
    std::size_t bytes = kGroupHeaderBytes, count = 0;
    for (const JournalEntry& entry : entries) {
      bytes += entry_bytes(entry.body.size());
      if (count > 0 && bytes > options_.max_group_bytes) break;
      ++count;
    }
    return count;
  }

  Result<> write_group(std::span<const JournalEntry> entries) {
    std::size_t body = 0;
    for (const JournalEntry& entry : entries) body += entry_bytes(entry.body.size());
    const GroupHeader header{.crc = 0,
                             .body_bytes = static_cast<std::uint32_t>(body),
                             .entries = static_cast<std::uint32_t>(entries.size()),
                             .incarnation = incarnation_,
                             .first = written_ + 1,
                             .durable = written_,
                             .previous_crc = chain_,
                             .journal_id = journal_id_};
    if (auto ok = make_room(header.group_bytes()); !ok) return ok;
    buffer_.resize(header.group_bytes());
    copy_entries(entries);
    const std::uint32_t crc = seal_group(buffer_.bytes(), header);
    point("journal.before_write");
    if (auto ok = segment_.file->write(used_, buffer_.bytes()); !ok) return ok;
    point("journal.after_write");
    chain_ = crc;
    written_ = written_ + entries.size();
    used_ += header.group_bytes();
    groups_ += 1;
    bytes_written_ += header.group_bytes();
    if (used_ >= segment_.bytes / 2) segments_->prepare_next();
    return {};
  }

  void copy_entries(std::span<const JournalEntry> entries) {
    std::byte* to = buffer_.bytes().data() + kGroupHeaderBytes;
    for (const JournalEntry& entry : entries) {
      store_le<std::uint32_t>(to, static_cast<std::uint32_t>(entry.body.size()));
      store_le<std::uint16_t>(to + 4, entry.kind);
      store_le<std::uint16_t>(to + 6, 0);
      std::memcpy(to + kEntryHeaderBytes, entry.body.data(), entry.body.size());
      std::byte* end = to + entry_bytes(entry.body.size());
      std::fill(to + kEntryHeaderBytes + entry.body.size(), end, std::byte{0});
      to = end;
    }
    std::fill(to, buffer_.bytes().data() + buffer_.bytes().size(), std::byte{0});
  }

  Result<> make_room(std::size_t group_bytes) {
    if (used_ + group_bytes <= segment_.bytes) return {};
    auto next = segments_->roll(written_, group_bytes);
    if (!next) return fail(next.error());
    segment_ = std::move(*next);
    used_ = 0;
    return {};
  }

  // After a failed write or sync nothing may be assumed of the disk: no retry, no further ack.
  void stop_for_good(const Error& error) {
    {
      const std::lock_guard lock(mutex_);
      failed_ = true;
      pending_.clear();
    }
    events_.on_failed(error);
  }

  void point(const char* name) const {
    if (options_.at_point) options_.at_point(name);
  }

  JournalOptions options_;
  JournalEvents events_;

  // The journal's thread.
  std::unique_ptr<JournalSegments> segments_;
  OpenSegment segment_;
  AlignedBuffer buffer_;
  std::uint64_t journal_id_ = 0, incarnation_ = 0;
  std::uint32_t chain_ = 0;
  JournalPosition written_;  // and durable: each write is
  bool unmarked_ = false;    // entries were written since the last marker
  std::atomic<std::uint64_t> used_{0}, groups_{0}, bytes_written_{0};

  // The shard's thread and the journal's.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<JournalEntry> pending_;
  std::size_t pending_bytes_ = 0;
  SteadyTime due_ = SteadyTime::max();  // when the first of what is pending must be written
  JournalPosition appended_;
  bool failed_ = false;
  bool stopping_ = false;

  std::thread thread_;
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
