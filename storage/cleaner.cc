#include "storage/cleaner.h"

#include <algorithm>
#include <span>

#include "storage/keys.h"
#include "storage/thread.h"

namespace leat::storage {
namespace {

constexpr std::size_t kFilesARewrite = 8;
constexpr std::size_t kSmallShare = 8;  // a file of less than this share of a segment is small

// Leaves out what lies below the log starts, partitions that were deleted, and footers of segments
// of which nothing is left.
class LiveRows final : public RowFilter {
 public:
  LiveRows(const SegmentIndex& index, JournalPosition persisted)
      : index_(index), persisted_(persisted), starts_(index.starts()) {}

  std::string next_kept(std::string_view key) override {
    const std::uint32_t segment = keys::segment_of(key);
    const PartitionId partition = keys::partition_of(key);
    if (partition == keys::kFooterPartition)
      return index_.dead(segment, segment, persisted_)
                 ? text(keys::record(segment + 1, PartitionId(0), Offset(0)))
                 : std::string(key);
    const auto start = starts_.find(partition);
    if (start == starts_.end()) return text(keys::record(segment, partition + 1, Offset(0)));
    if (keys::last_offset_of(key) >= start->second) return std::string(key);
    return text(keys::record(segment, partition, start->second));
  }

 private:
  static std::string text(const keys::RecordKey& key) { return std::string(keys::view(key)); }

  const SegmentIndex& index_;
  JournalPosition persisted_;
  std::unordered_map<PartitionId, Offset> starts_;
};

}  // namespace

Cleaner::Cleaner(Rocks& rocks, SegmentIndex& index, std::size_t segment_bytes,
                 std::function<void(const Error&)> failed)
    : rocks_(rocks),
      index_(index),
      segment_bytes_(segment_bytes),
      failed_(std::move(failed)),
      thread_(start_thread("leat-cleaner", [this] { run(); })) {}

Cleaner::~Cleaner() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  rocks_.stop_rewrites();
  thread_.join();
}

void Cleaner::look(Persisted persisted) {
  {
    const std::lock_guard lock(mutex_);
    persisted_ = persisted;
    look_ = true;
  }
  changed_.notify_one();
}

void Cleaner::run() {
  for (;;) {
    Persisted persisted;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || look_; });
      if (stopping_) return;
      look_ = false;
      persisted = persisted_;
    }
    if (!clean(persisted)) continue;
    const std::lock_guard lock(mutex_);
    look_ = true;
  }
}

bool Cleaner::clean(Persisted persisted) {
  for (const auto step : {&Cleaner::drop_dead, &Cleaner::rewrite_worst}) {
    const Result<bool> done = (this->*step)(persisted);
    if (!done && done.error() != ErrorCode::kClosed) failed_(done.error());
    if (!done) return false;
    if (*done) return true;
  }
  return false;
}

Result<bool> Cleaner::drop_dead(Persisted persisted) {
  bool dropped = false;
  const auto files = rocks_.records_files();
  const auto dead = [&](const RecordsFile& file) {
    return file.last < persisted.segment && index_.dead(file.first, file.last, persisted.position);
  };
  for (auto it = files.begin(); it != files.end();) {
    const auto begin = std::find_if(it, files.end(), dead);
    it = std::find_if_not(begin, files.end(), dead);
    if (begin == it) break;
    const std::uint32_t first = begin->first, last = std::prev(it)->last;
    if (auto ok = rocks_.drop_segments(first, last); !ok) return fail(ok.error());
    index_.cleaned(first, last, persisted.position);
    dropped = true;
  }
  // What a spanning segment's neighbour holds may have gone with it.
  if (dropped && rocks_.records_files().size() == files.size()) return false;
  return dropped;
}

// The first neighbours of which half or more is dead, or that are so small that they had better be
// one file.
Result<bool> Cleaner::rewrite_worst(Persisted persisted) {
  const auto files = rocks_.records_files();
  const auto in_place = [&](const RecordsFile& file) { return file.last < persisted.segment; };
  const auto half_dead = [&](const RecordsFile& file) {
    const auto space = index_.space(file.first, file.last);
    return in_place(file) && space.live * 2 <= std::min(space.bytes, file.bytes) &&
           file.bytes > segment_bytes_ / kSmallShare / kSmallShare;
  };
  const auto small = [&](const RecordsFile& file) {
    return in_place(file) && file.bytes < segment_bytes_ / kSmallShare;
  };
  std::vector<RecordsFile> chosen;
  const auto choose = [&](const auto& worth, std::size_t least) {
    for (auto it = files.begin(); it != files.end() && chosen.empty();) {
      const auto begin = std::find_if(it, files.end(), worth);
      it = begin;
      while (it != files.end() && worth(*it) &&
             it - begin < static_cast<std::ptrdiff_t>(kFilesARewrite))
        ++it;
      if (it - begin >= static_cast<std::ptrdiff_t>(least)) chosen.assign(begin, it);
      if (begin == it) break;
    }
  };
  choose(half_dead, 1);
  if (chosen.empty()) choose(small, kFilesARewrite);
  if (chosen.empty()) return false;
  LiveRows filter(index_, persisted.position);
  if (auto ok = rocks_.rewrite(chosen, filter); !ok) return fail(ok.error());
  index_.cleaned(chosen.front().first, chosen.back().last, persisted.position);
  return true;
}

}  // namespace leat::storage
