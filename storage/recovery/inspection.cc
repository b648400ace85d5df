#include "storage/recovery/inspection.h"

#include <algorithm>
#include <limits>

#include "storage/partition_log.h"
#include "storage/rocks/rocks.h"

namespace leat::storage {
namespace {

constexpr std::size_t kEverything = std::numeric_limits<std::size_t>::max();  // that is there
constexpr std::uint64_t kAllPersisted = std::numeric_limits<std::uint64_t>::max() - 1;

}  // namespace

Inspection::Inspection(FileIo& io, std::string path, Tell tell)
    : io_(io),
      tell_(std::move(tell)),
      state_(std::make_unique<State>(kEverything, kEverything, kEverything)) {
  directory_.path = std::move(path);
}

Result<Inspection> Inspection::run(FileIo& io, const std::string& path, Tell tell) {
  Inspection inspection(io, path, std::move(tell));
  auto directory = open_to_inspect(io, path);
  if (!directory) return fail(directory.error());
  inspection.directory_ = std::move(*directory);
  auto format = read_format(io, path);
  if (!format && format.error() == ErrorCode::kFormatUnsupported) return fail(format.error());
  if (!format) inspection.finding(format.error().message());
  inspection.look(inspection.directory_.rocksdb());
  return inspection;
}

Result<Inspection> Inspection::run(FileIo& io, const std::string& path, const std::string& rocksdb,
                                   Tell tell) {
  Inspection inspection(io, path, std::move(tell));
  inspection.look(rocksdb);
  return inspection;
}

void Inspection::look(const std::string& rocksdb) {
  large_ = std::make_unique<LargeBatches>(io_, directory_.journal(), directory_.large());
  check_rocks(rocksdb);
  check_journal();
  tell_lost();
}

void Inspection::finding(const std::string& line) {
  ++findings_;
  tell_(line);
}

std::string Inspection::summary() const {
  return "files=" + std::to_string(files_) + " bytes=" + std::to_string(file_bytes_) +
         " batches=" + std::to_string(records_ ? records_->batches() : 0) +
         " journal_entries=" + std::to_string(entries_) +
         " torn_bytes=" + std::to_string(torn_bytes_) + " findings=" + std::to_string(findings_);
}

// ---- RocksDB ----

void Inspection::check_rocks(const std::string& rocksdb) {
  auto rocks = Rocks::open({.directory = rocksdb, .io = &io_, .read_only = true});
  if (!rocks) return finding("RocksDB does not open: " + rocks.error().detail);
  rocks_open_ = true;
  check_files(**rocks);
  load_states(**rocks);
  records_ = std::make_unique<RecordsWalk>(
      [state = state_.get()](PartitionId partition) {
        return state->log_starts.find(partition).offset;
      },
      *large_);
  records_->run(**rocks);
  positions_[static_cast<std::size_t>(Family::kRecords)] = records_->position();
  for (const std::string& what : records_->other()) finding(what);
  std::set<LargeFile> files;
  for (const auto& [segment, shares] : records_->large()) {
    large_->load(segment, shares);
    for (const LargeShare& share : shares) {
      files.insert(share.file);
      file_bytes_ += share.bytes;
    }
  }
  files_ += files.size();
  if (auto ok = large_->check(); !ok) finding(ok.error().detail);
}

void Inspection::check_files(const Rocks& rocks) {
  for (const RocksFile& file : rocks.files()) {
    ++files_;
    file_bytes_ += file.bytes;
    if (auto ok = rocks.verify(file.path); !ok)
      finding("family '" + file.family + "': " + ok.error().detail);
  }
}

void Inspection::load_states(Rocks& rocks) {
  for (const Family family : kStateFamilies) {
    auto value = RocksFamilyReader(rocks, family).get(keys::kPosition);
    if (!value) finding("the position of a family: " + value.error().detail);
    if (value && value->size() == 8)
      positions_[static_cast<std::size_t>(family)] =
          JournalPosition(load_le<std::uint64_t>(as_bytes(*value).data()));
  }
  const RocksFamilyReader catalog(rocks, Family::kCatalog), offsets(rocks, Family::kOffsets),
      producers(rocks, Family::kProducers), ids(rocks, Family::kIds);
  const auto lost = [this](const char* what, const Result<>& ok) {
    if (!ok) finding(std::string(what) + ": " + ok.error().detail);
    return !ok;
  };
  lost_topics_ |= lost("topics", state_->catalog.load(catalog));
  lost_topics_ |= lost("leader epochs", state_->epochs.load(catalog));
  lost_topics_ |= lost("log starts", state_->log_starts.load(catalog));
  lost_topics_ |= lost("ends of partitions", ends_.load(catalog));
  lost("committed offsets", state_->offsets.load(offsets));
  lost("acknowledgements", state_->acks.load(offsets));
  lost("groups", state_->groups.load(offsets));
  lost_producers_ = lost("producers", state_->producers.load(producers));
  lost("positions of sources", state_->sources.load(producers));
  lost("message ids", state_->ids.load(ids));
}

// ---- the journal ----

void Inspection::check_journal() {
  persisted_ = rocks_open_ ? *std::ranges::min_element(positions_) : JournalPosition(kAllPersisted);
  auto manifest = load_manifest(io_, directory_.journal(), persisted_);
  if (!manifest) {
    finding(manifest.error().detail);
    manifest = rebuild_manifest(io_, directory_.journal());
    if (!manifest) return finding(manifest.error().detail);
  }
  manifest_ = std::move(*manifest);
  auto found = inspect([this](const JournalEntry& entry) { return visit(entry); },
                       [this](const JournalEntry& entry) { return visit_behind(entry); });
  if (!found) return finding("the journal: " + found.error().message());
  const JournalPosition last = found->replayed.last;
  entries_ = found->replayed.entries_visited;
  torn_bytes_ = found->replayed.torn_bytes;
  journal_begins_late_ = found->begins_late;
  for (const std::string& what : found->damage) finding(what);
  if (found->loss) finding(found->loss->text());
  if (rocks_open_ && !found->loss && last < persisted_)
    finding("the journal ends at entry " + std::to_string(last.value) +
            ", but RocksDB holds entries up to " + std::to_string(persisted_.value));
  known_last_ = std::max({known_last_, last, found->loss ? found->loss->last : last});
  if (rocks_open_) known_last_ = std::max(known_last_, *std::ranges::max_element(positions_));
  for (const auto& [partition, range] : behind_)
    finding(state_->catalog.name_of(partition) + ", offsets " + std::to_string(range.first.value) +
            " to " + std::to_string(range.next.value - 1) +
            " lie in the journal behind what cannot be read");
}

Result<JournalInspection> Inspection::inspect(const Journal::Visitor& visit,
                                              const Journal::Visitor& behind) {
  return inspect_journal(io_, directory_.journal(), manifest_, persisted_, visit, behind);
}

Result<> Inspection::replay(const Journal::Visitor& visit) {
  auto found = inspect(visit, [](const JournalEntry&) { return Result<>(); });
  return found ? Result<>() : Result<>(fail(found.error()));
}

Offset Inspection::known_end(PartitionId partition) const {
  const Offset end = records_->next(partition);
  const auto behind = behind_.find(partition);
  return behind == behind_.end() ? end : std::max(end, behind->second.next);
}

// As DiskStorage replays, in memory alone.
Result<> Inspection::visit(const JournalEntry& entry) {
  const Wants wants = [&](Family family) {
    return entry.position > positions_[static_cast<std::size_t>(family)];
  };
  const auto told = [&](const Error& error) {
    finding("journal entry " + std::to_string(entry.position.value) + ": " + error.message());
    return Result<>();
  };
  if (auto ok = state_->apply(entry, wants); !ok) return told(ok.error());
  state_->ids.applied(entry.position);  // nobody searches here
  if (!holds_records(entry)) return {};
  auto records = RecordsAppended::decode(entry);
  if (!records) return told(records.error());
  const auto batch = RecordBatchView::parse(records->batch);
  if (!batch) return told(batch.error());
  if (auto ok = batch->check(); !ok) return told(ok.error());
  if (!records_ || !wants(Family::kRecords)) return {};
  records_->add(records->partition, batch->base_offset(), batch->last_offset() + 1);
  return {};
}

Result<> Inspection::visit_behind(const JournalEntry& entry) {
  known_last_ = std::max(known_last_, entry.position);
  if (!holds_records(entry)) return {};
  const auto records = RecordsAppended::decode(entry);
  if (!records) return {};
  const auto batch = RecordBatchView::parse(records->batch);
  if (!batch || !records_ || !exists(records->partition)) return {};
  // One that is damaged is believed where it continues what is there.
  const std::int64_t offsets = batch->last_offset().value - batch->base_offset().value + 1;
  const bool fits = batch->base_offset() == known_end(records->partition) && offsets > 0 &&
                    offsets == batch->record_count();
  if (!batch->check() && !fits) return {};
  const auto [it, fresh] =
      behind_.try_emplace(records->partition, Behind{batch->base_offset(), batch->base_offset()});
  it->second.first = std::min(it->second.first, batch->base_offset());
  it->second.next = std::max(it->second.next, batch->last_offset() + 1);
  return {};
}

// ---- what is lost ----

bool Inspection::exists(PartitionId partition) const {
  return std::ranges::any_of(state_->catalog.topics(), [&](const Topic* topic) {
    return partition >= topic->partitions.front() && partition <= topic->partitions.back();
  });
}

// Only now is it known where logs start and which topics there are.
void Inspection::tell_lost() {
  if (!records_) return;
  for (const auto& [partition, end] : ends_.all()) records_->promise(partition, end);
  const auto tell = [this](Damage damage) {
    damage.first = std::max(damage.first, state_->log_starts.find(*damage.partition).offset);
    if (damage.first >= damage.next || !exists(*damage.partition)) return;
    finding(state_->catalog.name_of(*damage.partition) + ", " + damage.text());
  };
  std::ranges::for_each(records_->lost(), tell);
  std::ranges::for_each(records_->untold(), tell);
  if (records_->lost_more() > 0)
    finding(std::to_string(records_->lost_more()) + " more ranges that cannot be read");
}

}  // namespace leat::storage
