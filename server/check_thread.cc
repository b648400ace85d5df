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
  add({ticket, std::move(batch), rules});
}

void CheckThread::rewrite(broker::CheckTicket ticket, std::weak_ptr<const broker::OwnedBatch> batch,
                          broker::Rewriting rewriting) {
  add({ticket, std::move(batch), std::move(rewriting)});
}

void CheckThread::add(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
}

void CheckThread::poll(broker::Broker& broker) {
  std::vector<std::pair<broker::CheckTicket, Outcome>> results;
  {
    const std::lock_guard lock(mutex_);
    results.swap(results_);
  }
  for (auto& [ticket, result] : results) {
    if (auto* checked = std::get_if<Result<broker::BatchContents>>(&result))
      broker.on_checked(ticket, std::move(*checked));
    else
      broker.on_rewritten(ticket, std::move(std::get<Result<broker::OwnedBatch>>(result)));
  }
}

// The bytes are held no longer than they are looked at: once told, they are the broker's alone.
CheckThread::Outcome CheckThread::done(const Job& job) {
  const auto batch = job.batch.lock();
  if (const auto* rules = std::get_if<broker::BatchRules>(&job.what))
    return batch ? broker::check_records(*batch, *rules) : broker::BatchContents();
  return batch ? broker::rewrite(*batch, std::get<broker::Rewriting>(job.what))
               : broker::OwnedBatch();
}

void CheckThread::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    Outcome outcome = done(job);
    lock.lock();
    results_.emplace_back(job.ticket, std::move(outcome));
    if (results_.size() == 1) wake_();
  }
}

}  // namespace leat
