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
#include "client/group_logic.h"
#include "client/link.h"

namespace leat {

class Consumer::Core final : public Link::Listener, public std::enable_shared_from_this<Core> {
 public:
  using Partitions = std::vector<PartitionIndex>;

  Core(Link& link, TopicDescription topic, ConsumerOptions options);
  // Joins the group, or assigns the partitions; each begins at its group's committed offset or at
  // the start chosen.
  Result<> start();
  void close();

  const TopicDescription& topic() const { return topic_; }
  Result<std::span<const ConsumedRecord>> poll(std::chrono::milliseconds timeout);
  Result<> commit(std::vector<std::pair<PartitionIndex, Offset>> positions);
  void commit_async(std::vector<std::pair<PartitionIndex, Offset>> positions,
                    std::function<void(const Result<>&)> handler);
  Result<> seek(PartitionIndex partition, Offset offset);
  Result<> set_paused(PartitionIndex partition, bool paused);
  std::vector<std::pair<PartitionIndex, Offset>> positions() const;

 private:
  using Bounds = std::vector<PartitionDescription>;

  // consumer_core.cc: the link's thread.
  void on_up() override { pump(); }
  void on_down() override;
  void on_ended(const Error& why) override { fail_with(why); }
  void pump();
  void fetch();
  void on_fetched(const ConsumerLogic::Fetch& fetch, const Result<const native::Reply*>& reply);
  void take_part();
  void on_group(const Result<const native::Reply*>& reply);
  void arm_timer();
  void fail_with(const Error& error);

  // consumer.cc: the caller's thread.
  bool member() const { return options_.group && options_.partitions.empty(); }
  Result<> check_partitions();
  Result<> wait_for_group();
  Result<> rebalance();
  void give_back(const Partitions& partitions);
  Result<> begin(const Partitions& partitions);
  Result<> reset_positions();
  Result<Bounds> bounds();
  Result<std::vector<std::optional<Offset>>> committed(const Partitions& partitions);
  Result<Offset> first_offset(PartitionIndex partition, const Bounds& bounds);
  Result<Offset> within(PartitionIndex partition, Offset offset, const Bounds& bounds) const;
  void auto_commit();
  native::CommitOffsets commit_request(
      const std::vector<std::pair<PartitionIndex, Offset>>& positions) const;
  void wake() {
    link_.post([self = shared_from_this()] { self->pump(); });
  }

  Link& link_;  // kept by the face, which closes it first
  TopicDescription topic_;
  ConsumerOptions options_;
  SystemClock clock_;
  std::optional<asio::steady_timer> timer_;  // the link's thread

  // The caller's thread.
  std::vector<ConsumedRecord> records_;
  std::vector<std::pair<PartitionIndex, Offset>> given_;  // as of the latest poll()
  MonotonicTime committed_at_;

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  ConsumerLogic logic_;
  std::optional<GroupLogic> group_;
  GroupLogic::Change change_;  // not yet carried out
  Partitions out_of_range_;    // to be begun anew
  std::optional<Error> error_;
  bool closed_ = false;
};

}  // namespace leat
