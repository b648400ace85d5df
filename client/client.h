// A broker, seen from an application: administration, producers, consumers. Thread-safe; producers
// and consumers keep the connection alive beyond the client.
//
//   auto client = Client::connect({.broker = "leat://127.0.0.1:5328"});
//   if (!client) die(client.error().message());
//   client->create_topic("orders", 8);
//
// This is the blocking facade; a lost connection is made again by itself.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "client/config.h"
#include "client/consumer.h"
#include "client/producer.h"
#include "protocol/base/result.h"

namespace leat {

class Connector;
class Link;

class Client {
 public:
  // Errors: kInvalidAddress, kUnreachable, kUnsupportedVersion.
  static Result<Client> connect(ClientOptions options);
  // Over another transport (client/transport.h) instead of `options.broker`. For a broker in this
  // process: Server::connect_local().
  static Result<Client> connect(ClientOptions options, std::unique_ptr<Connector> connector);

  // Round-trip time.
  Result<std::chrono::nanoseconds> ping();

  // Errors of all: kUnknownTopic, kTopicExists, kInvalidTopicName, kInvalidPartitionCount,
  // kLimitReached, kTimedOut; kNotAllowed in a handler. Creating and deleting besides:
  // kDisconnected, when the connection was lost before the reply; it may or may not have been done.
  Result<TopicDescription> create_topic(std::string_view name, std::int32_t partitions,
                                        bool if_not_exists = false, TopicConfig config = {});
  Result<> delete_topic(std::string_view name);
  Result<std::vector<TopicDescription>> list_topics();
  // With `auto_create`, a broker that creates topics on first use does so.
  Result<TopicDescription> describe_topic(std::string_view name, bool auto_create = false);

  // The first record of the partition at or after a time, in ms since 1970; the end where none is.
  Result<Offset> find_offset(const TopicDescription& topic, PartitionIndex partition,
                             std::int64_t timestamp_ms);

  // Groups. Errors: kUnknownGroup, kGroupNotEmpty (deleting, or committing for it, while it has
  // members), kInvalidGroupName.
  Result<std::vector<GroupSummary>> list_groups();
  Result<GroupDescription> describe_group(std::string_view group);
  Result<> delete_group(std::string_view group);
  // Commits for a group from outside: where its members will begin.
  Result<> commit_offsets(std::string_view group, const TopicDescription& topic,
                          std::span<const std::pair<PartitionIndex, Offset>> offsets);

  Result<std::unique_ptr<Producer>> producer(const Topic& topic, ProducerOptions options = {});
  // Errors besides: kUnknownPartition, kInvalidGroupName.
  Result<std::unique_ptr<Consumer>> consumer(ConsumerOptions options);

 private:
  explicit Client(std::shared_ptr<Link> link) : link_(std::move(link)) {}
  std::shared_ptr<Link> link_;
};

}  // namespace leat
