// The client for threads that wait: every call returns when it is done, with a Result. A thin face
// over what client.h offers asynchronously; nothing of it may be called in a handler, which runs on
// the client's thread (kNotAllowed), but Producer::send().
//
//   auto client = blocking::Client::connect({.broker = "leat://127.0.0.1:5328"});
//   if (!client) die(client.error().message());
//   client->create_topic("orders", 8);
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/completion.h"
#include "client/config.h"
#include "protocol/base/result.h"

namespace leat {
class Client;
class Connector;
class Link;
class ProducerCore;
struct ConsumerState;
struct Settlement;
struct SharedRecords;
}  // namespace leat

namespace leat::blocking {

class Consumer;
class Producer;

// A broker, seen from an application. Thread-safe; producers and consumers keep the connection
// alive beyond the client. A lost connection is made again by itself.
class Client {
 public:
  // Errors: kInvalidAddress, kUnreachable, kUnsupportedVersion.
  static Result<Client> connect(ClientOptions options);
  // Over another transport (client/transport.h) instead of `options.broker`. For a broker in this
  // process: Server::connect_local().
  static Result<Client> connect(ClientOptions options, std::unique_ptr<Connector> connector);
  // The same connection for threads that wait, and for those that do not.
  explicit Client(const leat::Client& client);
  leat::Client async() const;

  // Round-trip time.
  Result<std::chrono::nanoseconds> ping();

  // Errors of all: kUnknownTopic, kTopicExists, kInvalidTopicName, kInvalidPartitionCount,
  // kLimitReached, kTimedOut. Creating and deleting besides: kDisconnected, when the connection was
  // lost before the reply; it may or may not have been done.
  Result<TopicDescription> create_topic(std::string_view name, std::int32_t partitions,
                                        bool if_not_exists = false, TopicConfig config = {});
  // Gives the topic other settings, all of them: change what describe_topic() tells.
  // Error besides: kInvalidRequest, naming the setting and what it may be.
  Result<TopicDescription> configure_topic(std::string_view name, const TopicConfig& config);
  // So that the topic has `total`: only more, or as many as it has. Records stay where they are;
  // keys go to other partitions from then on. A producer that is open uses those it knew. Errors
  // besides: kInvalidPartitionCount, kLimitReached.
  Result<TopicDescription> add_partitions(std::string_view name, std::int32_t total);
  // Forgets the records below `before`, or all, for good; the log start, which is higher already
  // where retention was ahead. Errors besides: kUnknownPartition, kOffsetOutOfRange (beyond the
  // high watermark).
  Result<Offset> delete_records(const TopicPartition& partition,
                                std::optional<Offset> before = std::nullopt);
  Result<> delete_topic(std::string_view name);
  // A directory that a broker can start from, with everything acknowledged until now: its path, on
  // the broker's machine, in DATA_DIR/snapshots. `name` is 1 to 100 of A-Z a-z 0-9 . _ -, no dot in
  // front. Errors besides: kInvalidSnapshotName, kSnapshotExists, kLimitReached, kNoSpace.
  Result<std::string> create_snapshot(std::string_view name);
  // Deletes every topic, and every group without members, and makes the topics anew that the broker
  // was told to have. Error besides: kNotAllowed, unless the broker allows it (leatd --dev).
  Result<> reset();
  Result<std::vector<TopicDescription>> list_topics();
  // With `auto_create`, a broker that creates topics on first use does so.
  Result<TopicDescription> describe_topic(std::string_view name, bool auto_create = false);
  // The first record at or after a time.
  Result<FoundOffset> find_offset(const TopicPartition& partition, Timestamp time);

  // Errors: kUnknownGroup, kInvalidGroupName, kGroupNotEmpty (deleting, setting).
  Result<std::vector<GroupListing>> list_groups();
  Result<GroupDescription> describe_group(std::string_view name);
  Result<> delete_group(std::string_view name);
  // Where the group goes on, for a group without members.
  Result<> set_offsets(std::string_view group, std::vector<PartitionOffset> offsets);

  // How far a source (ProducerOptions::source) is stored in each of the topic's partitions; zero:
  // nothing. Error: kUnknownTopic.
  Result<std::vector<SourcePosition>> source_positions(std::string_view topic, std::string source);

  // Error: kUnknownTopic.
  Result<std::unique_ptr<Producer>> producer(const Topic& topic,
                                             const ProducerOptions& options = {});
  // Knows where it begins, or is a member of its group, on return.
  // Errors besides: kUnknownPartition, kInvalidGroupName, kOffsetOutOfRange, kTimedOut (the broker
  // went away meanwhile).
  Result<std::unique_ptr<Consumer>> consumer(ConsumerOptions options);

 private:
  explicit Client(std::shared_ptr<Link> link) : link_(std::move(link)) {}
  std::shared_ptr<Link> link_;
};

// Sends records, to one topic unless they name another. Any thread may send; handlers run on the
// client's thread and must not block.
//
//   auto producer = client->producer(Topic{"orders"}, {.linger = 5ms});
//   (*producer)->send({.key = as_bytes("42"), .value = as_bytes("hello")},
//                     [](const Result<Ack>& ack) { if (!ack) report(ack.error()); });
//   (*producer)->flush();
//
// After a lost connection everything unacknowledged is sent again, in order, before anything newer;
// unless `.idempotent = false` the broker stores it once.
class Producer {
 public:
  // Fails what is not acknowledged with kClosed: flush() before.
  ~Producer();

  const TopicDescription& topic() const { return topic_; }

  // Copies the record; returns when it is buffered, which waits while the buffer is full (at most
  // the delivery timeout; not in a handler). `handler` is called exactly once iff send() succeeds;
  // it may be empty.
  // Errors: kUnknownPartition, kInvalidRequest (an id, a delay or a time that makes no sense),
  // kBatchTooLarge, kQueueFull, kProducerFenced, kClosed.
  Result<> send(const OutgoingRecord& record, Completion<Ack> handler = {});
  Result<> send(const Record& record, Completion<Ack> handler = {});
  // Sends and waits for the acknowledgement: the record is as durable as its topic promises.
  Result<Ack> send_and_wait(const OutgoingRecord& record);
  // Waits until every record sent so far is acknowledged or has failed (its handler was called).
  // Error: kTimedOut.
  Result<> flush(std::chrono::milliseconds timeout = std::chrono::hours(1));

 private:
  friend class Client;
  Producer(std::shared_ptr<Link> link, std::shared_ptr<ProducerCore> core, TopicDescription topic);
  std::shared_ptr<Link> link_;
  std::shared_ptr<ProducerCore> core_;
  TopicDescription topic_;
  std::uint32_t number_;
};

// Reads topics: partitions chosen by hand, or as a member of a group, which shares them out. One
// thread polls, commits, seeks; delivery goes on behind it.
//
//   auto consumer = client->consumer({.topics = {"orders"}, .group = Group{"billing"}});
//   for (;;) {
//     auto records = (*consumer)->poll(1s);
//     if (!records) return records.error();
//     for (const ConsumedRecord& record : *records) handle(record);
//     if (auto ok = (*consumer)->commit(); !ok) return ok.error();
//   }
//
// What the group takes away it takes away in poll(), so that what came before has been worked on.
class Consumer {
 public:
  // Leaves the group; commits before if it does so by itself.
  ~Consumer();

  // Waits for records, at most `timeout`; empty when none came. They are of one partition, and
  // borrow from the consumer until the next poll(). Goes on by itself after a lost connection, from
  // the next position.
  // Errors: kUnknownTopic (deleted meanwhile), kOffsetOutOfRange, kCorruptBatch …: told once; the
  // other partitions go on. kLogTruncated: told once, and goes on from the end of the log.
  Result<std::span<const ConsumedRecord>> poll(std::chrono::milliseconds timeout);

  // Commits, for the group, the positions behind what poll() returned so far; durable on return.
  // Errors: kInvalidRequest (no group), kUnknownMember and kStaleEpoch (others have the partitions
  // by now), kGroupNotEmpty (by hand, while the group has members), kTimedOut.
  Result<> commit();
  // Commits offsets, each of the next record to process.
  Result<> commit(const std::vector<PartitionOffset>& offsets);
  // The same without waiting; `done` is called on the client's thread.
  void commit_async(Completion<> done);

  // What became of a record that the latest poll() gave, in a shared or key_shared group; confirmed
  // on return: done with; failed, to come again after `delay` or the group's back-off; still at
  // work, so that ack_timeout begins anew; hopeless, to the dead letter topic with the reason.
  // Errors: kLeaseLost (settled before, or somebody else has it by now; it comes again where it was
  // not acked), kInvalidRequest (another kind of group).
  Result<> ack(const ConsumedRecord& record);
  Result<> nack(const ConsumedRecord& record, std::optional<std::chrono::milliseconds> delay = {});
  Result<> extend(const ConsumedRecord& record);
  Result<> reject(const ConsumedRecord& record, std::string reason);
  void keep_leases(std::chrono::milliseconds time);  // see leat::Consumer
  // All that the latest poll() gave and that was not settled.
  Result<> ack_all();
  // Without waiting, which is what is fast: a later call that waits also waits for these. `done` is
  // called on the client's thread, iff this succeeds.
  Result<> ack_async(const ConsumedRecord& record, Completion<> done = {});

  // Errors of these: kUnknownPartition (not assigned), kInvalidRequest (records are leased one by
  // one).
  Result<> seek(const TopicPartition& partition, Offset to);
  Result<> pause(const TopicPartition& partition);
  Result<> resume(const TopicPartition& partition);

  // The offset of the next record poll() will return, per assigned partition that knows it.
  std::vector<PartitionOffset> positions() const;
  std::vector<TopicPartition> assignment() const;
  // How many records were jumped over so far, because they were gone (retention, or somebody
  // deleted them) before this consumer came to them; ConsumerOptions::on_reset says where it goes
  // on.
  std::int64_t skipped() const;

 private:
  friend class Client;
  explicit Consumer(std::shared_ptr<ConsumerState> state);
  Result<> start(const ConsumedRecord& record, const Settlement& settlement, Completion<> done);
  Result<> settle(const ConsumedRecord& record, const Settlement& settlement);
  std::shared_ptr<ConsumerState> state_;
  std::unique_ptr<SharedRecords> given_;
};

}  // namespace leat::blocking
