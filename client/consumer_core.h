// What stands between a consumer's caller, its logic and the link, where the group's members share
// whole partitions, or partitions are chosen by hand.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/consumer_logic.h"
#include "client/group_logic.h"
#include "client/reader.h"

namespace leat {

class ConsumerCore final : public Reader {
 public:
  ConsumerCore(Link& link, ConsumerOptions options);
  void start(Completion<> done) override;
  void close(Completion<> done) override;

  void commit(Completion<> done) override;
  void commit(const std::vector<PartitionOffset>& offsets, Completion<> done) override;
  Result<> seek(const TopicPartition& partition, Offset to) override;
  Result<> pause(const TopicPartition& partition, bool paused) override;
  std::vector<PartitionOffset> positions() const override;
  std::vector<TopicPartition> assignment() const override;
  std::int64_t skipped() const override;

 private:
  using Position = ConsumerLogic::PartitionPosition;

  std::shared_ptr<ConsumerCore> shared() {
    return std::static_pointer_cast<ConsumerCore>(shared_from_this());
  }

  bool holds_something() const override { return logic_.holds_something(); }
  Result<SharedRecords> take() override { return logic_.take(); }
  Result<std::optional<SharedRecord>> take_one() override { return logic_.next(); }
  void came_for_more() override { logic_.came_for_more(); }
  bool made_room() override { return logic_.made_room(); }
  bool has_events() const override { return group_ && group_->has_events(); }
  void tell_events(std::unique_lock<std::mutex>& lock) override;

  // The link's thread.
  void on_up() override { pump(); }
  void on_down() override;
  void on_push(const native::Reply& push) override;
  void on_ended(const Error& why) override;
  void on_closed() override;
  void described(const Result<TopicDescription>& topic);
  Result<> assign_all(const TopicDescription& topic);
  void pump() override;
  void ask(const ConsumerLogic::Wanted& wanted);
  void ask_committed(const std::vector<PartitionKey>& keys);
  void ask_bounds(TopicId id, const TopicName& topic);
  void ask_time(const ConsumerLogic::FindTime& time);
  void subscribe(const ConsumerLogic::Subscribe& subscribe);
  void fetch(const ConsumerLogic::Fetch& fetch);
  void ask_group(const GroupLogic::Request& request);
  void on_group(const Result<const native::Reply*>& reply);
  void check_started();
  void arm_timer();
  void commit_by_itself();
  void part(const std::vector<Position>& positions, bool leave, Completion<> done);

  // With the lock held, which is let go of for the callbacks.
  void apply(const GroupLogic::Event& event, std::unique_lock<std::mutex>& lock);
  void send_commit(const std::vector<Position>& positions, Completion<> done);
  std::vector<Position> take_uncommitted();
  template <class Take>
  void answered(const Result<const native::Reply*>& reply, Take take);

  const ConsumerOptions options_;

  // The link's thread.
  std::optional<asio::steady_timer> timer_;
  MonotonicTime next_commit_{};
  std::size_t describing_ = 0;
  Completion<> started_;

  // Guarded by the lock.
  ConsumerLogic logic_;
  std::optional<GroupLogic> group_;
  std::map<PartitionKey, Offset> committed_;  // by itself
};

}  // namespace leat
