// Durable writes of 4 KiB into pre-written blocks, by a thread and through io_uring: what decides
// how the journal writes. Beside busy processors, too: a write that completes through other threads
// of the kernel waits for a turn there.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kBlock = 4096, kFile = 64 << 20;
constexpr double kSeconds = 1.5;

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};

class Writes {
 public:
  Writes() : block_(std::aligned_alloc(kBlock, kBlock)) {
    std::memset(block_.get(), 'b', kBlock);
    const int fd = open(O_CREAT);
    for (std::size_t at = 0; at < kFile; at += kBlock)
      if (::pwrite(fd, block_.get(), kBlock, static_cast<off_t>(at)) != ssize_t{kBlock})
        fail("writing");
    ::fsync(fd);
    ::close(fd);
  }
  ~Writes() { ::unlink(kPath); }

  double by_thread() {
    const int fd = open(O_DSYNC);
    const double rate = run([&] {
      if (::pwrite(fd, block_.get(), kBlock, next()) != ssize_t{kBlock}) fail("writing");
      return 1;
    });
    ::close(fd);
    return rate;
  }

  double by_ring(unsigned depth) {
    const int fd = open(0);
    io_uring ring;
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (io_uring_queue_init_params(64, &ring, &params) < 0) return 0;
    unsigned in_flight = 0;
    const auto reap = [&] {
      int ended = 0;
      io_uring_submit_and_wait(&ring, 1);
      for (io_uring_cqe* done; io_uring_peek_cqe(&ring, &done) == 0; ++ended) {
        if (done->res != static_cast<int>(kBlock)) fail("writing through io_uring");
        io_uring_cqe_seen(&ring, done);
        --in_flight;
      }
      return ended;
    };
    const double rate = run([&] {
      for (; in_flight < depth; ++in_flight) {
        io_uring_sqe* entry = io_uring_get_sqe(&ring);
        io_uring_prep_write(entry, fd, block_.get(), kBlock, static_cast<std::uint64_t>(next()));
        entry->rw_flags = RWF_DSYNC;
      }
      return reap();
    });
    while (in_flight > 0) reap();
    io_uring_queue_exit(&ring);
    ::close(fd);
    return rate;
  }

 private:
  static constexpr const char* kPath = "leat-writes.dat";

  [[noreturn]] static void fail(const char* what) {
    throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
  }
  static int open(int flags) {
    const int fd = ::open(kPath, O_RDWR | O_DIRECT | O_CLOEXEC | flags, 0600);
    if (fd < 0) fail("opening a file with O_DIRECT here");
    return fd;
  }
  off_t next() {
    at_ = (at_ + kBlock) % kFile;
    return static_cast<off_t>(at_);
  }
  template <class Work>
  static double run(Work work) {
    const auto began = Clock::now();
    double seconds = 0, writes = 0;
    while (seconds < kSeconds) {
      writes += work();
      seconds = std::chrono::duration<double>(Clock::now() - began).count();
    }
    return writes / seconds;
  }

  std::unique_ptr<void, FreeMemory> block_;
  std::size_t at_ = 0;
};

void row(const char* what) {
  Writes writes;
  const double thread = writes.by_thread(), one = writes.by_ring(1), four = writes.by_ring(4);
  std::printf("%-24s %12.0f %12.0f %12.0f %12.0f\n", what, thread, one, four, writes.by_ring(16));
  std::fflush(stdout);
}

}  // namespace

int main() {
  try {
    std::printf("%-24s %12s %12s %12s %12s\n", "durable 4 KiB writes/s", "pwrite", "uring 1",
                "uring 4", "uring 16");
    row("idle processors");
    std::atomic<bool> over{false};
    std::vector<std::thread> busy(2 * std::thread::hardware_concurrency());
    for (auto& thread : busy)
      thread = std::thread([&] {
        while (!over) continue;
      });
    row("busy processors");
    over = true;
    for (auto& thread : busy) thread.join();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench: %s\n", error.what());
    return 1;
  }
}
