// What stands between a consumer's caller, its logic and the link. Any thread may call; completions
// are called on the link's.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "client/consumer_logic.h"
#include "client/group_logic.h"
#include "client/link.h"

namespace leat {

class ConsumerCore final : public Link::Listener,
                           public std::enable_shared_from_this<ConsumerCore> {
 public:
  using WaitId = std::uint64_t;

  ConsumerCore(Link& link, ConsumerOptions options);
  // Looks the topics up and begins: completes once every partition knows where it begins, or the
  // group has been joined; or fails, which poll() and next() tell if `done` is empty. The consumer
  // may be used before that.
  void start(Completion<> done);
  // Commits what is to be committed by itself, leaves the group, completes. What waits fails with
  // kClosed. Before the link goes.
  void close(Completion<> done);

  // Records, and before them rebalance events on the calling thread. Empty at the timeout.
  Result<SharedRecords> poll(std::chrono::milliseconds timeout);
  // The same on the link's thread, however long it takes; one at a time, kInvalidRequest else.
  void poll(WaitId id, Completion<SharedRecords> done) { wait(id, std::move(done)); }
  void next(WaitId id, Completion<SharedRecord> done) { wait(id, std::move(done)); }
  WaitId new_wait();
  // Fails it with kClosed, if it still waits.
  void cancel(WaitId id);

  // For the group: the positions behind what was handed out, or those given.
  // Errors: kInvalidRequest (no group), kUnknownMember and kStaleEpoch (others have them by now).
  void commit(Completion<> done);
  void commit(const std::vector<PartitionOffset>& offsets, Completion<> done);

  // Error: kUnknownPartition (not assigned).
  Result<> seek(const TopicPartition& partition, Offset to);
  Result<> pause(const TopicPartition& partition, bool paused);
  std::vector<PartitionOffset> positions() const;
  std::vector<TopicPartition> assignment() const;
  std::int64_t skipped() const;
  bool joins() const { return group_.has_value(); }

 private:
  using Position = ConsumerLogic::PartitionPosition;
  using Wait = std::variant<Completion<SharedRecords>, Completion<SharedRecord>>;

  void wait(WaitId id, Wait wait);
  bool give(std::unique_lock<std::mutex>& lock);

  // The link's thread.
  void on_up() override { pump(); }
  void on_down() override;
  void on_push(const native::Reply& push) override;
  void on_ended(const Error& why) override;
  void on_closed() override;
  void described(const Result<TopicDescription>& topic);
  Result<> assign_all(const TopicDescription& topic);
  void pump();
  void ask(const ConsumerLogic::Wanted& wanted);
  void ask_committed(const std::vector<PartitionKey>& keys);
  void ask_bounds(TopicId id, const TopicName& topic);
  void ask_time(const ConsumerLogic::FindTime& time);
  void subscribe(const ConsumerLogic::Subscribe& subscribe);
  void fetch(const ConsumerLogic::Fetch& fetch);
  void ask_group(const GroupLogic::Request& request);
  void on_group(const Result<const native::Reply*>& reply);
  void serve();
  void check_started();
  void arm_timer();
  void commit_by_itself();
  void part(const std::vector<Position>& positions, bool leave, Completion<> done);

  // With the lock held, which is let go of for the callbacks.
  void tell_events(std::unique_lock<std::mutex>& lock);
  void apply(const GroupLogic::Event& event, std::unique_lock<std::mutex>& lock);
  void send_commit(const std::vector<Position>& positions, Completion<> done);
  std::vector<Position> take_uncommitted();
  template <class Take>
  void answered(const Result<const native::Reply*>& reply, Take take);
  void post_pump();

  Link& link_;
  const ConsumerOptions options_;
  SystemClock clock_;

  // The link's thread.
  std::optional<asio::steady_timer> timer_;
  MonotonicTime next_commit_{};
  std::size_t describing_ = 0;
  Completion<> started_;

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  ConsumerLogic logic_;
  std::optional<GroupLogic> group_;
  std::optional<Error> error_;  // final
  std::optional<std::pair<WaitId, Wait>> wait_;
  WaitId last_wait_ = 0;
  std::map<PartitionKey, Offset> committed_;  // by itself
  bool telling_ = false, pump_posted_ = false, closed_ = false;
};

}  // namespace leat
