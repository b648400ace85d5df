#include "storage/recovery/records_walk.h"

#include <algorithm>

#include "storage/keys.h"
#include "storage/recovery/stored_rows.h"

namespace leat::storage {
namespace {
constexpr std::size_t kReadaheadBytes = 2 << 20;
constexpr const char* kMissing = "they are missing";
}  // namespace

void RecordsWalk::run(Rocks& rocks) {
  rocksdb::ReadOptions options;
  options.readahead_size = kReadaheadBytes;
  options.fill_cache = false;
  const OpenRows open = [&] {
    return std::unique_ptr<rocksdb::Iterator>(
        rocks.db().NewIterator(options, rocks.family(Family::kRecords)));
  };
  constexpr keys::RecordKey kEnd = [] {
    keys::RecordKey end;
    end.fill(static_cast<char>(0xff));
    return end;
  }();
  keys::RecordKey at{};  // nothing below it is left to be seen
  auto it = open();
  it->Seek(slice(keys::view(at)));
  while (it->Valid() || (!it->status().ok() && at != kEnd)) {
    if (!it->Valid()) {
      unreadable(from_status(it->status(), "reading").detail);
      auto behind_it = skip_damage(open, keys::view(at));
      at = behind_it.key;
      it = std::move(behind_it.rows);
    } else if (it->key().size() != at.size()) {
      other_.push_back("a row of the records family has a key of another form");
      it->Next();
    } else {
      row(view(it->key()), view(it->value()));
      at = behind(view(it->key()));
      it->Next();
    }
  }
  if (!it->status().ok()) unreadable(from_status(it->status(), "reading").detail);
  end_segment();
}

void RecordsWalk::row(std::string_view key, std::string_view value) {
  const std::uint32_t id = keys::segment_of(key);
  if (id != segment_.id) end_segment();
  segment_.id = id;
  const PartitionId partition = keys::partition_of(key);
  if (partition == keys::kFooterPartition) return take_footer(value);
  const auto batch = check_row(key, value, large_);
  if (!batch) {
    segment_.bad[partition] = batch.error().detail;
    return;
  }
  ++batches_;
  bytes_ += batch->bytes().size();
  auto& runs = segment_.runs[partition];
  if (!runs.empty() && runs.back().next == batch->base_offset()) {
    runs.back().next = batch->last_offset() + 1;
    return;
  }
  const auto bad = segment_.bad.extract(partition);
  runs.push_back({batch->base_offset(), batch->last_offset() + 1, bad ? bad.mapped() : damage_});
}

void RecordsWalk::unreadable(const std::string& why) {
  damage_ = why;
  segment_.damaged = true;
}

// What it promises has been seen in front of it.
void RecordsWalk::take_footer(std::string_view value) {
  const auto footer = Footer::decode(value, segment_.id);
  if (!footer) {
    other_.push_back(footer.error().detail);
    segment_.damaged = true;
    return;
  }
  segment_.footer = true;
  if (!footer->large.empty()) shares_[segment_.id] = footer->large;
  for (const auto& [partition, runs] : segment_.runs)
    for (const Run& run : runs) take(partition, run);
  std::map<PartitionId, Offset> ends;
  for (const auto& [partition, extent] : footer->ranges) {
    ends[partition] = extent.next;
    if (extent.next <= expected(partition)) continue;
    const auto bad = segment_.bad.find(partition);
    lose(partition, expected(partition), extent.next,
         bad != segment_.bad.end() ? bad->second : damage_);
    next_[partition] = extent.next;
  }
  for (const auto& [partition, runs] : segment_.runs)
    if (ends[partition] < runs.back().next && untold_.size() < kMostLost)
      untold_.push_back({partition, ends[partition], runs.back().next,
                         "no footer tells of them in segment " + std::to_string(segment_.id)});
  position_ = footer->position;
  segment_.runs.clear();
}

// Rows without a footer are leftovers, of a segment that was dropped or that is still to be
// replayed; unless the footer may be what could not be read.
void RecordsWalk::end_segment() {
  if (segment_.damaged)
    for (const auto& [partition, runs] : segment_.runs)
      for (const Run& run : runs) take(partition, run);
  if (!segment_.damaged && !segment_.footer) leftovers_.insert(segment_.id);
  if (!segment_.damaged) damage_.clear();
  segment_ = {};
}

Offset RecordsWalk::expected(PartitionId partition) const {
  const auto known = next_.find(partition);
  const Offset start = start_(partition);
  return known == next_.end() ? start : std::max(start, known->second);
}

void RecordsWalk::take(PartitionId partition, const Run& run) {
  const Offset next = expected(partition);
  if (run.first > next) lose(partition, next, run.first, run.before);
  next_[partition] = std::max(next, run.next);
}

void RecordsWalk::lose(PartitionId partition, Offset first, Offset next, const std::string& why) {
  if (lost_.size() >= kMostLost) {
    ++lost_more_;
    return;
  }
  lost_.push_back({partition, first, next, why.empty() ? kMissing : why});
}

void RecordsWalk::add(PartitionId partition, Offset base, Offset next) {
  take(partition, {base, next, {}});
}

void RecordsWalk::promise(PartitionId partition, Offset end) {
  if (end <= expected(partition)) return;
  lose(partition, expected(partition), end, kMissing);
  next_[partition] = end;
}

Offset RecordsWalk::next(PartitionId partition) const {
  return expected(partition);
}

}  // namespace leat::storage
