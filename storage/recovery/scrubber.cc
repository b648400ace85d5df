#include "storage/recovery/scrubber.h"

#include <algorithm>

#include <rocksdb/sst_file_reader.h>

#include "storage/keys.h"
#include "storage/recovery/stored_rows.h"
#include "storage/thread.h"

namespace leat::storage {
namespace {
constexpr std::size_t kBytesAtOnce = 256 << 10;
constexpr Duration kFirstAfter = std::chrono::hours(1);
}  // namespace

Scrubber::Scrubber(Rocks& rocks, const LargeBatches& large, ScrubberOptions options)
    : rocks_(rocks),
      large_(large),
      options_(std::move(options)),
      thread_(start_thread("leat-scrubber", [this] { run(); })) {}

Scrubber::~Scrubber() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

bool Scrubber::pause(Duration time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [this] { return stopping_; });
}

void Scrubber::run() {
  for (Duration wait = std::min(kFirstAfter, options_.interval); pause(wait);
       wait = options_.interval)
    pass();
}

void Scrubber::pass() {
  for (const RocksFile& file : rocks_.files()) {
    const auto ok = scrub(file);
    if (!ok && ok.error() == ErrorCode::kClosed) return;
    // The cleaner may have dropped it meanwhile.
    if (!ok && is_there(file)) options_.on_damage(file, ok.error());
  }
  if (options_.at_point) options_.at_point("scrubber.pass");
}

bool Scrubber::is_there(const RocksFile& file) const {
  return std::ranges::any_of(rocks_.files(),
                             [&](const RocksFile& one) { return one.path == file.path; });
}

// How much of it lies elsewhere. A row that nobody can read any more may have outlived the file it
// tells of.
Result<std::size_t> Scrubber::scrub_row(std::string_view key, std::string_view value,
                                        LargeReader& large) const {
  const auto ref = LargeRef::decode(value);
  const auto needed = [&] { return !ref || large_.needs(keys::segment_of(key), ref->file); };
  if (!needed()) return 0;
  if (auto ok = check_row(key, value, large); !ok && needed()) return fail(ok.error());
  return ref ? ref->batch_bytes() : 0;
}

// Row by row, so that it can pause and stop in between: RocksDB's own check of a file does neither.
Result<> Scrubber::scrub(const RocksFile& file) {
  rocksdb::SstFileReader reader(rocks_.file_options());
  const auto opened = reader.Open(file.path);
  if (!opened.ok()) return fail(from_status(opened, "'" + file.path + "'"));
  rocksdb::ReadOptions options;
  options.readahead_size = kBytesAtOnce;
  const std::unique_ptr<rocksdb::Iterator> it(reader.NewIterator(options));
  std::size_t bytes = 0;
  LargeReader large(large_);
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    bytes += it->key().size() + it->value().size();
    const bool batch = file.family == keys::kRecordsFamily &&
                       keys::partition_of(view(it->key())) != keys::kFooterPartition;
    if (batch) {
      const auto looked_at = scrub_row(view(it->key()), view(it->value()), large);
      if (!looked_at) return fail(looked_at.error());
      bytes += *looked_at;
    }
    if (bytes < kBytesAtOnce) continue;
    bytes_ += bytes;
    const Duration due = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
        static_cast<double>(bytes) / static_cast<double>(options_.bytes_per_second)));
    bytes = 0;
    if (!pause(due)) return fail(ErrorCode::kClosed);
  }
  bytes_ += bytes;
  if (!it->status().ok()) return fail(from_status(it->status(), "'" + file.path + "'"));
  return {};
}

}  // namespace leat::storage
