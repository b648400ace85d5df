// The rules of the broker: topics, records, fetches that wait, committed offsets. No sockets, no
// codecs, no threads, no clock: requests and time come in, replies go out through the sink, each
// not before what it rests on is durable (rule 2). One thread.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/random.h"
#include "server/broker/replies.h"
#include "server/broker/waiting_fetches.h"
#include "storage/storage.h"

namespace leat::broker {

struct BrokerOptions {
  bool auto_create_topics = false;
  std::int32_t auto_create_partitions = 1;
  // Limits.
  std::size_t topics = 10'000;
  std::int32_t partitions_per_topic = 1'024;
  std::size_t partitions = 100'000;  // of all topics
  std::size_t groups = 10'000;
  std::size_t batch_bytes = 8 << 20;
  std::size_t fetch_bytes = 16 << 20;
  std::chrono::milliseconds fetch_wait{60'000};
  std::size_t waiting_fetches_per_connection = 4'096;
  std::size_t commits_per_request = 10'000;
  std::size_t metadata_bytes = 4'096;
};

struct FetchRequest {
  TopicId topic;
  PartitionIndex partition;
  Offset offset;
  std::size_t max_bytes = 0;
  std::chrono::milliseconds max_wait{0};
};

class Broker final : public storage::StorageEvents {
 public:
  Broker(BrokerOptions options, storage::Storage& storage, Random random, ReplySink& sink)
      : options_(options), storage_(storage), random_(random), sink_(sink) {}

  const BrokerOptions& options() const { return options_; }

  // ---- requests ----
  void create_topic(const RequestId& id, std::string_view name, std::int32_t partitions,
                    bool if_not_exists, WallTime now);
  void delete_topic(const RequestId& id, std::string_view name);
  void list_topics(const RequestId& id);
  void describe_topic(const RequestId& id, std::string_view name, bool auto_create, WallTime now);
  void produce(const RequestId& id, const TopicId& topic, PartitionIndex partition, Bytes batch);
  void fetch(const RequestId& id, const FetchRequest& request, MonotonicTime now);
  void commit_offsets(const RequestId& id, std::string_view group,
                      std::span<const storage::OffsetCommit> offsets);
  void fetch_offsets(const RequestId& id, std::string_view group,
                     std::span<const std::pair<TopicId, PartitionIndex>> partitions);

  // False: hold produce requests back until ReplySink::on_room().
  bool accepts_records() const { return storage_.has_room(); }
  void on_connection_closed(ConnectionId connection);
  std::optional<MonotonicTime> next_deadline() const { return fetches_.next_deadline(); }
  void on_time(MonotonicTime now);

  // ---- storage ----
  void on_durable(JournalPosition position) override;
  void on_high_watermark(PartitionId partition) override;
  void on_read(storage::ReadToken token, Result<storage::ReadResult> result) override;
  void on_room() override { sink_.on_room(); }
  void on_failed(const Error& error) override;

 private:
  struct Pending {
    JournalPosition position;
    RequestId request;
    Reply reply;
  };
  struct Partition {
    const storage::Topic* topic;
    PartitionId id;
  };

  Result<const storage::Topic*> find_topic(std::string_view name) const;
  Result<Partition> find_partition(const TopicId& topic, PartitionIndex partition) const;
  Result<> check_new_topic(std::string_view name, std::int32_t partitions) const;
  Result<> check_batch(Bytes batch) const;
  Result<> check_commits(std::string_view group,
                         std::span<const storage::OffsetCommit> offsets) const;
  TopicDescription describe(const storage::Topic& topic) const;
  // Replies once everything appended so far is durable: what the reply rests on, and whatever state
  // it read.
  void reply(const RequestId& id, Reply reply);
  void reply_empty(const WaitingFetch& fetch);
  void read(WaitingFetch fetch);
  void answer(const WaitingFetch& fetch, storage::ReadResult result);

  BrokerOptions options_;
  storage::Storage& storage_;
  Random random_;
  ReplySink& sink_;
  std::deque<Pending> pending_;  // positions ascend
  WaitingFetches fetches_;
  bool failed_ = false;
};

}  // namespace leat::broker
