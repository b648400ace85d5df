#include "storage/write_queue.h"

#include <utility>

#include "storage/thread.h"

namespace leat::storage {

Result<WriteMode> parse_write_mode(std::string_view text) {
  if (text == "auto") return WriteMode::kAuto;
  if (text == "uring") return WriteMode::kUring;
  if (text == "thread") return WriteMode::kThread;
  return fail(ErrorCode::kUsage, "the journal cannot be written by '" + std::string(text) +
                                     "'; say auto, uring or thread");
}

std::vector<Bytes> pieces_of(Bytes buffer, std::span<const Inlay> inlays) {
  std::vector<Bytes> pieces;
  std::size_t at = 0;
  for (const Inlay& inlay : inlays) {
    if (inlay.at > at) pieces.push_back(buffer.first(inlay.at - at));
    buffer = buffer.subspan(inlay.at - at);
    pieces.push_back(inlay.bytes);
    at = inlay.at + inlay.bytes.size();
  }
  if (!buffer.empty()) pieces.push_back(buffer);
  return pieces;
}

ThreadWriteQueue::~ThreadWriteQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  started_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

MutableBytes ThreadWriteQueue::buffer(Slot slot, std::size_t bytes) {
  writes_[slot].buffer.resize(bytes);
  return writes_[slot].buffer.bytes();
}

void ThreadWriteQueue::start(Slot slot, File& file, std::uint64_t at,
                             std::span<const Inlay> inlays) {
  Write& write = writes_[slot];
  write.file = &file;
  write.at = at;
  write.pieces = pieces_of(write.buffer.bytes(), inlays);
  bool enough;
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(slot);
    enough = waiting_.size() <= idle_;
  }
  if (!enough && threads_.size() < depth())
    threads_.push_back(start_thread("leat-write", [this] { run(); }));
  count_call();
  started_.notify_one();
}

void ThreadWriteQueue::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    started_.wait(lock, [this] { return !waiting_.empty() || stopping_; });
    --idle_;
    if (waiting_.empty()) return;
    const Slot slot = waiting_.front();
    waiting_.pop_front();
    lock.unlock();
    Write& write = writes_[slot];
    count_call();
    auto result = write.file->write(write.at, write.pieces);
    lock.lock();
    done_.push_back({slot, std::move(result)});
    count_call();
    ended_.notify_one();
  }
}

std::vector<WriteQueue::Done> ThreadWriteQueue::wait(Time until) {
  std::unique_lock lock(mutex_);
  const auto something = [this] { return !done_.empty() || woken_; };
  if (!something()) count_call();
  if (until == Time::max())
    ended_.wait(lock, something);
  else
    ended_.wait_until(lock, until, something);
  woken_ = false;
  return std::exchange(done_, {});
}

void ThreadWriteQueue::wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  count_call();
  ended_.notify_one();
}

}  // namespace leat::storage
