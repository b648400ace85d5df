// What stands between a producer's callers, its logic and the link.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "client/link.h"
#include "client/producer.h"

namespace leat {

class Producer::Core final : public Link::Listener, public std::enable_shared_from_this<Core> {
 public:
  Core(Link& link, TopicDescription topic, ProducerOptions options);
  void close();

  const TopicDescription& topic() const { return topic_; }
  Result<> send(const OutgoingRecord& record, AckHandler handler);
  Result<> flush(std::chrono::milliseconds timeout);

 private:
  void on_up() override;
  void on_down() override;
  void on_ended(const Error& why) override;
  Result<PartitionIndex> partition_of(const OutgoingRecord& record);
  void pump();
  void init_producer();
  void on_identity(const Result<const native::Reply*>& reply);
  void on_reply(ProducerLogic::BatchId id, const Result<const native::Reply*>& reply);
  void tell(std::vector<ProducerLogic::Outcome>& outcomes);
  void tell_counted(std::vector<ProducerLogic::Outcome>& outcomes);
  void arm_timer();

  Link& link_;  // kept by the face, which closes it first
  TopicDescription topic_;
  ProducerOptions options_;
  SystemClock clock_;
  std::optional<asio::steady_timer> timer_;  // the link's thread

  std::mutex mutex_;
  std::condition_variable room_;
  ProducerLogic logic_;
  std::uint64_t tells_begun_ = 0, tells_ended_ = 0;  // rounds of calling handlers
  std::optional<MonotonicTime> timer_at_;
  bool pump_posted_ = false, identity_asked_ = false;
  std::optional<Error> closed_;  // why nothing is sent any more
};

}  // namespace leat
