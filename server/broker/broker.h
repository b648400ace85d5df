// The rules of the broker: topics, records, reading, groups, committed offsets. No sockets, no
// codecs, no threads, no clock: requests and time come in, replies go out through the sink, each
// not before what it rests on is durable (rule 2). One thread.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/random.h"
#include "server/broker/broker_options.h"
#include "server/broker/classic/classic_groups.h"
#include "server/broker/commits.h"
#include "server/broker/declared_topics.h"
#include "server/broker/delivery/deliveries.h"
#include "server/broker/durable_replies.h"
#include "server/broker/fetches.h"
#include "server/broker/group_ids.h"
#include "server/broker/groups.h"
#include "server/broker/offset_expiry.h"
#include "server/broker/offset_finder.h"
#include "server/broker/produces.h"
#include "server/broker/retention.h"
#include "server/broker/subscriptions.h"
#include "storage/storage.h"

namespace leat::broker {

struct CreateTopicRequest {
  std::string_view name;
  std::int32_t partitions = 1;
  bool if_not_exists = false;
  TopicConfig config;
};

struct DeleteRecordsRequest {
  TopicId topic;
  PartitionIndex partition;
  std::optional<Offset> before;  // none: the high watermark
};

struct CommitRequest {
  std::string_view group;
  std::span<const storage::OffsetCommit> offsets;
  std::string_view member;  // empty: of no member
  std::int32_t epoch = -1;
};

class Broker final : public storage::StorageEvents {
 public:
  // `now` is when members from before a restart begin to have their session timeout, and what the
  // wall clock is trusted by.
  Broker(BrokerOptions options, storage::Storage& storage, BatchChecker& checker, Random random,
         ReplySink& sink, Now now);
  Broker(const Broker&) = delete;  // its parts know where it lies
  Broker& operator=(const Broker&) = delete;

  const BrokerOptions& options() const { return options_; }
  // As of now, not only what is durable; valid until the next call that changes topics. Null: none.
  const storage::Topic* topic(std::string_view name) const { return storage_.find_topic(name); }
  const storage::Topic* topic(const TopicId& id) const { return storage_.find_topic(id); }
  LeaderEpoch leader_epoch() const { return storage_.leader_epoch(); }

  // ---- requests ----
  void create_topic(const RequestId& id, const CreateTopicRequest& request, Now now);
  void delete_topic(const RequestId& id, std::string_view name, Now now);
  // So that there are `total`; as many as there are: nothing is written. Records stay where they
  // are, keys go to other partitions from then on.
  void add_partitions(const RequestId& id, std::string_view name, std::int32_t total, Now now);
  // Whether these would be done, without doing them: a new topic, a topic's other settings, more
  // partitions than there are. Errors: kInvalidTopicName, kTopicExists, kUnknownTopic,
  // kInvalidPartitionCount, kInvalidRequest (of a setting), kLimitReached.
  Result<> check_new_topic(const CreateTopicRequest& request) const;
  Result<> check_settings(const TopicConfig& config) const;
  Result<> check_more_partitions(std::string_view name, std::int32_t total) const;
  // Every setting of the topic; none changes: nothing is written.
  void configure_topic(const RequestId& id, std::string_view name, const TopicConfig& config,
                       MonotonicTime now);
  // Forgets the records below an offset; at or below the log start: nothing, which is fine.
  void delete_records(const RequestId& id, const DeleteRecordsRequest& request);
  // Topics that are there from now on, also after reset(), with their first records where they were
  // not there before; those that were stay as they are. At the start, before any request. Errors:
  // kUsage, and those of create_topic().
  Result<> declare(std::vector<TopicDeclaration> topics, Now now);
  // Deletes every topic, and every group without members; then declared topics are there anew.
  // Error: kNotAllowed, unless the options allow it.
  void reset(const RequestId& id, Now now);
  // Of all that is acknowledged now; one at a time.
  void create_snapshot(const RequestId& id, std::string_view name);
  void list_topics(const RequestId& id);
  void describe_topic(const RequestId& id, std::string_view name, bool auto_create, Now now);
  void init_producer(const RequestId& id, std::optional<std::int64_t> producer, std::int16_t epoch);
  void commit_offsets(const RequestId& id, const CommitRequest& request, MonotonicTime now);
  void fetch_offsets(const RequestId& id, std::string_view group,
                     std::span<const std::pair<TopicId, PartitionIndex>> partitions);
  Produces& produces() { return produces_; }
  Fetches& fetches() { return fetches_; }
  OffsetFinder& offset_finder() { return offset_finder_; }
  Subscriptions& subscriptions() { return subscriptions_; }
  Groups& groups() { return groups_; }
  ClassicGroups& classic_groups() { return classic_groups_; }
  Commits& commits() { return commits_; }
  Deliveries& deliveries() { return deliveries_; }

  // False: hold requests back until ReplySink::on_room().
  bool accepts_records() const { return storage_.has_room(); }
  void on_connection_closed(ConnectionId connection, Now now);
  std::optional<MonotonicTime> next_deadline() const;
  // What is due. Called late by more than a second, the machine stood still: what members were
  // given is theirs still (rule 11).
  void on_time(Now now);

  // A batch that the checker was given.
  void on_checked(CheckTicket ticket, Result<BatchContents> result) {
    produces_.on_checked(ticket, std::move(result));
  }
  void on_rewritten(CheckTicket ticket, Result<OwnedBatch> result) {
    produces_.on_rewritten(ticket, std::move(result));
  }

  // ---- storage ----
  void on_durable(JournalPosition position) override { replies_.on_durable(position); }
  void on_high_watermark(PartitionId partition) override;
  void on_read(storage::ReadToken token, Result<storage::ReadResult> result) override;
  void on_known_ids(storage::ReadToken token, Result<storage::KnownIds> known) override {
    produces_.on_known_ids(token, std::move(known));
  }
  void on_space(const Result<>& taken) override { sink_.on_storage_space(taken); }
  void on_snapshot(Result<std::string> path) override;
  void on_room() override;
  void on_damage(const Error& error) override { sink_.on_storage_damaged(error); }
  void on_failed(const Error& error) override;

 private:
  Result<> check_partition_count(std::int32_t partitions) const;
  Result<> check_room_for(std::int32_t partitions) const;
  Result<const storage::Topic*> make_topic(const CreateTopicRequest& request, Now now);
  Result<> remove_topic(const storage::Topic& topic);
  void tell_topics_changed(Now now);
  Result<> make_declared(Now now);
  Result<> check_commits(const CommitRequest& request) const;
  TopicDescription describe(const storage::Topic& topic) const;
  void reply(const RequestId& id, Reply reply) { replies_.reply(id, std::move(reply)); }

  BrokerOptions options_;
  storage::Storage& storage_;
  Random random_;
  ReplySink& sink_;
  DurableReplies replies_;
  Fetches fetches_;
  OffsetFinder offset_finder_;
  Subscriptions subscriptions_;
  Produces produces_;
  GroupIds group_ids_;
  Deliveries deliveries_;
  ClassicGroups classic_groups_;
  OffsetExpiry offset_expiry_;
  Groups groups_;
  Commits commits_;
  RetentionSchedule retention_;
  std::vector<TopicDeclaration> declared_;
  std::optional<RequestId> snapshot_;  // who waits for the one that is being made
};

}  // namespace leat::broker
