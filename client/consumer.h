// Reads topics: partitions chosen by hand, or as a member of a group, which shares them out. Any
// thread, one next() or poll() at a time; see client/client.h for tokens and errors.
//
//   Consumer consumer = client.consumer(Group{"billing"}, {.topics = {"orders"}});
//   for (;;) {
//     auto [ec, record] = co_await consumer.next(as_tuple(asio::use_awaitable));
//     if (ec) break;                          // closed, cancelled, or told about one partition
//     handle(record);
//     co_await consumer.commit();
//   }
//
// The broker pushes, within what the consumer has room for, and goes on so after a lost connection,
// from the next position. Rebalance events of ConsumerOptions are told between records; whoever
// asks for more has worked on what came before.
//
// In groups of kind kShared and kKeyShared records of any partition come, each leased to one
// member, which settles it by itself (client/shared_record.h) instead of committing:
//
//   ConsumerOptions options{.topics = {"orders"}, .kind = GroupKind::kKeyShared};
//   Consumer consumer = client.consumer(Group{"billing"}, options);
//   SharedRecord record = co_await consumer.next();
//   co_await record.ack();
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "client/async.h"
#include "client/config.h"
#include "client/shared_record.h"

namespace leat {

class Reader;

// What a consumer consists of, behind either face.
struct ConsumerState {
  std::shared_ptr<Link> link;
  std::shared_ptr<Reader> core;
};
std::shared_ptr<ConsumerState> open_consumer(std::shared_ptr<Link> link, ConsumerOptions options);

class Consumer {
 public:
  Consumer() = default;  // none: only to be assigned to
  Consumer(Consumer&&) noexcept = default;
  Consumer& operator=(Consumer&& other) noexcept;
  // close(), without waiting.
  ~Consumer();

  // Completes with the next record, or with all that is at hand of one partition. Both share what
  // they lie in, and are good as long as they live; nothing is copied. Can be cancelled by the
  // handler's slot: operation_aborted, and no record is lost.
  // Errors: kUnknownTopic, kOffsetOutOfRange, kCorruptBatch … of one partition, told once, after
  // which the others go on; kLogTruncated, told once, after which it goes on from the log's end;
  // kInconsistentGroup, kInvalidGroupName, kClosed: for good.
  template <class Token = asio::use_awaitable_t<>>
  auto next(Token&& token = Token()) {
    return async::initiate_cancellable<SharedRecord>(
        *state_->link, std::forward<Token>(token),
        [state = state_](Completion<SharedRecord> done, auto on_cancel) {
          const Wait wait = prepare(state);
          on_cancel(wait.cancel());
          start_next(*state, wait, std::move(done));
        });
  }
  template <class Token = asio::use_awaitable_t<>>
  auto poll(Token&& token = Token()) {
    return async::initiate_cancellable<SharedRecords>(
        *state_->link, std::forward<Token>(token),
        [state = state_](Completion<SharedRecords> done, auto on_cancel) {
          const Wait wait = prepare(state);
          on_cancel(wait.cancel());
          start_poll(*state, wait, std::move(done));
        });
  }

  // Commits, for the group, the positions behind what next() and poll() gave so far, or offsets,
  // each of the next record to process. Done when durable; on a connection commits keep their
  // order, so there is no need to wait for one before the next.
  // Errors: kInvalidRequest (no group, or one whose records are settled one by one),
  // kUnknownPartition (not assigned), kUnknownMember and
  // kStaleEpoch (others have the partitions by now), kGroupNotEmpty (by hand, while the group has
  // members), kTimedOut.
  template <class Token = asio::use_awaitable_t<>>
  auto commit(Token&& token = Token()) {
    return async::initiate<void>(
        *state_->link, std::forward<Token>(token),
        [state = state_](Completion<> done) { start_commit(*state, std::move(done)); });
  }
  template <class Token = asio::use_awaitable_t<>>
  auto commit_offsets(std::vector<PartitionOffset> offsets, Token&& token = Token()) {
    return async::initiate<void>(
        *state_->link, std::forward<Token>(token),
        [state = state_](Completion<> done, const std::vector<PartitionOffset>& given) {
          start_commit(*state, given, std::move(done));
        },
        std::move(offsets));
  }

  // Still at work: for so long from now what was delivered and not settled stays leased to this
  // member, whether handed out or waiting for its turn, as if extend() were called for each record
  // in time; from then on leases run out. Also one of which no copy is left, while something of its
  // delivery is held. The latest call counts. For whoever may take longer than ack_timeout, also
  // while its thread is blocked. Any thread; does nothing in groups without leases.
  void keep_leases(std::chrono::milliseconds time);

  // Sends what was settled, commits what is to be committed by itself, leaves the group. What waits
  // fails with kClosed; what is leased and was not settled is delivered again at once.
  template <class Token = asio::use_awaitable_t<>>
  auto close(Token&& token = Token()) {
    return async::initiate<void>(
        *state_->link, std::forward<Token>(token),
        [state = state_](Completion<> done) { start_close(*state, std::move(done)); });
  }

  // At once. Errors of all: kUnknownPartition (not assigned), kInvalidRequest (a shared or
  // key_shared group, whose members have no partitions of their own). A paused partition stays
  // assigned; its records wait.
  std::error_code seek(const TopicPartition& partition, Offset to);
  std::error_code pause(const TopicPartition& partition);
  std::error_code resume(const TopicPartition& partition);

  // The offset of the next record, per assigned partition that knows it. Empty, as are assignments,
  // in shared and key_shared groups.
  std::vector<PartitionOffset> positions() const;
  std::vector<TopicPartition> assignment() const;
  // How many records were jumped over so far, because they were gone (retention, or somebody
  // deleted them) before this consumer came to them; ConsumerOptions::on_reset says where it goes
  // on.
  std::int64_t skipped() const;

 private:
  friend class Client;
  using State = ConsumerState;
  // One next() or poll(), known before it starts so that it can be cancelled from then on.
  struct Wait {
    std::weak_ptr<State> state;
    std::uint64_t id;
    auto cancel() const {
      return [wait = *this] { Consumer::cancel(wait); };
    }
  };
  explicit Consumer(std::shared_ptr<State> state);
  static Wait prepare(const std::shared_ptr<State>& state);
  static void start_next(State& state, const Wait& wait, Completion<SharedRecord> done);
  static void start_poll(State& state, const Wait& wait, Completion<SharedRecords> done);
  static void start_commit(State& state, Completion<> done);
  static void start_commit(State& state, const std::vector<PartitionOffset>& offsets,
                           Completion<> done);
  static void start_close(State& state, Completion<> done);
  static void cancel(const Wait& wait);

  std::shared_ptr<State> state_;
};

}  // namespace leat
