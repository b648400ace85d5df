// Storage by itself on this machine's disk, beside plain RocksDB with its own WAL in the same run:
// synced acks, throughput, what it costs in processor time and in bytes written, reads, opening
// again, memory.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <span>
#include <sstream>

#include "bench/ids.h"
#include "bench/layouts.h"
#include "bench/leat_log.h"
#include "bench/rocks_log.h"
#include "bench/storage_lives.h"

namespace leat::bench {
namespace {

constexpr std::uint64_t kMiB = 1 << 20, kGiB = 1 << 30;
constexpr std::uint32_t kPartitions = 1'000;
constexpr std::size_t kBatch = 64 << 10, kReadBytes = 1 << 20;

struct Options {
  std::uint64_t bytes = 8 * kGiB;
  storage::WriteMode journal = storage::WriteMode::kAuto;
  bool quick = false, tmpfs = false, layouts = false;
  std::string only;  // one part of it
};

// What a whole life took, from before it was opened until it was closed.
struct Life {
  Ran ran;
  Used used;
  storage::DiskWrites writes;  // Leat's own account, as of before it was closed
};

double mb(std::uint64_t bytes) {
  return static_cast<double>(bytes) / 1e6;
}
double per(double amount, std::uint64_t bytes) {
  return amount / static_cast<double>(bytes);
}

void goal(const char* what, double seen, const char* unit, const char* wanted, bool met) {
  std::printf("%-66s %9.2f %-6s %-10s %s\n", what, seen, unit, wanted, met ? "" : "missed");
  std::fflush(stdout);
}
void at_least(const char* what, double seen, const char* unit, double wanted) {
  std::ostringstream text;
  text << ">= " << wanted;
  goal(what, seen, unit, text.str().c_str(), seen >= wanted);
}
void at_most(const char* what, double seen, const char* unit, double wanted) {
  std::ostringstream text;
  text << "<= " << wanted;
  goal(what, seen, unit, text.str().c_str(), seen <= wanted);
}

class StorageBench {
 public:
  StorageBench(const Options& options, const std::string& directory)
      : options_(options), directory_(directory) {}

  void run() {
    tell_machine();
    if (wanted("acks")) acks();
    if (wanted("log")) {
      throughput();
      reads();
      opens();
    }
    if (wanted("small")) small_batches();
    if (wanted("edge")) edge();
    if (wanted("ids")) measure_ids(directory_, options_.quick ? 1'000'000 : 10'000'000);
    std::printf("\nload of the machine at the end: %.2f\n", load_average());
  }

 private:
  bool wanted(const char* part) const { return options_.only.empty() || options_.only == part; }
  std::string leat() const { return directory_ + "/leat"; }
  storage::StorageOptions at(const std::string& directory) const {
    return {.data_dir = directory, .journal_writes = options_.journal};
  }

  void tell_machine() {
    LeatLog log(at(directory_ + "/probe"), 1);
    const std::string writes = log.storage().stats().journal.writes;
    std::printf(
        "file system %s, journal %s, %.1f GiB in batches of 64 KiB over %u partitions, memory "
        "%zu MiB, load of the machine %.2f\n",
        file_system(directory_), writes.c_str(), per(static_cast<double>(options_.bytes), kGiB),
        kPartitions, storage::StorageOptions().memory_bytes >> 20, load_average());
  }

  Life leat_life(const std::string& directory, const Load& load) const {
    Life life;
    const Used before = used();
    {
      LeatLog log(at(directory), static_cast<std::int32_t>(load.partitions));
      life.ran = bench::run(log, load);
      life.writes = log.storage().stats().writes;
    }
    life.used = used() - before;
    return life;
  }

  Life rocks_life(const std::string& directory, const Load& load) const {
    Life life;
    const Used before = used();
    {
      RocksLog log(directory, storage::shares_of(storage::StorageOptions().memory_bytes).memtable);
      life.ran = bench::run(log, load);
    }
    life.used = used() - before;
    return life;
  }

  static void head(const char* what) {
    std::printf("\n%-44s %10s %8s %9s %9s %9s %9s\n", what, "acks/s", "MB/s", "median ms",
                "worst ms", "CPU s/GiB", "written/B");
  }
  static void row(const char* what, const Load& load, const Life& life) {
    const std::uint64_t payload = load.batches * load.batch_bytes;
    std::printf("%-44s %10.0f %8.1f %9.2f %9.1f %9.2f %9.2f\n", what,
                static_cast<double>(load.batches) / life.ran.seconds,
                mb(payload) / life.ran.seconds, life.ran.median_ms, life.ran.worst_ms,
                per(life.used.cpu_seconds * static_cast<double>(kGiB), payload),
                per(static_cast<double>(life.used.bytes_written), payload));
    std::fflush(stdout);
  }

  // In turn with the peer, for the disk is not the same from one minute to the next.
  void acks() {
    const Load load{.batch_bytes = 1024,
                    .batches = options_.quick ? 100'000u : 400'000u,
                    .clients = 64,
                    .partitions = 64};
    head("64 clients of 1 KiB, synced");
    std::vector<double> ratios;
    for (int round = 0; round < 3; ++round) {
      const std::string number = std::to_string(round);
      const Life rocks = rocks_life(directory_ + "/acks-rocks" + number, load);
      row("RocksDB with its WAL", load, rocks);
      const Life ours = leat_life(directory_ + "/acks-leat" + number, load);
      row("Leat", load, ours);
      ratios.push_back(rocks.ran.seconds / ours.ran.seconds);
    }
    std::ranges::sort(ratios);
    at_least("acks/s, Leat to RocksDB, median of three rounds", ratios[1], "x", 2.3);
  }

  void throughput() {
    const Load load{.batch_bytes = kBatch,
                    .batches = options_.bytes / kBatch,
                    .clients = 256,
                    .partitions = kPartitions};
    head("256 clients of 64 KiB, synced");
    const std::string peer = directory_ + "/rocks";
    const Life rocks = rocks_life(peer, load);
    row("RocksDB with its WAL", load, rocks);
    std::filesystem::remove_all(peer);
    const Life ours = leat_life(leat(), load);
    row("Leat", load, ours);
    at_least("MB/s, Leat to RocksDB", rocks.ran.seconds / ours.ran.seconds, "x", 2);
    at_most("CPU seconds per GiB, Leat to RocksDB", ours.used.cpu_seconds / rocks.used.cpu_seconds,
            "x", 1);
    at_most("worst from a client's turn to its ack", ours.ran.worst_ms, "ms", 100);
    at_most("bytes written per byte, by the kernel's count",
            per(static_cast<double>(ours.used.bytes_written), load.batches * kBatch), "", 2.1);
    causes_head();
    causes(load, ours);
  }

  static void causes_head() {
    std::printf("\nbytes written per payload byte %9s %10s %9s %9s %9s %9s\n", "groups",
                "prewritten", "flushed", "rewritten", "sum", "kernel");
  }
  static void causes(const Load& load, const Life& life) {
    const storage::DiskWrites& w = life.writes;
    const auto share = [&](std::uint64_t bytes) {
      return per(static_cast<double>(bytes), w.payload);
    };
    std::printf("batches of %6zu B %23.3f %10.3f %9.3f %9.3f %9.3f %9.3f\n", load.batch_bytes,
                share(w.journal_groups), share(w.journal_prewritten), share(w.flushed),
                share(w.rewritten), share(w.all()), share(life.used.bytes_written));
  }

  void small_batches() {
    causes_head();
    for (const std::size_t bytes : {1024, 100}) {
      const Load load{.batch_bytes = bytes,
                      .batches = options_.bytes / 8 / bytes,
                      .clients = 1024,
                      .partitions = kPartitions};
      const std::string directory = directory_ + "/small" + std::to_string(bytes);
      causes(load, leat_life(directory, load));
      std::filesystem::remove_all(directory);
    }
  }

  static double catch_up(LeatLog& log, std::span<LeatLog::Reader> readers) {
    const auto began = Clock::now();
    std::uint64_t bytes = 0;
    for (LeatLog::Reader& reader : readers) {
      while (log.read(reader, kReadBytes)) continue;
      bytes += reader.bytes;
    }
    return mb(bytes) / seconds_since(began);
  }

  static std::vector<LeatLog::Reader> readers_of(std::uint32_t first, std::uint32_t last) {
    std::vector<LeatLog::Reader> readers;
    for (std::uint32_t partition = first; partition < last; ++partition)
      readers.push_back({partition});
    return readers;
  }

  void reads() {
    forget_pages(leat());
    LeatLog log(at(leat()), kPartitions);
    std::printf(
        "\nreads of up to 1 MiB; cold: opened anew, the page cache dropped (direct reads "
        "go past it)\n");
    auto one = readers_of(0, 1);
    at_least("cold catch-up of one partition, MB/s", catch_up(log, one), "MB/s", 400);
    auto all = readers_of(0, kPartitions);
    at_least("cold catch-up of all partitions, one after the other", catch_up(log, all), "MB/s",
             250);
    auto turns = readers_of(0, kPartitions);
    const auto began = Clock::now();
    std::uint64_t bytes = 0;
    for (bool more = true; more;) {
      more = false;
      for (LeatLog::Reader& reader : turns) more = log.read(reader, kReadBytes) || more;
    }
    for (const LeatLog::Reader& reader : turns) bytes += reader.bytes;
    at_least("cold catch-up of all partitions, a read of each in turn",
             mb(bytes) / seconds_since(began), "MB/s", 250);
    hot_tail(log);
  }

  // What was appended last, again and again.
  static void hot_tail(LeatLog& log) {
    constexpr std::uint32_t kHot = 512;  // 32 MiB, less than the newest records may take
    auto readers = readers_of(0, kHot);
    for (auto& reader : readers) reader.next = log.end_of(reader.partition);
    bench::run(log, {.batch_bytes = kBatch, .batches = kHot, .clients = 64, .partitions = kHot});
    const std::uint64_t cold = log.cold_reads();
    const auto pass = [&](bool touch) {
      const auto began = Clock::now();
      std::uint64_t bytes = 0;
      while (seconds_since(began) < 1)
        for (LeatLog::Reader reader : readers) {
          reader.touch = touch;
          while (log.read(reader, kReadBytes)) continue;
          bytes += reader.bytes;
        }
      return mb(bytes) / 1e3 / seconds_since(began);
    };
    const double touched = pass(true), walked = pass(false);
    at_least("hot tail, batches walked", walked, "GB/s", 10);
    at_least("hot tail, a word of each cache line looked at", touched, "GB/s", 10);
    if (log.cold_reads() != cold) throw std::runtime_error("the hot tail was not in memory");
  }

  void opens() {
    std::printf("\n");
    const auto open = [&] {
      forget_pages(leat());
      const auto began = Clock::now();
      LeatLog log(at(leat()), kPartitions);
      return std::pair(seconds_since(began) * 1e3, log.storage().stats().recovery.replayed);
    };
    std::vector<double> clean;  // the disk may have writes of its own to end yet
    for (int time = 0; time < 9; ++time) clean.push_back(open().first);
    std::ranges::sort(clean);
    std::printf("open after a clean stop, nine times: %.1f to %.1f ms\n", clean.front(),
                clean.back());
    at_most("open after a clean stop, median", clean[clean.size() / 2], "ms", 100);
    for (const std::size_t bytes : {kBatch, std::size_t{1024}, std::size_t{100}}) {
      run_self({"--die", leat(), std::to_string(bytes)});
      const auto [ms, replayed] = open();
      at_most(("open after SIGKILL, batches of " + std::to_string(bytes) + " B, " +
               std::to_string(replayed) + " entries replayed")
                  .c_str(),
              ms, "ms", 1'000);
    }
  }

  void edge() {
    const std::uint64_t bytes = std::min(options_.bytes, kGiB);
    std::istringstream told(run_self({"--edge", directory_ + "/edge", std::to_string(bytes)}));
    double rate = 0, written = 0, peak = 0;
    told >> rate >> written >> peak;
    std::printf(
        "\nedge profile, budget 16 MiB, %.0f MiB from 64 clients of 64 KiB, then read: %.0f "
        "MB/s, peak RSS %.1f MB before reading\n",
        per(static_cast<double>(bytes), kMiB), rate, written);
    at_most("edge profile: peak RSS", peak, "MB", 48);
  }

  Options options_;
  std::string directory_;
};

constexpr std::string_view kParts[] = {"acks", "log", "small", "edge", "ids"};

int usage() {
  std::cerr
      << "usage: leat-storage [--quick] [--bytes N] [--layouts] [--journal auto|uring|thread] "
         "[--tmpfs]\n"
         "                    [--only acks|log|small|edge|ids]\n";
  return 2;
}

int measure(std::span<char*> arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string option = arguments[i];
    const bool valued = i + 1 < arguments.size();
    if (option == "--tmpfs") {
      options.tmpfs = true;
    } else if (option == "--quick") {
      options.quick = true;
      options.bytes = 512 * kMiB;
    } else if (option == "--layouts") {
      options.layouts = true;
    } else if (option == "--bytes" && valued) {
      options.bytes = std::stoull(arguments[++i]);
    } else if (option == "--only" && valued) {
      options.only = arguments[++i];
      if (std::ranges::find(kParts, options.only) == std::end(kParts)) return usage();
    } else if (option == "--journal" && valued) {
      options.journal = must(storage::parse_write_mode(arguments[++i]));
    } else {
      return usage();
    }
  }
  const WorkDirectory directory(options.tmpfs);
  if (options.layouts)
    compare_layouts(directory.path(), options.bytes);
  else
    StorageBench(options, directory.path()).run();
  return 0;
}

}  // namespace
}  // namespace leat::bench

int main(int argc, char** argv) {
  try {
    const std::string life = argc == 4 ? argv[1] : "";
    if (life == "--die") return leat::bench::die_at_the_bound(argv[2], std::stoull(argv[3]));
    if (life == "--edge") return leat::bench::live_on_the_edge(argv[2], std::stoull(argv[3]));
    if (life == "--with-ids") return leat::bench::live_with_ids(argv[2], std::stoull(argv[3]));
    if (life == "--without-ids")
      return leat::bench::live_without_ids(argv[2], std::stoull(argv[3]));
    return leat::bench::measure({argv + 1, static_cast<std::size_t>(argc - 1)});
  } catch (const std::exception& error) {
    std::cerr << "bench: " << error.what() << "\n";
    return 1;
  }
}
