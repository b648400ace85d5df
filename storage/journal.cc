#include "storage/journal.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "protocol/base/assert.h"
#include "storage/journal_format.h"
#include "storage/journal_group.h"
#include "storage/journal_inbox.h"
#include "storage/journal_segments.h"
#include "storage/recovery/journal_recovery.h"
#include "storage/thread.h"

namespace leat::storage {
namespace {

constexpr std::size_t kMostThreads = 4;  // that wait for the disk, without io_uring
// With the disk at once; more would only wait there.
constexpr std::size_t kInFlightBytes = 4 << 20;
constexpr std::size_t kLargeGroupBytes = 256 << 10;  // more is spent on bytes than on each write

}  // namespace

class Journal::Writer {
  using Time = WriteQueue::Time;

 public:
  Writer(JournalOptions options, JournalEvents events)
      : options_(std::move(options)),
        events_(std::move(events)),
        inbox_(options_.max_delayed_bytes) {}

  ~Writer() { close(); }

  void close() {
    if (!thread_.joinable()) return;
    inbox_.close();
    segments_->give_up();
    queue_->wake();
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
    const JournalInbox::Put put = inbox_.put(std::move(entry));
    if (put.wakes) queue_->wake();
    return put.position;
  }

  void set_persisted(JournalPosition position) { segments_->set_persisted(position); }

  void pin() { segments_->pin(); }
  void unpin() { segments_->unpin(); }

  Result<Manifest> seal() {
    // Not on the journal's thread, which would keep everybody waiting for it.
    if (auto ok = segments_->await_next(); !ok) return fail(ok.error());
    std::promise<Result<>> sealed;
    auto ended = sealed.get_future();
    {
      const std::lock_guard lock(seal_mutex_);
      if (stopped_) return fail(*stopped_);
      LEAT_ASSERT(!seal_);
      seal_ = std::move(sealed);
    }
    inbox_.ask_to_seal();
    queue_->wake();
    if (auto ok = ended.get(); !ok) return fail(ok.error());
    return segments_->sealed();
  }

  JournalStats stats() const {
    return {.groups = groups_,
            .syncs = groups_,
            .bytes_written = bytes_written_,
            .segments = segments_->count(),
            .prewritten_bytes = segments_->prewritten_bytes(),
            .system_calls = queue_->system_calls(),
            .writes = queue_->name(),
            .fallback = fallback_};
  }

  std::uint64_t unpersisted_bytes() const { return segments_->sealed_bytes() + used_; }

 private:
  using Entries = std::shared_ptr<std::vector<JournalEntry>>;
  // A group that is with the disk.
  struct Group {
    WriteQueue::Slot slot;
    std::size_t bytes;
    Entries owner;
    std::span<const JournalEntry> entries;
    bool done = false;
  };

  // ---- coming up ----

  Result<> start(FileIo& io, const Manifest& manifest, const Replayed& replayed) {
    journal_id_ = manifest.journal_id;
    incarnation_ = manifest.incarnation;
    chain_ = replayed.chain;
    sealed_ = durable_ = replayed.last;
    inbox_.set_last(replayed.last);
    segments_ = std::make_unique<JournalSegments>(
        JournalSegments::Options{options_.directory, options_.first_segment_bytes,
                                 options_.segment_bytes, options_.at_point, events_.on_no_space},
        io, manifest, replayed.segments);
    auto first = segments_->start();
    if (!first) return fail(first.error());
    segment_ = std::move(*first);
    std::promise<Result<>> opened;
    auto ready = opened.get_future();
    thread_ = start_thread("leat-journal", [this, &io, opened = std::move(opened)]() mutable {
      auto ok = begin(io);
      const bool runs = ok.has_value();
      opened.set_value(std::move(ok));
      if (runs) run();
    });
    auto ok = ready.get();
    if (!ok) thread_.join();
    return ok;
  }

  // On the journal's thread, to which the queue belongs. Everything replayed was synced: says so,
  // so that its loss can be told from a torn tail.
  Result<> begin(FileIo& io) {
    if (auto ok = open_queue(io); !ok) return ok;
    for (WriteQueue::Slot slot = queue_->depth(); slot > 0; --slot) free_.push_back(slot - 1);
    if (auto ok = start_group({}, nullptr); !ok) return ok;
    return finish_all();
  }

  Result<> open_queue(FileIo& io) {
    if (options_.writes != WriteMode::kThread) {
      auto queue = io.write_queue(options_.writes_in_flight);
      if (!queue && options_.writes == WriteMode::kUring)
        return fail(queue.error().code,
                    queue.error().detail + "; allow it, or say --journal thread or --journal auto");
      if (queue)
        queue_ = std::move(*queue);
      else
        fallback_ = queue.error().detail;
    }
    if (!queue_)
      queue_ =
          std::make_unique<ThreadWriteQueue>(std::min(options_.writes_in_flight, kMostThreads));
    return {};
  }

  // ---- the journal's thread ----

  void run() {
    auto ok = write_until_closed();
    if (!ok) stop_for_good(ok.error());
    const std::lock_guard lock(seal_mutex_);
    stopped_ = ok ? Error(ErrorCode::kClosed) : ok.error();
    answer_seal(fail(*stopped_));
  }

  Result<> write_until_closed() {
    for (;;) {
      while (!rest_.empty() && has_room())
        if (auto ok = start_taken(); !ok) return ok;
      if (sealing_ && rest_.empty())
        if (auto ok = seal_segment(); !ok) return ok;
      JournalInbox::Taken taken = inbox_.take(worth());
      sealing_ = sealing_ || taken.sealing;
      if (!taken.entries.empty()) {
        auto all = std::make_shared<std::vector<JournalEntry>>(std::move(taken.entries));
        rest_ = *all;
        taken_ = std::move(all);
        continue;
      }
      if (taken.sealing) continue;
      const bool idle = in_flight_.empty() && rest_.empty();
      if (idle && taken.closing && !unmarked_) return {};
      if (idle && unmarked_) {
        if (taken.closing || marker_at_ <= Time::clock::now())
          if (auto ok = start_marker(); !ok) return ok;
        taken.until = std::min(taken.until, marker_at_);
      }
      if (auto ok = wait(taken.until); !ok) return ok;
    }
  }

  bool has_room() const { return !free_.empty() && in_flight_bytes_ < kInFlightBytes; }

  std::size_t worth() const {
    if (!rest_.empty() || !has_room()) return JournalInbox::kNoRoom;
    return in_flight_.empty() ? 1 : options_.overlap_bytes;
  }

  // Until something in flight ends, append() wakes, or `until`. Tells what is durable thereby.
  Result<> wait(Time until) {
    if (auto ok = wait_for_disk(until); !ok) return ok;
    tell_durable();
    return {};
  }

  Result<> wait_for_disk(Time until) {
    Result<> all;
    for (const WriteQueue::Done& done : queue_->wait(until)) {
      const auto group = std::find_if(in_flight_.begin(), in_flight_.end(),
                                      [&](const Group& g) { return g.slot == done.slot; });
      group->done = true;
      if (!done.result && all) all = done.result;
    }
    inbox_.awake();
    return all;
  }

  // In order: a group counts when it and all before it are durable.
  void tell_durable() {
    while (!in_flight_.empty() && in_flight_.front().done) {
      const Group group = std::move(in_flight_.front());
      in_flight_.pop_front();
      in_flight_bytes_ -= group.bytes;
      free_.push_back(group.slot);
      durable_ = durable_ + group.entries.size();
      marker_at_ = Time::clock::now() + options_.marker_after;
      if (!std::exchange(begun_, true)) segments_->begun();
      if (group.entries.empty()) continue;
      point("journal.after_write");
      events_.on_durable(group.entries);
      point("journal.after_durable");
    }
  }

  Result<> finish_all() {
    while (!in_flight_.empty())
      if (auto ok = wait(Time::max()); !ok) return ok;
    return {};
  }

  // ---- groups ----

  Result<> start_taken() {
    const auto entries = rest_.first(entries_of_group(rest_, options_.max_group_bytes));
    rest_ = rest_.subspan(entries.size());
    unmarked_ = true;
    return start_group(entries, taken_);
  }

  Result<> start_marker() {
    unmarked_ = false;
    point("journal.marker");
    return start_group({}, nullptr);
  }

  Result<> start_group(std::span<JournalEntry> entries, Entries owner) {
    const GroupPlan plan = plan_group(entries, options_.inlays_from);
    const std::size_t bytes = plan.group_bytes();
    if (auto ok = make_room(bytes); !ok) return ok;
    const WriteQueue::Slot slot = free_.back();
    free_.pop_back();
    const GroupHeader header{.incarnation = incarnation_,
                             .first = sealed_ + 1,
                             .durable = durable_,
                             .previous_crc = chain_,
                             .journal_id = journal_id_};
    chain_ = write_group(entries, plan, header,
                         {.incarnation = incarnation_, .segment = segment_.number, .at = used_},
                         queue_->buffer(slot, bytes - plan.inlaid_bytes));
    sealed_ = sealed_ + entries.size();
    point("journal.before_write");
    queue_->start(slot, *segment_.file, used_, plan.inlays);
    in_flight_.push_back({slot, bytes, std::move(owner), entries});
    in_flight_bytes_ += bytes;
    used_ += bytes;
    groups_ += 1;
    bytes_written_ += bytes;
    if (!entries.empty()) ++groups_in_segment_;  // markers say nothing of what comes
    if (used_ >= segment_.bytes / 2)
      segments_->prepare_next(used_ >= kLargeGroupBytes * groups_in_segment_);
    return {};
  }

  // A segment that is left holds nothing in flight, so it may be recycled as soon as RocksDB has
  // its entries.
  Result<> make_room(std::size_t group_bytes) {
    if (used_ + group_bytes <= segment_.bytes) return {};
    return roll(group_bytes);
  }

  Result<> roll(std::size_t min_bytes) {
    if (auto ok = finish_all(); !ok) return ok;
    auto next = segments_->roll(sealed_, min_bytes);
    if (!next) return fail(next.error());
    segment_ = std::move(*next);
    begun_ = false;
    used_ = groups_in_segment_ = 0;
    return {};
  }

  // Its loss can be told from a torn tail: the last group says that all before it is durable.
  Result<> seal_segment() {
    sealing_ = false;
    if (auto ok = finish_all(); !ok) return ok;
    if (unmarked_)
      if (auto ok = start_marker(); !ok) return ok;
    if (used_ > 0)
      if (auto ok = roll(kBlockBytes); !ok) return ok;
    const std::lock_guard lock(seal_mutex_);
    answer_seal({});
    return {};
  }

  // With seal_mutex_ held.
  void answer_seal(Result<> result) {
    if (seal_) seal_->set_value(std::move(result));
    seal_.reset();
  }

  // After a failed write or sync nothing may be assumed of the disk: no retry, no further ack, also
  // not of what ends well later.
  void stop_for_good(const Error& error) {
    inbox_.fail();
    // The disk still reads the buffers of what is in flight.
    const auto ended = [](const Group& group) { return group.done; };
    while (!std::all_of(in_flight_.begin(), in_flight_.end(), ended))
      static_cast<void>(wait_for_disk(Time::max()));
    events_.on_failed(error);
  }

  void point(const char* name) const {
    if (options_.at_point) options_.at_point(name);
  }

  JournalOptions options_;
  JournalEvents events_;

  // The journal's thread, once it runs.
  std::unique_ptr<JournalSegments> segments_;
  OpenSegment segment_;
  bool begun_ = false;  // it holds a durable group
  std::uint64_t groups_in_segment_ = 0;
  std::unique_ptr<WriteQueue> queue_;  // its wake() is anybody's
  std::string fallback_;
  std::deque<Group> in_flight_;  // in the order of the log
  std::size_t in_flight_bytes_ = 0;
  std::vector<WriteQueue::Slot> free_;  // the last is taken first: few slots grow large
  Entries taken_;                       // out of the inbox
  std::span<JournalEntry> rest_;        // what of it waits for its turn
  std::uint64_t journal_id_ = 0, incarnation_ = 0;
  std::uint32_t chain_ = 0;
  JournalPosition sealed_;   // of the last entry that went into a group
  JournalPosition durable_;  // of the last entry told, or about to be
  bool sealing_ = false;     // as soon as rest_ is written
  bool unmarked_ = false;    // entries were written since the last marker
  Time marker_at_{};         // when one is due, if nothing happens until then
  std::atomic<std::uint64_t> used_{0}, groups_{0}, bytes_written_{0};

  JournalInbox inbox_;  // the shard's thread and the journal's
  std::mutex seal_mutex_;
  std::optional<std::promise<Result<>>> seal_;  // who waits for it
  std::optional<Error> stopped_;                // the journal's thread has
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
void Journal::pin() {
  writer_->pin();
}
void Journal::unpin() {
  writer_->unpin();
}
Result<Manifest> Journal::seal() {
  return writer_->seal();
}
JournalStats Journal::stats() const {
  return writer_->stats();
}
std::uint64_t Journal::unpersisted_bytes() const {
  return writer_->unpersisted_bytes();
}

}  // namespace leat::storage
