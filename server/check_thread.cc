#include "server/check_thread.h"

#include "storage/thread.h"

namespace leat {

CheckThread::CheckThread(std::function<void()> wake)
    : wake_(std::move(wake)), thread_(storage::start_thread("leat-check", [this] { run(); })) {}

CheckThread::~CheckThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void CheckThread::check(broker::CheckTicket ticket, std::weak_ptr<const broker::OwnedBatch> batch,
                        broker::BatchRules rules) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({ticket, std::move(batch), rules});
  }
  changed_.notify_one();
}

void CheckThread::poll(broker::Broker& broker) {
  std::vector<std::pair<broker::CheckTicket, Result<broker::BatchContents>>> results;
  {
    const std::lock_guard lock(mutex_);
    results.swap(results_);
  }
  for (auto& [ticket, result] : results) broker.on_checked(ticket, std::move(result));
}

void CheckThread::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    Result<broker::BatchContents> result;
    // Held no longer than it is looked at: once told, the bytes are the broker's alone.
    if (const auto batch = job.batch.lock()) result = broker::check_records(*batch, job.rules);
    lock.lock();
    results_.emplace_back(job.ticket, std::move(result));
    if (results_.size() == 1) wake_();
  }
}

}  // namespace leat
