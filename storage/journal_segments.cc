#include "storage/journal_segments.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "storage/aligned_buffer.h"
#include "storage/thread.h"

namespace leat::storage {
namespace {
constexpr std::size_t kZerosBytes = 1 << 20;
// A roll of RocksDB retires several at once; fewer kept would be missed before the next roll, and
// each that is missed is written twice. They are never more than once were in use together.
constexpr std::size_t kMostRecycled = 6;
constexpr std::uint64_t kGrowth = 4;  // from the small first segment to the standard size
}  // namespace

JournalSegments::JournalSegments(Options options, FileIo& io, Manifest manifest,
                                 std::vector<ReplayedSegment> replayed)
    : options_(std::move(options)), io_(io), manifest_(std::move(manifest)) {
  for (const Manifest::Segment& segment : manifest_.segments)
    next_number_ = std::max(next_number_, segment.number + 1);
  for (const ReplayedSegment& segment : replayed)
    sealed_.push_back({segment.number, segment.bytes, segment.last});
}

JournalSegments::~JournalSegments() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Result<OpenSegment> JournalSegments::start() {
  auto first = make(next_number_++, options_.first_bytes, true);
  if (!first) return first;
  current_ = {first->number, first->bytes};
  {
    std::unique_lock lock(mutex_);
    if (auto ok = write_manifest(lock); !ok) return fail(ok.error());
  }
  if (auto ok = remove_unlisted(); !ok) return fail(ok.error());
  thread_ = start_thread("leat-segments", [this] { run(); });
  return first;
}

void JournalSegments::prepare_next(bool large_groups) {
  {
    const std::lock_guard lock(mutex_);
    if (spare_ || wanted_bytes_ != 0) return;
    large_groups_ = large_groups;
    wanted_bytes_ = std::min(current_.bytes * kGrowth, options_.standard_bytes);
  }
  changed_.notify_all();
}

Result<OpenSegment> JournalSegments::roll(JournalPosition last, std::uint64_t min_bytes) {
  point("journal.before_roll");
  std::unique_lock lock(mutex_);
  if (!spare_ || spare_->bytes < min_bytes)
    wanted_bytes_ = std::max(
        {min_bytes, wanted_bytes_, std::min(current_.bytes * kGrowth, options_.standard_bytes)});
  changed_.notify_all();
  const auto prepared = [&] { return spare_ && spare_->bytes >= min_bytes; };
  changed_.wait(lock, [&] { return error_ || prepared() || (gives_up_ && no_space_); });
  if (error_) return fail(*error_);
  if (!prepared()) return fail(ErrorCode::kNoSpace, "for the journal's next segment");
  sealed_.push_back({current_.number, current_.bytes, last});
  OpenSegment next = std::move(*spare_);
  spare_.reset();
  current_ = {next.number, next.bytes};
  begun_ = false;
  changed_.notify_all();
  lock.unlock();
  point("journal.after_roll");
  return next;
}

Result<> JournalSegments::await_next() {
  prepare_next();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return error_ || spare_ || no_space_ || gives_up_; });
  if (error_) return fail(*error_);
  if (!spare_) return fail(ErrorCode::kNoSpace, "for the journal's next segment");
  return {};
}

void JournalSegments::pin() {
  const std::lock_guard lock(mutex_);
  ++pins_;
}

void JournalSegments::unpin() {
  {
    const std::lock_guard lock(mutex_);
    --pins_;
  }
  changed_.notify_all();
}

Manifest JournalSegments::sealed() const {
  const std::lock_guard lock(mutex_);
  Manifest manifest{manifest_.journal_id, manifest_.incarnation, {}};
  for (const Sealed& segment : sealed_)
    manifest.segments.push_back({segment.number, segment.bytes});
  return manifest;
}

void JournalSegments::give_up() {
  {
    const std::lock_guard lock(mutex_);
    gives_up_ = true;
  }
  changed_.notify_all();
}

void JournalSegments::begun() {
  {
    const std::lock_guard lock(mutex_);
    begun_ = true;
  }
  changed_.notify_all();
}

void JournalSegments::set_persisted(JournalPosition position) {
  {
    const std::lock_guard lock(mutex_);
    persisted_ = std::max(persisted_, position);
  }
  changed_.notify_all();
}

std::uint64_t JournalSegments::sealed_bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  for (const Sealed& segment : sealed_)
    if (segment.last > persisted_) bytes += segment.bytes;
  return bytes;
}

std::size_t JournalSegments::count() const {
  const std::lock_guard lock(mutex_);
  return sealed_.size() + 1 + (spare_ ? 1 : 0);
}

std::string JournalSegments::path(std::uint64_t number) const {
  return options_.directory + "/" + segment_name(number);
}

void JournalSegments::point(const char* name) const {
  if (options_.at_point) options_.at_point(name);
}

Result<OpenSegment> JournalSegments::reopen(const Segment& segment) {
  auto file =
      io_.open(path(segment.number), {.write = true, .direct = true, .write_through = true});
  if (!file) return fail(file.error());
  return OpenSegment{segment.number, segment.bytes, std::move(*file)};
}

// `written`: real zeros, synced: an overwrite later changes no metadata, so its sync is one write.
// Else allocated, where the file system can.
Result<OpenSegment> JournalSegments::make(std::uint64_t number, std::uint64_t bytes, bool written) {
  // A start that was cut short may have left one of that name.
  if (auto ok = io_.remove(path(number)); !ok && ok.error() != ErrorCode::kNotFound)
    return fail(ok.error());
  auto file = io_.open(path(number), {.create = true, .write = true, .direct = true});
  if (!file) return fail(file.error());
  auto filled = written ? write_zeros(**file, bytes) : (*file)->allocate(bytes);
  if (!filled && filled.error() == ErrorCode::kUnsupportedRequest)
    filled = write_zeros(**file, bytes);
  if (!filled) return fail(filled.error());
  if (auto ok = (*file)->sync(); !ok) return fail(ok.error());
  if (auto ok = io_.sync_directory(options_.directory); !ok) return fail(ok.error());
  return reopen({number, bytes});
}

Result<> JournalSegments::write_zeros(File& file, std::uint64_t bytes) {
  AlignedBuffer zeros;
  const auto chunk = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kZerosBytes));
  zeros.resize(chunk);
  std::fill(zeros.bytes().begin(), zeros.bytes().end(), std::byte{0});
  for (std::uint64_t at = 0; at < bytes; at += chunk) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(chunk, bytes - at));
    if (auto ok = file.write(at, zeros.bytes().first(n)); !ok) return ok;
    prewritten_bytes_ += n;
  }
  return {};
}

Result<> JournalSegments::write_manifest(std::unique_lock<std::mutex>& lock,
                                         std::optional<Segment> next) {
  manifest_.segments.clear();
  const auto list = [this](const auto& segment) {
    manifest_.segments.push_back({segment.number, segment.bytes});
  };
  for (const Sealed& segment : sealed_) list(segment);
  list(current_);
  if (spare_) list(*spare_);
  if (next) list(*next);
  const auto bytes = manifest_.encode();
  lock.unlock();
  auto ok = replace_file(io_, options_.directory, kManifestName, bytes);
  if (ok) point("journal.manifest_replaced");
  lock.lock();
  return ok;
}

Result<> JournalSegments::remove_unlisted() {
  auto names = io_.list(options_.directory);
  if (!names) return fail(names.error());
  for (const std::string& name : *names) {
    const bool listed =
        std::any_of(manifest_.segments.begin(), manifest_.segments.end(),
                    [&](const auto& segment) { return segment_name(segment.number) == name; });
    if (!name.ends_with(".seg") || listed) continue;
    if (auto ok = io_.remove(options_.directory + "/" + name); !ok) return ok;
  }
  return {};
}

void JournalSegments::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || work_waits(); });
    if (stopping_) return;
    auto ok = work(lock);
    no_space_ = !ok && ok.error() == ErrorCode::kNoSpace;
    if (!ok) {
      changed_.notify_all();
      if (no_space_) {  // nothing that was acknowledged is concerned
        lock.unlock();
        if (options_.on_no_space) options_.on_no_space();
        lock.lock();
        changed_.wait_for(lock, kSpaceAfter, [this] { return stopping_; });
        continue;
      }
      error_ = ok.error();
      return;
    }
  }
}

bool JournalSegments::work_waits() const {
  return wanted_bytes_ != 0 || !retired_.empty() || oldest_retires();
}

bool JournalSegments::oldest_retires() const {
  if (pins_ > 0 || sealed_.empty() || (sealed_.size() == 1 && !begun_)) return false;
  return sealed_.front().last <= persisted_;
}

Result<> JournalSegments::work(std::unique_lock<std::mutex>& lock) {
  while (oldest_retires()) {
    retired_.push_back({sealed_.front().number, sealed_.front().bytes});
    sealed_.pop_front();
  }
  if (!retired_.empty())
    if (auto ok = retire(lock); !ok) return ok;
  return wanted_bytes_ == 0 ? Result<>() : prepare(lock);
}

Result<> JournalSegments::retire(std::unique_lock<std::mutex>& lock) {
  // Off the list before anything happens to the files.
  if (auto ok = write_manifest(lock); !ok) return ok;
  for (const Segment& segment : std::exchange(retired_, {})) {
    const bool wanted =
        recycled_.size() < kMostRecycled && segment.bytes == options_.standard_bytes;
    lock.unlock();
    const auto links = io_.links(path(segment.number));
    const bool recycle = wanted && links && *links == 1;
    auto ok = recycle ? Result<>() : io_.remove(path(segment.number));
    lock.lock();
    if (!ok) return ok;
    if (recycle) recycled_.push_back(segment);
  }
  return {};
}

Result<> JournalSegments::prepare(std::unique_lock<std::mutex>& lock) {
  const std::uint64_t bytes = round_up(wanted_bytes_, kBlockBytes);
  if (spare_ && spare_->bytes < bytes) {  // too small for the entry that waits
    const std::uint64_t number = spare_->number;
    spare_.reset();
    if (auto ok = write_manifest(lock); !ok) return ok;
    if (auto ok = io_.remove(path(number)); !ok) return ok;
  }
  if (!spare_) {
    const bool recycle = !recycled_.empty() && recycled_.back().bytes >= bytes;
    const Segment old = recycle ? recycled_.back() : Segment{};
    const std::uint64_t number = recycle ? 0 : next_number_++;
    const bool written = !large_groups_;
    if (recycle) recycled_.pop_back();
    lock.unlock();  // the long part
    auto segment = recycle ? reopen(old) : make(number, bytes, written);
    point("journal.segment_prepared");
    lock.lock();
    if (!segment) {
      if (recycle)
        recycled_.push_back(old);
      else if (auto ok = io_.remove(path(number)); !ok && ok.error() != ErrorCode::kNotFound)
        return ok;
      return fail(segment.error());
    }
    if (auto ok = write_manifest(lock, Segment{segment->number, segment->bytes}); !ok) {
      // It must not be used while it may be unlisted, nor removed, for the list may have arrived.
      recycled_.insert(recycled_.begin(), {segment->number, segment->bytes});
      return ok;
    }
    spare_ = std::move(*segment);
  }
  // A larger wish may have come in meanwhile.
  if (round_up(wanted_bytes_, kBlockBytes) <= spare_->bytes) wanted_bytes_ = 0;
  changed_.notify_all();
  return {};
}

}  // namespace leat::storage
