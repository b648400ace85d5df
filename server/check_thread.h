// The thread that checks batches for the broker, and rewrites them: one that decompresses to
// megabytes never holds the shard up. Batches come in and results go out through a mailbox each,
// both bounded by what the broker lets wait (BrokerOptions::checking_bytes).
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "server/broker/broker.h"

namespace leat {

class CheckThread final : public broker::BatchChecker {
 public:
  // `wake`: called on this thread when poll() has something to tell.
  explicit CheckThread(std::function<void()> wake);
  // Waits for the batch that is being looked at, which is bounded; drops the others.
  ~CheckThread() override;
  CheckThread(const CheckThread&) = delete;
  CheckThread& operator=(const CheckThread&) = delete;

  // ---- the shard's thread ----
  void check(broker::CheckTicket ticket, std::weak_ptr<const broker::OwnedBatch> batch,
             broker::BatchRules rules) override;
  void rewrite(broker::CheckTicket ticket, std::weak_ptr<const broker::OwnedBatch> batch,
               broker::Rewriting rewriting) override;
  // Tells what was found since the last call.
  void poll(broker::Broker& broker);

 private:
  struct Job {
    broker::CheckTicket ticket;
    std::weak_ptr<const broker::OwnedBatch> batch;
    std::variant<broker::BatchRules, broker::Rewriting> what;
  };
  using Outcome = std::variant<Result<broker::BatchContents>, Result<broker::OwnedBatch>>;
  void add(Job job);
  static Outcome done(const Job& job);
  void run();

  std::function<void()> wake_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::vector<std::pair<broker::CheckTicket, Outcome>> results_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace leat
