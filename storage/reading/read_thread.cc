#include "storage/reading/read_thread.h"

#include <algorithm>

#include "protocol/base/assert.h"
#include "protocol/record_batch.h"
#include "storage/thread.h"

namespace leat::storage {
namespace {

// One past the last offset of what was read.
Offset end_of(const ReadResult& result, Offset from) {
  Offset end = from;
  for (const StoredBatches& stored : result.batches)
    for (Bytes rest = stored.bytes; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      LEAT_ASSERT(batch);  // it was checked just now
      end = batch->last_offset() + 1;
      rest = rest.subspan(batch->bytes().size());
    }
  return end;
}

}  // namespace

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

void ReadThread::push(Asked asked) {
  {
    const std::lock_guard lock(mutex_);
    asked_.push_back(std::move(asked));
  }
  changed_.notify_one();
}

void ReadThread::read(const ColdRead& read) {
  if (!read.ahead) return push(read);
  {
    const std::lock_guard lock(mutex_);
    ahead_.push_back(read);
  }
  changed_.notify_one();
}

void ReadThread::hurry(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto read = std::ranges::find(ahead_, id, &ColdRead::id);
  if (read == ahead_.end()) return;  // begun
  asked_.push_back(*read);
  ahead_.erase(read);
}

void ReadThread::search(IdSearch search, ReadToken token) {
  push(Search{std::move(search), token});
}

void ReadThread::answer(const ColdRead& read) {
  auto result = store_.read(read.partition, read.from, read.max_bytes);
  const Offset next = result ? end_of(*result, read.from) : read.from;
  done_.read({read.id, read.partition, std::move(result), next});
}

void ReadThread::answer(Search& search) {
  const PartitionId partition = search.search.partition;
  done_.search(partition, search.token, id_rows_.run(std::move(search.search)));
}

void ReadThread::run() {
  std::vector<Asked> asked;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !asked_.empty() || !ahead_.empty(); });
      asked.swap(asked_);
      if (asked.empty() && stopping_) return;
      if (asked.empty()) {
        asked.push_back(ahead_.front());
        ahead_.pop_front();
      }
    }
    for (auto& each : asked) std::visit([this](auto& one) { answer(one); }, each);
    asked.clear();
  }
}

}  // namespace leat::storage
