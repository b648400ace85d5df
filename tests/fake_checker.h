// A BatchChecker that tests steer: what it was given is told when, and in the order, they say.
#pragma once

#include <variant>
#include <vector>

#include "server/broker/broker.h"

namespace leat::test {

class FakeChecker final : public broker::BatchChecker {
 public:
  void check(broker::CheckTicket ticket, std::weak_ptr<const broker::OwnedBatch> batch,
             broker::BatchRules rules) override {
    jobs_.push_back({ticket, std::move(batch), rules});
  }
  void rewrite(broker::CheckTicket ticket, std::weak_ptr<const broker::OwnedBatch> batch,
               broker::Rewriting rewriting) override {
    jobs_.push_back({ticket, std::move(batch), std::move(rewriting)});
  }

  std::size_t waiting() const { return jobs_.size(); }
  bool wanted(std::size_t job) const { return !jobs_.at(job).batch.expired(); }
  void tell(broker::Broker& broker, std::size_t at = 0) {
    const Job job = std::move(jobs_.at(at));
    jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(at));
    const auto batch = job.batch.lock();
    if (const auto* rules = std::get_if<broker::BatchRules>(&job.what))
      return broker.on_checked(
          job.ticket, batch ? broker::check_records(*batch, *rules) : broker::BatchContents());
    broker.on_rewritten(job.ticket,
                        batch ? broker::rewrite(*batch, std::get<broker::Rewriting>(job.what))
                              : broker::OwnedBatch());
  }
  void tell_all(broker::Broker& broker) {
    while (waiting() > 0) tell(broker);
  }

 private:
  struct Job {
    broker::CheckTicket ticket;
    std::weak_ptr<const broker::OwnedBatch> batch;
    std::variant<broker::BatchRules, broker::Rewriting> what;
  };
  std::vector<Job> jobs_;
};

}  // namespace leat::test
