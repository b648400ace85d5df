// Reading the store: from SSTs and memtables, and from the segments where large batches lie.
#include <algorithm>
#include <utility>

#include "storage/keys.h"
#include "storage/recovery/stored_rows.h"
#include "storage/store.h"

namespace leat::storage {
namespace {
constexpr std::size_t kMostReadBytes = 1 << 20;
constexpr int kAttempts = 3;  // the cleaner may have rewritten what an iterator still sees

// Of the batch that a row of the records family holds, or tells of.
std::size_t batch_bytes(const rocksdb::Iterator& row) {
  const auto ref = LargeRef::decode(view(row.value()));
  return ref ? ref->batch_bytes() : row.value().size();
}

}  // namespace

// Batches on their way to a reader.
struct Store::Gathered {
  std::shared_ptr<std::vector<std::byte>> bytes = std::make_shared<std::vector<std::byte>>();
  Offset next;
  std::size_t left;
  LargeReader large;

  // Before one of so many bytes is read.
  bool has_room(std::size_t size) const { return bytes->empty() || size <= left; }
  // Whether more may follow.
  bool take(const RecordBatchView& batch) {
    const std::size_t size = batch.bytes().size();
    bytes->insert(bytes->end(), batch.bytes().begin(), batch.bytes().end());
    next = batch.last_offset() + 1;
    left -= std::min(left, size);
    return left > 0;
  }
};

Result<ReadResult> Store::read(PartitionId partition, Offset from, std::size_t max_bytes) const {
  auto result = read_segments(partition, from, max_bytes);
  // The log start may have moved meanwhile, and files have been dropped.
  if (from < index_.span(partition).start) return fail(ErrorCode::kOffsetOutOfRange);
  return result;
}

// Rows that tell where large batches lie are small, and asked for again; others would only push
// out what is.
std::unique_ptr<rocksdb::Iterator> Store::rows(const SegmentIndex::Place& place,
                                               std::size_t readahead) const {
  rocksdb::ReadOptions options;
  const bool large = large_.bytes(place.segment, place.segment) > 0;
  options.readahead_size = large ? 0 : readahead;
  options.fill_cache = large;
  return std::unique_ptr<rocksdb::Iterator>(
      rocks_->db().NewIterator(options, rocks_->family(Family::kRecords)));
}

// Where the large batches of a read lie.
std::vector<LargeRef> Store::large_refs(PartitionId partition,
                                        const std::vector<SegmentIndex::Place>& places, Offset from,
                                        std::size_t max_bytes) const {
  const LooksAtRows looks;
  std::vector<LargeRef> refs;
  std::size_t bytes = 0;
  for (const SegmentIndex::Place& place : places) {
    if (large_.bytes(place.segment, place.segment) == 0) continue;
    const auto key = keys::record(place.segment, partition, std::max(from, place.first));
    const std::string_view prefix = keys::view(key).substr(0, keys::kRecordPrefixBytes);
    const auto it = rows(place, 0);
    for (it->Seek(slice(keys::view(key))); it->Valid() && it->key().starts_with(slice(prefix));
         it->Next()) {
      bytes += batch_bytes(*it);
      if (bytes > max_bytes && !refs.empty()) return refs;
      if (const auto ref = LargeRef::decode(view(it->value()))) refs.push_back(*ref);
    }
  }
  return refs;
}

// What is intact in front of damage is served; damage answers whoever asks for it.
Result<ReadResult> Store::read_segments(PartitionId partition, Offset from,
                                        std::size_t max_bytes) const {
  const auto places = index_.from(partition, from, max_bytes);
  Gathered gathered{.next = from, .left = max_bytes, .large = LargeReader(large_)};
  if (places.size() > 1) gathered.bytes->reserve(std::min(max_bytes, kMostReadBytes));
  gathered.large.expect(large_refs(partition, places, from, std::min(max_bytes, kMostReadBytes)));
  for (auto place = places.begin(); place != places.end() && gathered.left > 0; ++place) {
    auto ok = read_place(partition, *place, gathered, kAttempts);
    if (!ok && gathered.bytes->empty()) return fail(ok.error());
    if (!ok) break;
  }
  ReadResult result;
  const Bytes all(*gathered.bytes);
  if (!all.empty()) result.batches.push_back({std::move(gathered.bytes), all});
  return result;
}

Result<> Store::read_place(PartitionId partition, const SegmentIndex::Place& place,
                           Gathered& gathered, int attempts) const {
  const LooksAtRows looks;
  // What the segment holds of the partition comes at once, and nothing behind it.
  const std::size_t most = std::min({place.bytes, gathered.left, kMostReadBytes});
  auto it = rows(place, most - std::min(most, Rocks::kBlockBytes));
  Offset& next = gathered.next;
  if (const auto known = damage_.find(partition, next)) return fail(known->error());
  const auto key = keys::record(place.segment, partition, next);
  const std::string_view prefix = keys::view(key).substr(0, keys::kRecordPrefixBytes);
  const auto in_place = [&] { return it->Valid() && it->key().starts_with(slice(prefix)); };
  for (it->Seek(slice(keys::view(key))); in_place(); it->Next()) {
    if (!gathered.has_room(batch_bytes(*it))) {
      gathered.left = 0;
      return {};
    }
    const auto batch = check_row(view(it->key()), view(it->value()), gathered.large);
    const Offset end = keys::last_offset_of(view(it->key())) + 1;
    if (!batch && LargeRef::decode(view(it->value())) && attempts > 1) {
      gathered.large = LargeReader(large_);
      return read_place(partition, place, gathered, attempts - 1);
    }
    if (!batch) return damaged({partition, next, end, batch.error().detail});
    const Offset base = batch->base_offset();
    if (base > next || (base < next && !gathered.bytes->empty()))
      return damaged({partition, next, base > next ? base : end, "they are missing"});
    if (!gathered.take(*batch) || next >= place.next) return {};
  }
  Damage damage{partition, next, place.next, "they are missing"};
  if (!it->status().ok()) {
    damage.what = from_status(it->status(), "reading").detail;
    it = skip_damage([&] { return rows(place, 0); },
                     keys::view(keys::record(place.segment, partition, next)))
             .rows;
    if (in_place())
      if (const auto batch = check_row(view(it->key()), view(it->value()), gathered.large))
        damage.next = std::max(next + 1, batch->base_offset());
  }
  return damaged(damage);
}

Result<std::string> Store::id_row(PartitionId partition, std::uint64_t block) const {
  const LooksAtRows looks;
  auto row = RocksFamilyReader(*rocks_, Family::kIds).get(keys::ids(partition, block));
  if (!row && row.error() == ErrorCode::kCorruptStorage)
    return fail(damaged({.what = row.error().detail}).error());
  return row;
}

Result<> Store::damaged(const Damage& damage) const {
  // What retention has taken meanwhile is missing, but not lost.
  const bool gone = damage.partition && damage.first < index_.span(*damage.partition).start;
  if (!gone && damage_.add(damage) && options_.on_damage) options_.on_damage(damage);
  return fail(damage.error());
}

// Of a file of records, which offsets of which partitions: reading them tells.
void Store::tell_damage(const RocksFile& file, const Error& error) const {
  [[maybe_unused]] const auto told =
      damaged({.what = "a file of " + file.family + ": " + error.detail});
  if (file.family != keys::kRecordsFamily) return;
  const std::uint32_t first = keys::segment_of(file.first_key);
  const std::uint32_t last = keys::segment_of(file.last_key);
  for (const auto& [partition, start] : index_.starts()) {
    const Extents extents = index_.extents(partition);
    for (const Extent& extent : extents.all())
      if (extent.segment >= first && extent.segment <= last) read_through(partition, extent);
  }
}

void Store::read_through(PartitionId partition, const Extent& extent) const {
  for (Offset from = extent.first; from < extent.next;) {
    const auto read = this->read(partition, from, kMostReadBytes);
    const auto known = damage_.find(partition, from);
    if (known) from = known->next;
    if (known) continue;
    if (!read || read->batches.empty()) return;
    for (Bytes rest = read->batches.front().bytes; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      from = batch->last_offset() + 1;
      rest = rest.subspan(batch->bytes().size());
    }
  }
}

}  // namespace leat::storage
