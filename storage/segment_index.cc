#include "storage/segment_index.h"

#include <algorithm>

#include "protocol/base/bytes.h"
#include "storage/state/entry.h"

namespace leat::storage {
namespace {
constexpr std::uint32_t kFooterVersion = 3;
}

std::string Footer::encode() const {
  EntryWriter writer;
  writer.le(kFooterVersion).le(position.value).le(static_cast<std::uint32_t>(ranges.size()));
  for (const auto& [partition, extent] : ranges)
    writer.le(partition.value)
        .le(extent.first.value)
        .le(extent.next.value)
        .le(extent.bytes)
        .le(extent.max_timestamp_ms);
  writer.le(static_cast<std::uint32_t>(large.size()));
  for (const LargeShare& share : large)
    writer.le(share.file.incarnation).le(share.file.segment).le(share.bytes).le(share.end);
  return std::string(as_text(writer.take()));
}

Result<Footer> Footer::decode(std::string_view value, std::uint32_t segment) {
  ByteReader reader(as_bytes(value));
  Footer footer;
  const auto version = reader.le<std::uint32_t>();
  footer.position = JournalPosition(reader.le<std::uint64_t>());
  const auto count = reader.le<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && !reader.failed(); ++i) {
    const PartitionId partition(reader.le<std::uint32_t>());
    Extent extent{.segment = segment, .first = {}, .next = {}};
    extent.first = Offset(reader.le<std::int64_t>());
    extent.next = Offset(reader.le<std::int64_t>());
    extent.bytes = reader.le<std::uint64_t>();
    extent.max_timestamp_ms = reader.le<std::int64_t>();
    footer.ranges.push_back({partition, extent});
  }
  const auto files = reader.le<std::uint32_t>();
  for (std::uint32_t i = 0; i < files && !reader.failed(); ++i) {
    LargeShare share;
    share.file.incarnation = reader.le<std::uint64_t>();
    share.file.segment = reader.le<std::uint64_t>();
    share.bytes = reader.le<std::uint64_t>();
    share.end = reader.le<std::uint64_t>();
    footer.large.push_back(share);
  }
  if (version != kFooterVersion || !reader.finished())
    return fail(ErrorCode::kCorruptStorage,
                "malformed footer of segment " + std::to_string(segment));
  return footer;
}

void SegmentIndex::add(PartitionId id, const Extent& batch) {
  const std::lock_guard lock(mutex_);
  Partition& partition = partitions_[id];
  partition.next = batch.next;
  if (batch.next <= partition.start) return hold({.segment = batch.segment}, false);
  const std::size_t before = partition.extents.all().size();
  partition.extents.add(batch);
  hold(batch, partition.extents.all().size() > before);
}

void SegmentIndex::hold(const Extent& extent, bool another) {
  Segment& segment = segments_[extent.segment];
  segment.space.live += extent.bytes;
  segment.space.bytes += extent.bytes;
  segment.extents += another;
}

void SegmentIndex::load(const Footer& footer) {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, extent] : footer.ranges) {
    Partition& partition = partitions_[id];
    partition.next = extent.next;
    partition.extents.load(extent);
    hold(extent, true);
  }
}

void SegmentIndex::move_start(PartitionId id, Offset start, JournalPosition at) {
  const std::lock_guard lock(mutex_);
  Partition& partition = partitions_[id];
  if (start <= partition.start) return;
  partition.start = start;
  partition.extents.trim(start, [&](std::uint32_t segment, std::uint64_t bytes, bool whole) {
    forget(segment, bytes, whole, at);
  });
}

std::uint64_t SegmentIndex::shrink(PartitionId id, Offset first, Offset next, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto it = partitions_.find(id);
  if (it == partitions_.end()) return 0;
  Extents& extents = it->second.extents;
  std::uint64_t held = 0, gone = 0;
  for (auto at = extents.at(first); at != extents.all().end() && at->first < next; ++at)
    held += at->bytes;
  extents.shrink(first, next, held - std::min(held, bytes),
                 [&](std::uint32_t segment, std::uint64_t share, bool whole) {
                   gone += share;
                   forget(segment, share, whole, JournalPosition(0));
                 });
  return gone;
}

void SegmentIndex::remove(PartitionId id, JournalPosition at) {
  const std::lock_guard lock(mutex_);
  const auto it = partitions_.find(id);
  if (it != partitions_.end()) erase(it, at);
}

void SegmentIndex::erase(std::unordered_map<PartitionId, Partition>::iterator it,
                         JournalPosition at) {
  for (const Extent& extent : it->second.extents.all())
    forget(extent.segment, extent.bytes, true, at);
  partitions_.erase(it);
}

void SegmentIndex::forget(std::uint32_t id, std::uint64_t bytes, bool whole, JournalPosition at) {
  Segment& segment = segments_[id];
  LEAT_ASSERT(segment.space.live >= bytes && segment.extents >= whole);
  segment.space.live -= bytes;
  segment.extents -= whole;
  segment.changed = std::max(segment.changed, at);
}

std::vector<SegmentIndex::Place> SegmentIndex::from(PartitionId id, Offset from,
                                                    std::uint64_t bytes) const {
  const std::lock_guard lock(mutex_);
  const auto found = partitions_.find(id);
  if (found == partitions_.end() || from < found->second.start) return {};
  const Extents& extents = found->second.extents;
  std::vector<Place> places;
  std::uint64_t behind_first = 0;  // of the first extent a read may want as little as its end
  const auto first = extents.at(from);
  for (auto it = first; it != extents.all().end(); ++it) {
    if (places.empty() || places.back().segment != it->segment) {
      if (behind_first > bytes) break;
      places.push_back({it->segment, it->first, it->first, 0});
    }
    if (it != first) behind_first += it->bytes;
    places.back().next = it->next;
    places.back().bytes += it->bytes;
  }
  return places;
}

SegmentIndex::Span SegmentIndex::span(PartitionId id) const {
  const std::lock_guard lock(mutex_);
  const auto found = partitions_.find(id);
  if (found == partitions_.end()) return {};
  return {found->second.start, found->second.next};
}

Extents SegmentIndex::extents(PartitionId id) const {
  const std::lock_guard lock(mutex_);
  const auto found = partitions_.find(id);
  return found == partitions_.end() ? Extents() : found->second.extents;
}

Offset SegmentIndex::end_below(PartitionId id, std::uint32_t segment) const {
  const std::lock_guard lock(mutex_);
  const auto found = partitions_.find(id);
  if (found == partitions_.end()) return Offset(0);
  const auto& all = found->second.extents.all();
  const auto end = std::ranges::partition_point(
      all, [&](const Extent& extent) { return extent.segment < segment; });
  return end == all.begin() ? found->second.start : std::prev(end)->next;
}

bool SegmentIndex::holds_any(std::uint32_t first, std::uint32_t last,
                             const std::map<PartitionId, Offset>& below) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(below, [&](const auto& wanted) {
    const auto found = partitions_.find(wanted.first);
    if (found == partitions_.end()) return false;
    const auto& all = found->second.extents.all();
    const auto at = std::ranges::partition_point(
        all, [&](const Extent& extent) { return extent.segment < first; });
    return at != all.end() && at->segment <= last && at->first < wanted.second;
  });
}

std::optional<SegmentIndex::Hole> SegmentIndex::first_hole() const {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, partition] : partitions_) {
    Offset next = partition.start;
    for (const Extent& extent : partition.extents.all()) {
      if (extent.first > next) return Hole{id, next, extent.first};
      next = extent.next;
    }
  }
  return std::nullopt;
}

std::vector<Footer::Range> SegmentIndex::ranges_of(std::uint32_t segment) const {
  const std::lock_guard lock(mutex_);
  std::vector<Footer::Range> ranges;
  for (const auto& [id, partition] : partitions_) {
    const auto& all = partition.extents.all();
    auto it = all.end();
    while (it != all.begin() && std::prev(it)->segment == segment) --it;
    for (; it != all.end(); ++it) ranges.push_back({id, *it});
  }
  return ranges;
}

SegmentIndex::Space SegmentIndex::space(std::uint32_t first, std::uint32_t last) const {
  const std::lock_guard lock(mutex_);
  Space sum;
  for (auto it = segments_.lower_bound(first); it != segments_.end() && it->first <= last; ++it) {
    sum.bytes += it->second.space.bytes;
    sum.live += it->second.space.live;
  }
  return sum;
}

bool SegmentIndex::dead(std::uint32_t first, std::uint32_t last, JournalPosition persisted) const {
  const std::lock_guard lock(mutex_);
  for (auto it = segments_.lower_bound(first); it != segments_.end() && it->first <= last; ++it)
    if (it->second.extents > 0 || it->second.changed > persisted) return false;
  return true;
}

bool SegmentIndex::waits_to_be_persisted(std::uint32_t open, JournalPosition persisted) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, segment] : segments_)
    if (id < open && segment.changed > persisted && segment.space.live * 2 <= segment.space.bytes)
      return true;
  return false;
}

void SegmentIndex::cleaned(std::uint32_t first, std::uint32_t last, JournalPosition persisted) {
  const std::lock_guard lock(mutex_);
  for (auto it = segments_.lower_bound(first); it != segments_.end() && it->first <= last;) {
    const auto here = it++;
    here->second.space.bytes = here->second.space.live;
    if (here->second.extents == 0 && here->second.changed <= persisted) segments_.erase(here);
  }
}

std::unordered_map<PartitionId, Offset> SegmentIndex::starts() const {
  const std::lock_guard lock(mutex_);
  std::unordered_map<PartitionId, Offset> starts;
  for (const auto& [id, partition] : partitions_) starts.emplace(id, partition.start);
  return starts;
}

}  // namespace leat::storage
