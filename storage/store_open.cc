// Opening the store: what the SSTs hold, before the journal is replayed and after.
#include <algorithm>

#include "storage/keys.h"
#include "storage/store.h"

namespace leat::storage {
JournalPosition Store::Positions::lowest() const {
  return *std::min_element(of, of + kFamilies);
}

Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  std::unique_ptr<Store> store(new Store(std::move(options)));
  Store* raw = store.get();
  auto rocks = Rocks::open(
      {.directory = store->options_.directory,
       .io = store->options_.io,
       .memtable_bytes = store->options_.memtable_bytes,
       .other_memtable_bytes = store->options_.other_memtable_bytes,
       .block_cache_bytes = store->options_.block_cache_bytes,
       .on_flushed = [raw](Family family, std::uint64_t up_to) { raw->flushed(family, up_to); }});
  if (!rocks) return fail(rocks.error());
  store->rocks_ = std::move(*rocks);
  if (auto ok = store->load_footers(); !ok) return fail(ok.error());
  if (auto ok = store->load_positions(); !ok) return fail(ok.error());
  if (auto ok = store->remove_leftovers(); !ok) return fail(ok.error());
  if (auto ok = store->load_own_state(); !ok) return fail(ok.error());
  return store;
}

// A segment without a footer before the newest footer was dropped, but for leftovers. What that may
// not be, recovered() finds out.
Result<> Store::load_footers() {
  std::unique_ptr<rocksdb::Iterator> it(
      rocks_->db().NewIterator(rocksdb::ReadOptions(), rocks_->family(Family::kRecords)));
  for (std::uint32_t at = 1;;) {
    it->Seek(slice(keys::view(keys::footer(at))));
    if (!it->Valid()) break;
    const std::string_view key = view(it->key());
    const std::uint32_t found = keys::segment_of(key);
    if (key != keys::view(keys::footer(found))) {
      at = found;
      continue;
    }
    auto footer = Footer::decode(view(it->value()), found);
    if (!footer) return fail(footer.error());
    index_.load(*footer);
    large_.load(found, footer->large);
    at_open_.of[static_cast<std::size_t>(Family::kRecords)] = footer->position;
    segment_ = at = found + 1;
  }
  if (!it->status().ok()) return fail(from_status(it->status(), "reading segment footers"));
  return large_.check();
}

Result<> Store::load_positions() {
  for (const Family family : kStateFamilies) {
    auto value = RocksFamilyReader(*rocks_, family).get(keys::kPosition);
    if (!value) return fail(value.error());
    if (value->size() == 8)
      at_open_.of[static_cast<std::size_t>(family)] =
          JournalPosition(load_le<std::uint64_t>(as_bytes(*value).data()));
  }
  applied_ = rolled_ = at_open_.lowest();
  persisted_ = {applied_, segment_ - 1};
  return {};
}

// RocksDB may have flushed part of the segment that was open. Replay brings it back, perhaps split
// differently, so the old rows must not stay beside the new ones.
Result<> Store::remove_leftovers() {
  std::unique_ptr<rocksdb::Iterator> it(
      rocks_->db().NewIterator(rocksdb::ReadOptions(), rocks_->family(Family::kRecords)));
  it->SeekToLast();
  if (!it->status().ok()) return fail(from_status(it->status(), "reading the last segment"));
  if (!it->Valid() || it->key().size() != keys::kRecordBytes) return {};
  const std::uint32_t last = keys::segment_of(view(it->key()));
  if (last < segment_) return {};
  const auto begin = keys::record(segment_, PartitionId(0), Offset(0));
  const auto end = keys::record(last + 1, PartitionId(0), Offset(0));
  return rocks_->remove_records(keys::view(begin), keys::view(end));
}

Result<> Store::load_own_state() {
  if (auto ok = epochs_.load(RocksFamilyReader(*rocks_, Family::kCatalog)); !ok) return ok;
  if (auto ok = starts_at_open_.load(RocksFamilyReader(*rocks_, Family::kCatalog)); !ok) return ok;
  for (const auto& [partition, start] : starts_at_open_.all())
    index_.move_start(partition, start.offset, start.moved);
  if (auto ok = ends_.load(RocksFamilyReader(*rocks_, Family::kCatalog)); !ok) return ok;
  if (auto ok = acks_.load(RocksFamilyReader(*rocks_, Family::kOffsets)); !ok) return ok;
  if (auto ok = ids_.load(RocksFamilyReader(*rocks_, Family::kIds)); !ok) return ok;
  if (auto ok = sources_.load(RocksFamilyReader(*rocks_, Family::kProducers)); !ok) return ok;
  return producers_.load(RocksFamilyReader(*rocks_, Family::kProducers));
}

Result<> Store::load(State& state) const {
  std::optional<RocksFamilyReader> reader;
  return state.load(
      [&](Family family) -> const FamilyReader& { return reader.emplace(*rocks_, family); });
}

// A partition whose last segment was dropped ends where it starts, if the move is as old as what
// the SSTs hold; else the batches before the start are still to be replayed.
PartitionLog Store::log_at_open(PartitionId partition) const {
  const auto start = starts_at_open_.find(partition);
  Offset next = index_.span(partition).next;
  if (!wants(Family::kRecords, start.moved)) next = std::max(next, start.offset);
  return PartitionLog(index_.extents(partition), start.offset, next);
}

std::optional<SegmentIndex::Hole> Store::first_hole(
    const std::function<bool(PartitionId)>& exists) {
  index_.keep_only(exists, applied_);
  if (const auto hole = index_.first_hole()) return hole;
  for (const auto& [partition, end] : ends_.all()) {
    const auto [start, next] = index_.span(partition);
    if (exists(partition) && std::max(start, next) < end)
      return SegmentIndex::Hole{partition, std::max(start, next), end};
  }
  return std::nullopt;
}

void Store::recovered() {
  CleanerOptions options{
      .segment_bytes = options_.roll_bytes,
      .key_map_bytes = options_.key_map_bytes,
      .read = [this](PartitionId partition, Offset from,
                     std::size_t bytes) { return read(partition, from, bytes); },
      .on_compacted =
          [this](PartitionId partition, Offset first, Offset next, std::uint64_t gone) {
            if (options_.on_compacted) options_.on_compacted(partition, first, next, gone);
          },
      .on_failed =
          [this](const Error& error) {
            [[maybe_unused]] const auto told = damaged({.what = error.message()});
          },
      .at_point = options_.at_point};
  rocks_->recovered();
  large_.recovered();
  const std::lock_guard lock(mutex_);
  cleaner_ = std::make_unique<Cleaner>(*rocks_, index_, large_, std::move(options));
  cleaner_->look(persisted_);
  if (options_.scrub_rate == 0) return;
  scrubber_ = std::make_unique<Scrubber>(
      *rocks_, large_,
      ScrubberOptions{.bytes_per_second = options_.scrub_rate,
                      .interval = options_.scrub_interval,
                      .on_damage = [this](const RocksFile& file,
                                          const Error& error) { tell_damage(file, error); },
                      .at_point = options_.at_point});
}

Store::~Store() {
  scrubber_.reset();
  std::unique_ptr<Cleaner> cleaner;
  {
    const std::lock_guard lock(mutex_);
    cleaner = std::move(cleaner_);
  }
  cleaner.reset();
  rocks_.reset();  // its flush thread tells of the rolls to the last
}

}  // namespace leat::storage
