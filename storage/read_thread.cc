#include "storage/read_thread.h"

#include "storage/thread.h"

namespace leat::storage {

ReadThread::ReadThread(const Store& store, Done done)
    : store_(store),
      done_(std::move(done)),
      thread_(start_thread("leat-read", [this] { run(); })) {}

ReadThread::~ReadThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void ReadThread::read(PartitionId partition, Offset from, std::size_t max_bytes, ReadToken token) {
  {
    const std::lock_guard lock(mutex_);
    reads_.push_back({partition, from, max_bytes, token});
  }
  changed_.notify_one();
}

void ReadThread::run() {
  std::vector<Read> reads;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !reads_.empty(); });
      if (reads_.empty()) return;
      reads.swap(reads_);
    }
    for (const Read& read : reads)
      done_(read.partition, read.token, store_.read(read.partition, read.from, read.max_bytes));
    reads.clear();
  }
}

}  // namespace leat::storage
