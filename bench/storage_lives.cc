#include "bench/storage_lives.h"

#include <csignal>
#include <cstdio>
#include <stdexcept>

#include <fcntl.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/leat_log.h"

namespace leat::bench {
namespace {
constexpr std::uint32_t kPartitions = 1'000;
}

std::string run_self(const std::vector<std::string>& arguments) {
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  std::vector<char*> argv{const_cast<char*>("leat-storage")};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(pipe[1], STDOUT_FILENO);
    ::execv("/proc/self/exe", argv.data());
    ::_exit(127);
  }
  ::close(pipe[1]);
  std::string told;
  char buffer[256];
  for (ssize_t n; (n = ::read(pipe[0], buffer, sizeof buffer)) > 0;)
    told.append(buffer, static_cast<std::size_t>(n));
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  if (!killed && status != 0) throw std::runtime_error(arguments.front() + " failed");
  return told;
}

int die_at_the_bound(const std::string& directory, std::size_t batch_bytes) {
  LeatLog log({.data_dir = directory,
               .at_point =
                   [](const char* point) {
                     // On the thread that flushes: what comes later stays in memory.
                     if (point == std::string_view("store.persisted")) ::pause();
                   }},
              kPartitions);
  const auto batch = batch_of(batch_bytes);
  std::vector<std::uint32_t> acked;
  for (std::uint32_t i = 0;; ++i) {
    while (!log.append(0, i % kPartitions, batch))
      if (!log.wait(acked, std::chrono::seconds(1))) ::raise(SIGKILL);
    if (i % 16 == 0) log.wait(acked, Clock::duration::zero());
  }
}

int live_on_the_edge(const std::string& directory, std::uint64_t bytes) {
  // As leatd does, whose heap is to stay small.
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, 64 << 10);
  ::mallopt(M_TRIM_THRESHOLD, 128 << 10);
  LeatLog log({.data_dir = directory,
               .memory_bytes = 16 << 20,
               .max_unpersisted_bytes = 16 << 20,
               .max_unpersisted_entries = 50'000,
               .journal_segment_bytes = 8 << 20,
               .producers = 1'000},
              kPartitions);
  const Load load{.batch_bytes = 64 << 10,
                  .batches = std::max<std::uint64_t>(bytes / (64 << 10), 1),
                  .clients = 64,
                  .partitions = kPartitions};
  const double seconds = run(log, load).seconds;
  const double written = peak_rss_mb();
  for (std::uint32_t partition = 0; partition < kPartitions; ++partition)
    for (LeatLog::Reader reader{partition}; log.read(reader, 1 << 20);) continue;
  std::printf("%.0f %.1f %.1f\n", static_cast<double>(bytes) / seconds / 1e6, written,
              peak_rss_mb());
  return 0;
}

}  // namespace leat::bench
