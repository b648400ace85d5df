#include "bench/ids.h"

#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <sstream>

#include <unistd.h>

#include "bench/measure.h"
#include "bench/storage_lives.h"
#include "protocol/base/random.h"
#include "storage/disk_storage.h"
#include "storage/keys.h"

namespace leat::bench {
namespace {

using storage::IdHash;

constexpr std::size_t kBatchIds = 100;
constexpr storage::IdWindow kWindow{std::chrono::hours(24), storage::kMostIds};
constexpr WallTime kNow{std::chrono::hours(1)};

double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  statm >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

storage::StorageOptions options_at(const std::string& directory) {
  return {.data_dir = directory, .dedup_ids = storage::kMostIds};
}

class Life final : private storage::StorageEvents {
 public:
  explicit Life(const std::string& directory)
      : storage_(must(storage::DiskStorage::open(options_at(directory), storage::real_file_io(),
                                                 [this] { wake(); }))) {
    if (!storage_->find_topic("ids"))
      must(storage_->create_topic(Random::from_system().topic_id(), "ids", 1, {}, WallTime()));
    partition_ = storage_->find_topic("ids")->partitions.front();
  }

  int run(std::uint64_t ids, bool with_ids) {
    Random random(1);
    RecordBatchBuilder builder;
    for (std::size_t i = 0; i < kBatchIds; ++i)
      builder.append({.key = {}, .value = as_bytes("twenty bytes of value")}, 1);
    const auto batch = builder.take();
    std::vector<IdHash> hashes(kBatchIds);
    std::vector<storage::RecordId> records(kBatchIds);
    double finding = 0, appending = 0;
    std::uint64_t later = 0;
    for (std::uint64_t i = 0; i < ids; i += kBatchIds) {
      wait_until([this] { return storage_->has_room(); });
      storage_->poll(*this);
      for (std::size_t j = 0; j < kBatchIds; ++j)
        records[j] = {static_cast<std::int32_t>(j), hashes[j] = {random.next(), random.next()}};
      auto began = Clock::now();
      if (with_ids && !find(hashes)) ++later;
      finding += seconds_since(began);
      began = Clock::now();
      storage::NewIds added;
      if (with_ids) added = {records, kNow, kWindow};
      must(storage_->append(partition_, {}, batch, added));
      appending += seconds_since(began);
    }
    wait_until([this] { return storage_->durable() == storage_->last_appended(); });
    const auto each = 1e9 / static_cast<double>(ids);
    std::printf("%.1f %.1f %.1f %llu\n", resident_mb(), finding * each, appending * each,
                static_cast<unsigned long long>(later));
    return 0;
  }

 private:
  // False when rows had to be asked.
  bool find(const std::vector<IdHash>& hashes) {
    auto known = storage_->find_ids(partition_, kWindow, hashes, kNow, 1);
    const bool now = std::holds_alternative<storage::KnownIds>(known);
    found_ = !now ? std::nullopt : std::optional(std::get<storage::KnownIds>(std::move(known)));
    wait_until([this] { return found_.has_value(); });
    for (const auto& offset : *found_)
      if (offset) throw std::runtime_error("a new id is known");
    return now;
  }
  template <class Done>
  void wait_until(Done done) {
    while (!done()) {
      std::unique_lock lock(mutex_);
      woken_.wait(lock, [this] { return std::exchange(news_, false); });
      lock.unlock();
      storage_->poll(*this);
    }
  }
  void wake() {
    {
      const std::lock_guard lock(mutex_);
      news_ = true;
    }
    woken_.notify_one();
  }
  void on_durable(JournalPosition) override {}
  void on_high_watermark(PartitionId) override {}
  void on_read(storage::ReadToken, Result<storage::ReadResult>) override {}
  void on_known_ids(storage::ReadToken, Result<storage::KnownIds> known) override {
    found_ = must(std::move(known));
  }
  void on_room() override {}
  void on_failed(const Error& error) override { throw std::runtime_error(error.message()); }

  std::mutex mutex_;
  std::condition_variable woken_;
  bool news_ = false;
  std::optional<storage::KnownIds> found_;
  PartitionId partition_;
  std::unique_ptr<storage::DiskStorage> storage_;
};

struct Told {
  double resident_mb = 0, find_ns = 0, append_ns = 0;
  std::uint64_t later = 0;
};
Told told(const char* life, const std::string& directory, std::uint64_t ids) {
  std::istringstream text(run_self({life, directory, std::to_string(ids)}));
  Told told;
  text >> told.resident_mb >> told.find_ns >> told.append_ns >> told.later;
  return told;
}

double ids_mb(const std::string& directory) {
  const auto rocks =
      must(storage::Rocks::open({.directory = directory + "/rocksdb", .read_only = true}));
  std::uint64_t bytes = 0;
  for (const storage::RocksFile& file : rocks->files())
    if (file.family == storage::keys::kIdsFamily) bytes += file.bytes;
  return static_cast<double>(bytes) / 1e6;
}

double open_ms(const std::string& directory) {
  forget_pages(directory);
  const auto began = Clock::now();
  const auto storage =
      must(storage::DiskStorage::open(options_at(directory), storage::real_file_io(), {}));
  return seconds_since(began) * 1e3;
}

}  // namespace

int live_with_ids(const std::string& directory, std::uint64_t ids) {
  return Life(directory).run(ids, true);
}
int live_without_ids(const std::string& directory, std::uint64_t ids) {
  return Life(directory).run(ids, false);
}

void measure_ids(const std::string& directory, std::uint64_t ids) {
  const std::string with = directory + "/ids", without = directory + "/no-ids";
  const Told plain = told("--without-ids", without, ids), known = told("--with-ids", with, ids);
  std::printf("\n%llu message ids in a partition, in batches of %zu records\n",
              static_cast<unsigned long long>(ids), kBatchIds);
  std::printf("memory, beside the same records without ids %12.1f MB (%.1f - %.1f)\n",
              known.resident_mb - plain.resident_mb, known.resident_mb, plain.resident_mb);
  std::printf("rows of ids on disk %36.1f MB\n", ids_mb(with));
  std::printf("looking up a new id %36.1f ns, %.4f%% of batches asked a row\n", known.find_ns,
              100.0 * static_cast<double>(known.later * kBatchIds) / static_cast<double>(ids));
  std::printf("appending it, beside a record without %18.1f ns (%.1f - %.1f)\n",
              known.append_ns - plain.append_ns, known.append_ns, plain.append_ns);
  const double open_with = open_ms(with), open_without = open_ms(without);
  std::printf("opening, beside a storage without %22.1f ms (%.1f - %.1f)\n",
              open_with - open_without, open_with, open_without);
  std::fflush(stdout);
}

}  // namespace leat::bench
