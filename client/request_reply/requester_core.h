// What stands between a requester's callers, its logic, and the producer and the consumer it is
// made of.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/consumer_core.h"
#include "client/producer_core.h"
#include "client/request_reply/requester_logic.h"

namespace leat {

class RequesterCore final : public std::enable_shared_from_this<RequesterCore> {
 public:
  using Number = RequesterLogic::Number;
  using Done = RequesterLogic::Done;

  static std::shared_ptr<RequesterCore> open(Link& link, RequesterOptions options);
  // Fails what waits with kClosed. Before the link goes.
  void close();

  // Any thread.
  Number new_number() { return ++last_number_; }
  void request(Number number, const Record& record, Done done);
  std::uint64_t dropped() const { return dropped_; }

  // The link's thread. Fails it with kClosed, if it still waits.
  void cancel(Number number) { fail_one(number, {ErrorCode::kClosed, "cancelled"}); }

 private:
  using Consumer = std::shared_ptr<ConsumerCore>;
  using Outcomes = std::vector<RequesterLogic::Outcome>;

  RequesterCore(Link& link, RequesterOptions options);
  void accept(Number number, RequesterLogic::Request request, Done done);
  void send(Number number);

  // Reading replies, from looking up their topic until it fails.
  void begin();
  void found(const Result<TopicDescription>& topic);
  void begun(const Consumer& consumer, const Result<>& started);
  void read(const Consumer& consumer);
  void received(const Consumer& consumer, const Result<SharedRecords>& records);
  void give_up(const Error& why);

  void arm_timer();
  void tell(Outcomes& outcomes);
  void fail_one(Number number, Error why);
  void finish(Done done, Result<SharedRecord> result);

  Link& link_;
  const RequesterOptions options_;

  std::atomic<Number> last_number_{0};
  std::atomic<std::size_t> in_flight_{0};
  std::atomic<std::uint64_t> dropped_{0};

  // The link's thread.
  enum class Reading : std::uint8_t { kNot, kBeginning, kYes };
  SystemClock clock_;
  Random random_ = Random::from_system();
  RequesterLogic logic_;
  std::shared_ptr<ProducerCore> producer_;
  Consumer consumer_;
  Reading reading_ = Reading::kNot;
  std::string partition_;  // of the reply topic, as the header says it
  std::optional<asio::steady_timer> timer_;
  bool timer_armed_ = false, closed_ = false;
};

}  // namespace leat
