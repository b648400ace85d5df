// A BatchChecker that tests steer: what it was given is told when, and in the order, they say.
#pragma once

#include <vector>

#include "server/broker/broker.h"

namespace leat::test {

class FakeChecker final : public broker::BatchChecker {
 public:
  void check(broker::CheckTicket ticket, std::weak_ptr<const broker::OwnedBatch> batch,
             broker::BatchRules rules) override {
    jobs_.push_back({ticket, std::move(batch), rules});
  }

  std::size_t waiting() const { return jobs_.size(); }
  bool wanted(std::size_t job) const { return !jobs_.at(job).batch.expired(); }
  void tell(broker::Broker& broker, std::size_t at = 0) {
    const Job job = std::move(jobs_.at(at));
    jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(at));
    Result<broker::BatchContents> result;
    if (const auto batch = job.batch.lock()) result = broker::check_records(*batch, job.rules);
    broker.on_checked(job.ticket, std::move(result));
  }
  void tell_all(broker::Broker& broker) {
    while (waiting() > 0) tell(broker);
  }

 private:
  struct Job {
    broker::CheckTicket ticket;
    std::weak_ptr<const broker::OwnedBatch> batch;
    broker::BatchRules rules;
  };
  std::vector<Job> jobs_;
};

}  // namespace leat::test
