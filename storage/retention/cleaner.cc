#include "storage/retention/cleaner.h"

#include <algorithm>
#include <span>

#include "storage/keys.h"
#include "storage/thread.h"

namespace leat::storage {
namespace {

constexpr std::ptrdiff_t kFilesARewrite = 8;
constexpr std::size_t kSmallShare = 8;  // a file of less than this share of a segment is small

constexpr std::size_t kReadBytes = 1 << 20;

}  // namespace

Cleaner::Cleaner(Rocks& rocks, SegmentIndex& index, LargeBatches& large, CleanerOptions options)
    : rocks_(rocks),
      index_(index),
      large_(large),
      options_(std::move(options)),
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

void Cleaner::compact(std::vector<PartitionId> partitions, WallTime deletions_before) {
  {
    const std::lock_guard lock(mutex_);
    compaction_ = {std::move(partitions), deletions_before};
  }
  changed_.notify_one();
}

void Cleaner::run() {
  for (;;) {
    Persisted persisted;
    std::optional<Compaction> compaction;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || look_ || compaction_; });
      if (stopping_) return;
      if (!look_) compaction.swap(compaction_);  // after what only has to be dropped
      look_ = false;
      persisted = persisted_;
    }
    if (compaction) {
      const auto ok = compact(*compaction, persisted);
      if (!ok && ok.error() != ErrorCode::kClosed) options_.on_failed(ok.error());
      point("cleaner.compacted");
      continue;
    }
    if (!clean(persisted)) {
      point("cleaner.cleaned");
      continue;
    }
    const std::lock_guard lock(mutex_);
    look_ = true;
  }
}

void Cleaner::point(const char* name) const {
  if (options_.at_point) options_.at_point(name);
}

bool Cleaner::clean(Persisted persisted) {
  for (const auto step : {&Cleaner::drop_dead, &Cleaner::rewrite_worst}) {
    const Result<bool> done = (this->*step)(persisted);
    if (!done && done.error() != ErrorCode::kClosed) options_.on_failed(done.error());
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
    large_.release(first, last);
    dropped = true;
  }
  // What a spanning segment's neighbour holds may have gone with it.
  if (dropped && rocks_.records_files().size() == files.size()) return false;
  return dropped;
}

std::uint64_t Cleaner::bytes_of(const RecordsFile& file) const {
  return file.bytes + large_.bytes(file.first, file.last);
}

// The first neighbours of which half or more is dead, or that are so small that they had better be
// one file.
Result<bool> Cleaner::rewrite_worst(Persisted persisted) {
  const auto files = rocks_.records_files();
  const auto in_place = [&](const RecordsFile& file) {
    return file.last < persisted.segment && !damaged_.contains(file.name);
  };
  const auto half_dead = [&](const RecordsFile& file) {
    const auto space = index_.space(file.first, file.last);
    const std::uint64_t bytes = bytes_of(file);
    return in_place(file) && space.live * 2 <= std::min(space.bytes, bytes) &&
           bytes > options_.segment_bytes / kSmallShare / kSmallShare;
  };
  const auto small = [&](const RecordsFile& file) {
    return in_place(file) && bytes_of(file) < options_.segment_bytes / kSmallShare;
  };
  std::vector<RecordsFile> chosen;
  const std::uint64_t most = kFilesARewrite * options_.segment_bytes;
  const auto choose = [&](const auto& worth, std::ptrdiff_t least) {
    for (auto it = files.begin(); it != files.end() && chosen.empty();) {
      const auto begin = std::find_if(it, files.end(), worth);
      it = begin;
      std::uint64_t live = 0;  // two copies of it are there until the rewrite ends
      for (; it != files.end() && worth(*it); ++it) {
        if (it - begin == kFilesARewrite || live >= most) break;
        live += index_.space(it->first, it->last).live;
      }
      if (it - begin >= least) chosen.assign(begin, it);
      if (begin == it) break;
    }
  };
  choose(half_dead, 1);
  const bool takes_in = !chosen.empty();
  if (chosen.empty()) choose(small, kFilesARewrite);
  if (chosen.empty()) return false;
  LiveRows filter(index_, large_, persisted.position, takes_in);
  if (auto ok = rewrite(chosen, filter); !ok) return fail(ok.error());
  index_.cleaned(chosen.front().first, chosen.back().last, persisted.position);
  return true;
}

// RocksDB takes no writes any more once a rewrite has met damage, so that is looked for before.
Result<> Cleaner::rewrite(const std::vector<RecordsFile>& files, LiveRows& filter) {
  for (const RecordsFile& file : files)
    if (auto ok = rocks_.verify(file.path); !ok) {
      damaged_.insert(file.name);
      return ok;
    }
  std::uint32_t first = files.front().first, last = files.back().last;
  for (const RocksFile& other : rocks_.files()) {
    const bool one_of_them = std::ranges::any_of(
        files, [&](const RecordsFile& file) { return other.path.ends_with(file.name); });
    if (one_of_them || other.family != keys::kRecordsFamily) continue;
    if (keys::segment_of(other.last_key) == first) ++first;
    if (keys::segment_of(other.first_key) == last) --last;
  }
  filter.whole(first, last);
  if (auto ok = rocks_.rewrite(files, filter); !ok) return ok;
  if (filter.takes_in()) large_.release(first, last, filter.left());
  for (const std::uint32_t segment : filter.gone()) large_.release(segment, segment);
  return {};
}

// ---- key compaction ----

// What is compacted around damage could bring a deleted key back.
bool Cleaner::lies_in_damaged(const std::vector<RecordsFile>& files, PartitionId partition,
                              Offset end) const {
  return std::ranges::any_of(files, [&](const RecordsFile& file) {
    return damaged_.contains(file.name) &&
           index_.holds_any(file.first, file.last, {{partition, end}});
  });
}

// As much has come in since the last time as there was then.
bool Cleaner::worth_compacting(PartitionId partition, Offset end) const {
  const auto done = compacted_.find(partition);
  const Extents extents = index_.extents(partition);
  std::uint64_t clean = 0, dirty = 0;
  for (const Extent& extent : extents.all()) {
    if (extent.first >= end) break;
    (done != compacted_.end() && extent.first < done->second ? clean : dirty) += extent.bytes;
  }
  return dirty > 0 && dirty >= clean;
}

// What came in since the last time, as far as there is room. False: no room is left.
Result<bool> Cleaner::map_keys(PartitionId partition, Offset end, KeyMap& keys,
                               CompactedTo& to) const {
  const auto done = compacted_.find(partition);
  Offset next = index_.span(partition).start;
  if (done != compacted_.end()) next = std::max(next, done->second);
  while (next < end) {
    auto read = options_.read(partition, next, kReadBytes);
    if (!read && read.error() == ErrorCode::kOffsetOutOfRange) break;  // retention was quicker
    if (!read) return fail(read.error());
    if (read->batches.empty()) break;
    for (Bytes rest = read->batches.front().bytes; !rest.empty() && next < end;) {
      const auto batch = RecordBatchView::parse(rest);
      auto records = RecordReader::open(*batch, kMaxStoredDecompressedBytes);
      if (!records) return fail(records.error());
      for (const RecordView& record : *records)
        if (record.key && !keys.put(partition, *record.key, record.offset)) return false;
      next = batch->last_offset() + 1;
      to[partition] = next;
      rest = rest.subspan(batch->bytes().size());
    }
  }
  return true;
}

// From the oldest on, so that a deletion never goes before what it deletes.
Result<> Cleaner::compact(const Compaction& compaction, Persisted persisted) {
  KeyMap keys(options_.key_map_bytes);
  CompactedTo to;
  const auto files = rocks_.records_files();
  for (const PartitionId partition : compaction.partitions) {
    const Offset end = index_.end_below(partition, persisted.segment);
    if (!worth_compacting(partition, end) || lies_in_damaged(files, partition, end)) continue;
    const auto room = map_keys(partition, end, keys, to);
    if (!room) to.erase(partition);
    if (!room) options_.on_failed(room.error());
    if (room && !*room) break;
  }
  if (to.empty()) return {};
  CompactedRows filter(index_, large_, persisted.position, keys, to, compaction.deletions_before);
  const auto concerned = [&](const RecordsFile& file) {
    return file.last < persisted.segment && index_.holds_any(file.first, file.last, to);
  };
  for (auto it = files.begin(); it != files.end();) {
    const auto begin = std::find_if(it, files.end(), concerned);
    if (begin == files.end()) break;
    const auto most = std::min(files.end() - begin, kFilesARewrite);
    it = std::find_if_not(begin, begin + most, concerned);
    if (auto ok = rewrite({begin, it}, filter); !ok) return ok;
    for (const auto& [partition, extent, left] : filter.take_shrunk()) {
      const auto gone = index_.shrink(partition, extent.first, extent.next, left);
      options_.on_compacted(partition, extent.first, extent.next, gone);
    }
    index_.cleaned(begin->first, std::prev(it)->last, persisted.position);
  }
  for (const auto& [partition, end] : to) compacted_[partition] = end;
  return {};
}

}  // namespace leat::storage
