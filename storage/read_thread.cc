#include "storage/read_thread.h"

#include "storage/thread.h"

namespace leat::storage {

ReadThread::ReadThread(const Store& store, Done done)
    : store_(store),
      done_(std::move(done)),
      id_rows_([this](PartitionId partition, std::uint64_t block) {
        return store_.id_row(partition, block);
      }),
      thread_(start_thread("leat-read", [this] { run(); })) {}

ReadThread::~ReadThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void ReadThread::push(std::variant<Read, Search> asked) {
  {
    const std::lock_guard lock(mutex_);
    asked_.push_back(std::move(asked));
  }
  changed_.notify_one();
}

void ReadThread::read(PartitionId partition, Offset from, std::size_t max_bytes, ReadToken token) {
  push(Read{partition, from, max_bytes, token});
}

void ReadThread::search(IdSearch search, ReadToken token) {
  push(Search{std::move(search), token});
}

void ReadThread::answer(const Read& read) {
  done_.read(read.partition, read.token, store_.read(read.partition, read.from, read.max_bytes));
}

void ReadThread::answer(Search& search) {
  const PartitionId partition = search.search.partition;
  done_.search(partition, search.token, id_rows_.run(std::move(search.search)));
}

void ReadThread::run() {
  std::vector<std::variant<Read, Search>> asked;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !asked_.empty(); });
      if (asked_.empty()) return;
      asked.swap(asked_);
    }
    for (auto& each : asked) std::visit([this](auto& one) { answer(one); }, each);
    asked.clear();
  }
}

}  // namespace leat::storage
