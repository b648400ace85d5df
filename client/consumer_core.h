// What stands between a consumer's caller, its logic and the link.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "client/consumer.h"
#include "client/consumer_logic.h"
#include "client/link.h"

namespace leat {

class Consumer::Core final : public Link::Listener, public std::enable_shared_from_this<Core> {
 public:
  Core(Link& link, TopicDescription topic, ConsumerOptions options);
  // Assigns the partitions, each from its group's committed offset or from the start chosen.
  Result<> start();
  void close();

  const TopicDescription& topic() const { return topic_; }
  Result<std::span<const ConsumedRecord>> poll(std::chrono::milliseconds timeout);
  Result<> commit(std::span<const std::pair<PartitionIndex, Offset>> positions);
  std::vector<std::pair<PartitionIndex, Offset>> positions() const;

 private:
  void on_up() override { pump(); }
  void on_down() override {}
  Result<> check_partitions();
  Result<std::vector<std::optional<Offset>>> committed();
  Result<> check_offset(PartitionIndex partition, Offset offset) const;
  Offset first_offset(PartitionIndex partition) const;
  void pump();
  void on_fetched(PartitionIndex partition, const Result<const native::Reply*>& reply);

  Link& link_;  // kept by the face, which closes it first
  TopicDescription topic_;
  ConsumerOptions options_;
  std::vector<ConsumedRecord> records_;  // the caller's thread

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  ConsumerLogic logic_;
  std::optional<Error> error_;
  bool closed_ = false;
};

}  // namespace leat
