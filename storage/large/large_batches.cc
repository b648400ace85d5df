#include "storage/large/large_batches.h"

#include <algorithm>
#include <cstdio>

#include "storage/partition_log.h"
#include "storage/recovery/damage.h"

namespace leat::storage {
namespace {

constexpr std::uint32_t kRefMagic = 0x464552ff;  // ff "REF" in memory
constexpr std::size_t kRefBytes = 32;
constexpr const char* kFresh = ".new";
constexpr std::size_t kReadsAtOnce = 16;
constexpr std::size_t kReadTogetherBytes = 1 << 20;
// Batches so close to one another are read together with what lies between.
constexpr std::uint64_t kNearBytes = 64 << 10;

std::optional<LargeFile> parse_name(const std::string& name) {
  unsigned long long incarnation = 0, segment = 0;
  if (std::sscanf(name.c_str(), "%llu-%llu.seg", &incarnation, &segment) != 2) return std::nullopt;
  const LargeFile file{incarnation, segment};
  return file.name() == name ? std::optional(file) : std::nullopt;
}

}  // namespace

std::string LargeFile::name() const {
  char name[64];
  std::snprintf(name, sizeof name, "%08llu-%08llu.seg",
                static_cast<unsigned long long>(incarnation),
                static_cast<unsigned long long>(segment));
  return name;
}

std::string LargeRef::encode() const {
  std::byte row[kRefBytes];
  store_le<std::uint32_t>(row, kRefMagic);
  store_le<std::uint32_t>(row + 4, bytes);
  store_le<std::uint64_t>(row + 8, file.incarnation);
  store_le<std::uint64_t>(row + 16, file.segment);
  store_le<std::uint64_t>(row + 24, at);
  return std::string(as_text(row));
}

std::optional<LargeRef> LargeRef::decode(std::string_view value) {
  ByteReader reader(as_bytes(value));
  if (value.size() != kRefBytes || reader.le<std::uint32_t>() != kRefMagic) return std::nullopt;
  LargeRef ref;
  ref.bytes = reader.le<std::uint32_t>();
  ref.file.incarnation = reader.le<std::uint64_t>();
  ref.file.segment = reader.le<std::uint64_t>();
  ref.at = reader.le<std::uint64_t>();
  return ref;
}

std::uint32_t LargeRef::batch_bytes() const {
  return bytes - std::min(bytes, static_cast<std::uint32_t>(RecordsAppended::kHeadBytes));
}

// ---- the store's thread ----

std::optional<LargeRef> LargeBatches::keep(const JournalEntry& entry, std::uint32_t segment) {
  const auto records = RecordsAppended::decode(entry);
  if (directory_.empty() || entry.place.incarnation == 0 || !records) return std::nullopt;
  const std::size_t bytes = RecordsAppended::kHeadBytes + records->batch.size();
  const LargeRef ref{.file = {entry.place.incarnation, entry.place.segment},
                     .at = entry.place.at,
                     .bytes = static_cast<std::uint32_t>(bytes)};
  const std::lock_guard lock(mutex_);
  if (!linked_.contains(ref.file) && !link(ref.file)) return std::nullopt;
  const auto [share, fresh] = segments_[segment].try_emplace(ref.file, LargeShare{ref.file});
  if (fresh) ++needed_[ref.file];
  unneeded_.erase(ref.file);
  share->second.bytes += ref.batch_bytes();
  share->second.end = std::max(share->second.end, ref.at + ref.bytes);
  return ref;
}

// Whatever keeps it from getting its name, the batch can be copied. After a start it may be there,
// from before a crash; in a copied directory it is a file of its own then, and the journal's is the
// one whose checksums were looked at.
bool LargeBatches::link(const LargeFile& file) {
  const std::string name = path(file.name()), fresh = name + kFresh;
  const auto names = io_.links(name);
  const bool none = !names && names.error() == ErrorCode::kNotFound;
  if (!names && !none) return false;
  if (none || *names == 1) {
    if (auto ok = io_.remove(fresh); !ok && ok.error() != ErrorCode::kNotFound) return false;
    if (!io_.link(journal_ + "/" + segment_name(file.segment), fresh)) return false;
    if (!io_.rename(fresh, name)) return false;
  }
  linked_.insert(file);
  unsynced_ = true;
  return true;
}

Result<> LargeBatches::sync() {
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(unsynced_, false)) return {};
  }
  auto ok = io_.sync_directory(directory_);
  const std::lock_guard lock(mutex_);
  unsynced_ = unsynced_ || !ok;
  return ok;
}

std::vector<LargeShare> LargeBatches::shares_of(std::uint32_t segment) const {
  const std::lock_guard lock(mutex_);
  std::vector<LargeShare> shares;
  const auto found = segments_.find(segment);
  if (found == segments_.end()) return shares;
  for (const auto& [file, share] : found->second) shares.push_back(share);
  return shares;
}

// ---- at start ----

void LargeBatches::load(std::uint32_t segment, const std::vector<LargeShare>& shares) {
  const std::lock_guard lock(mutex_);
  for (const LargeShare& share : shares)
    if (segments_[segment].emplace(share.file, share).second) ++needed_[share.file];
}

Result<> LargeBatches::check() const {
  std::map<LargeFile, std::uint64_t> ends;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [segment, shares] : segments_)
      for (const auto& [file, share] : shares) ends[file] = std::max(ends[file], share.end);
  }
  for (const auto& [file, end] : ends) {
    const std::string name = path(file.name());
    const auto opened = io_.open(name, {});
    const bool lost = !opened && opened.error() == ErrorCode::kNotFound;
    if (lost) return fail(ErrorCode::kCorruptStorage, "'" + name + "' is missing" + kMendIt);
    if (!opened) return fail(opened.error());
    const auto size = (*opened)->size();
    if (!size) return fail(size.error());
    if (*size < end)
      return fail(ErrorCode::kCorruptStorage, "'" + name + "' has " + std::to_string(*size) +
                                                  " bytes, but batches up to " +
                                                  std::to_string(end) + kMendIt);
  }
  return {};
}

void LargeBatches::recovered() {
  const auto there = names();
  const std::lock_guard lock(mutex_);
  recovered_ = true;
  for (const std::string& name : there.value_or(std::vector<std::string>())) {
    const auto file = parse_name(name);
    if (file && !needed_.contains(*file)) unneeded_.insert(*file);
    if (name.ends_with(kFresh)) static_cast<void>(io_.remove(path(name)));
  }
  remove_unneeded();
}

// ---- giving files up ----

void LargeBatches::release(std::uint32_t first, std::uint32_t last,
                           const std::map<std::uint32_t, std::set<LargeFile>>& left) {
  const std::lock_guard lock(mutex_);
  for (auto it = segments_.lower_bound(first); it != segments_.end() && it->first <= last;) {
    const auto stays = left.find(it->first);
    std::erase_if(it->second, [&](const auto& share) {
      const LargeFile& file = share.first;
      if (stays != left.end() && stays->second.contains(file)) return false;
      if (--needed_.at(file) > 0) return true;
      needed_.erase(file);
      unneeded_.insert(file);
      return true;
    });
    it = it->second.empty() ? segments_.erase(it) : std::next(it);
  }
  remove_unneeded();
}

// One that cannot be removed now is tried again with the next, and at the next start. The journal's
// own name of it may be there still; then more may be kept in it.
void LargeBatches::remove_unneeded() {
  if (!recovered_ || pins_ > 0) return;
  std::erase_if(unneeded_, [this](const LargeFile& file) {
    linked_.erase(file);
    const auto ok = io_.remove(path(file.name()));
    return ok || ok.error() == ErrorCode::kNotFound;
  });
}

std::uint64_t LargeBatches::bytes(std::uint32_t first, std::uint32_t last) const {
  const std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  for (auto it = segments_.lower_bound(first); it != segments_.end() && it->first <= last; ++it)
    for (const auto& [file, share] : it->second) bytes += share.bytes;
  return bytes;
}

void LargeBatches::pin() {
  const std::lock_guard lock(mutex_);
  ++pins_;
}

void LargeBatches::unpin() {
  const std::lock_guard lock(mutex_);
  --pins_;
  remove_unneeded();
}

bool LargeBatches::needs(std::uint32_t segment, const LargeFile& file) const {
  const std::lock_guard lock(mutex_);
  const auto found = segments_.find(segment);
  return found != segments_.end() && found->second.contains(file);
}

Result<std::vector<std::string>> LargeBatches::names() const {
  if (directory_.empty()) return std::vector<std::string>();
  auto names = io_.list(directory_);
  if (!names && names.error() == ErrorCode::kNotFound) return std::vector<std::string>();
  return names;
}

// ---- reading ----

Result<std::unique_ptr<File>> LargeBatches::open(const LargeFile& file) const {
  return io_.open(path(file.name()), {.direct = true});
}

void LargeBatches::read(std::span<ReadQueue::Read> reads) const {
  const std::lock_guard lock(reads_mutex_);
  if (!reads_) reads_ = io_.read_queue(kReadsAtOnce);
  reads_->read(reads);
}

Result<std::shared_ptr<File>> LargeReader::open(const LargeFile& file) {
  const auto known = std::ranges::find(files_, file, [](const auto& one) { return one.first; });
  if (known != files_.end()) return known->second;
  auto opened = batches_->open(file);
  if (!opened) return fail(opened.error());
  if (files_.size() >= kOpenFiles) files_.erase(files_.begin());
  return files_.emplace_back(file, std::move(*opened)).second;
}

// A file that is gone has no window: read() says so.
void LargeReader::fill() {
  std::vector<std::shared_ptr<File>> files;
  std::vector<ReadQueue::Read> reads;
  std::erase_if(windows_, [&](Window& window) {
    auto file = open(window.file);
    if (!file) return true;
    files.push_back(std::move(*file));
    window.bytes.resize(static_cast<std::size_t>(window.end - window.begin));
    reads.push_back({.file = files.back().get(), .at = window.begin, .into = window.bytes.bytes()});
    return false;
  });
  batches_->read(reads);
  for (std::size_t i = 0; i < windows_.size(); ++i) windows_[i].read = std::move(reads[i].result);
}

void LargeReader::expect(std::span<const LargeRef> refs) {
  windows_.clear();
  std::set<LargeFile> files;
  for (const LargeRef& ref : refs) {
    const std::uint64_t begin = ref.at / kBlockBytes * kBlockBytes;
    const std::uint64_t end = round_up(ref.at + ref.bytes, kBlockBytes);
    if (files.insert(ref.file).second && files.size() > kOpenFiles) break;
    const bool near = !windows_.empty() && windows_.back().file == ref.file &&
                      begin >= windows_.back().begin && begin <= windows_.back().end + kNearBytes &&
                      end - windows_.back().begin <= kReadTogetherBytes;
    if (near)
      windows_.back().end = std::max(windows_.back().end, end);
    else
      windows_.push_back({ref.file, begin, end});
  }
  fill();
}

Result<Bytes> LargeReader::read(PartitionId partition, const LargeRef& ref) {
  if (auto file = open(ref.file); !file) return fail(file.error());
  const std::string name = batches_->path(ref.file.name());
  auto window = std::ranges::find_if(windows_, [&](const Window& w) { return w.holds(ref); });
  if (window == windows_.end()) {
    expect({&ref, 1});
    window = windows_.begin();
  }
  if (window == windows_.end()) return fail(ErrorCode::kNotFound, "'" + name + "'");
  if (!window->read) return fail(window->read.error());
  if (window->begin + *window->read < ref.at + ref.bytes)
    return fail(ErrorCode::kCorruptStorage,
                "'" + name + "' ends before byte " + std::to_string(ref.at + ref.bytes));
  const Bytes body = Bytes(window->bytes.bytes())
                         .subspan(static_cast<std::size_t>(ref.at - window->begin), ref.bytes);
  if (body.size() < RecordsAppended::kHeadBytes ||
      PartitionId(load_le<std::uint32_t>(body.data())) != partition)
    return fail(ErrorCode::kCorruptStorage,
                "'" + name + "' does not hold the batch at byte " + std::to_string(ref.at));
  return body.subspan(RecordsAppended::kHeadBytes);
}

}  // namespace leat::storage
