// Topics and groups of a broker. Any thread; see client/client.h for tokens and errors.
//
//   Admin admin = client.admin();
//   TopicDescription topic = co_await admin.create_topic(Topic{"orders"}, 8);
//
// Errors of all: kTimedOut, kClosed. What is not repeated after a lost connection, because it may
// have been done, fails with kDisconnected: creating (unless if_not_exists), deleting a topic, and
// all records of a partition.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/async.h"
#include "client/config.h"
#include "client/requests.h"

namespace leat {

class Admin {
 public:
  // ---- topics; errors: kInvalidTopicName, kInvalidPartitionCount, kTopicExists, kLimitReached,
  // kUnknownTopic, kUnknownPartition ----

  template <class Token = asio::use_awaitable_t<>>
  auto create_topic(Topic topic, std::int32_t partitions, TopicConfig config,
                    Token&& token = Token()) {
    return create({std::move(topic.name), partitions, false, config}, std::forward<Token>(token));
  }
  template <class Token = asio::use_awaitable_t<>>
  requires(!std::is_convertible_v<Token, TopicConfig>) auto create_topic(
      Topic topic, std::int32_t partitions = 1, Token&& token = Token()) {
    return create({std::move(topic.name), partitions, false, {}}, std::forward<Token>(token));
  }
  // An existing topic is fine, whatever it is like.
  template <class Token = asio::use_awaitable_t<>>
  auto ensure_topic(Topic topic, std::int32_t partitions = 1, Token&& token = Token()) {
    return create({std::move(topic.name), partitions, true, {}}, std::forward<Token>(token));
  }
  template <class Token = asio::use_awaitable_t<>>
  auto delete_topic(Topic topic, Token&& token = Token()) {
    return async::initiate<void>(
        *link_, std::forward<Token>(token),
        [link = link_](Completion<> done, Topic which) {
          requests::delete_topic(*link, std::move(which.name), std::move(done));
        },
        std::move(topic));
  }
  // So that the topic has `total`: only more, or as many as it has. Records stay where they are;
  // keys go to other partitions from then on. A producer that is open uses those it knew.
  template <class Token = asio::use_awaitable_t<>>
  auto add_partitions(Topic topic, std::int32_t total, Token&& token = Token()) {
    return async::initiate<TopicDescription>(
        *link_, std::forward<Token>(token),
        [link = link_, total](auto done, Topic which) {
          requests::add_partitions(*link, std::move(which.name), total, std::move(done));
        },
        std::move(topic));
  }
  // Gives the topic other settings, all of them: change what describe_topic() tells.
  template <class Token = asio::use_awaitable_t<>>
  auto configure_topic(Topic topic, TopicConfig config, Token&& token = Token()) {
    return async::initiate<TopicDescription>(
        *link_, std::forward<Token>(token),
        [link = link_, config](auto done, Topic which) {
          requests::configure_topic(*link, std::move(which.name), config, std::move(done));
        },
        std::move(topic));
  }
  // Forgets the records below an offset, for good; completes with the log start, which is higher
  // already where retention was ahead. kOffsetOutOfRange: beyond the high watermark.
  template <class Token = asio::use_awaitable_t<>>
  auto delete_records(TopicPartition partition, Offset before, Token&& token = Token()) {
    return remove(std::move(partition), before, std::forward<Token>(token));
  }
  // All there are.
  template <class Token = asio::use_awaitable_t<>>
  requires(!std::is_convertible_v<Token, Offset>) auto delete_records(TopicPartition partition,
                                                                      Token&& token = Token()) {
    return remove(std::move(partition), std::nullopt, std::forward<Token>(token));
  }
  // Deletes every topic, and every group without members, and makes the topics anew that the broker
  // was told to have: between tests, on a broker that allows it (leatd --dev). kNotAllowed.
  template <class Token = asio::use_awaitable_t<>>
  auto reset(Token&& token = Token()) {
    return async::initiate<void>(*link_, std::forward<Token>(token), [link = link_](auto done) {
      requests::reset(*link, std::move(done));
    });
  }
  // A directory that a broker can start from, with everything acknowledged until now; completes
  // with its path on the broker's machine. `name` is 1 to 100 of A-Z a-z 0-9 . _ -, no dot in
  // front. kInvalidSnapshotName, kSnapshotExists, kLimitReached, kNoSpace.
  template <class Token = asio::use_awaitable_t<>>
  auto create_snapshot(std::string name, Token&& token = Token()) {
    return async::initiate<std::string>(
        *link_, std::forward<Token>(token),
        [link = link_](auto done, std::string called) {
          requests::create_snapshot(*link, std::move(called), std::move(done));
        },
        std::move(name));
  }
  template <class Token = asio::use_awaitable_t<>>
  auto list_topics(Token&& token = Token()) {
    return async::initiate<std::vector<TopicDescription>>(
        *link_, std::forward<Token>(token),
        [link = link_](auto done) { requests::list_topics(*link, std::move(done)); });
  }
  template <class Token = asio::use_awaitable_t<>>
  auto describe_topic(Topic topic, Token&& token = Token()) {
    return async::initiate<TopicDescription>(
        *link_, std::forward<Token>(token),
        [link = link_](auto done, Topic which) {
          requests::describe_topic(*link, std::move(which.name), false, std::move(done));
        },
        std::move(topic));
  }
  // The first record at or after a time; the high watermark where there is none.
  template <class Token = asio::use_awaitable_t<>>
  auto find_offset(TopicPartition partition, Timestamp time, Token&& token = Token()) {
    return async::initiate<FoundOffset>(
        *link_, std::forward<Token>(token),
        [link = link_, time](auto done, TopicPartition where) {
          requests::find_offset(*link, std::move(where), time, std::move(done));
        },
        std::move(partition));
  }

  // ---- groups; errors: kInvalidGroupName, kUnknownGroup, kGroupNotEmpty ----

  template <class Token = asio::use_awaitable_t<>>
  auto list_groups(Token&& token = Token()) {
    return async::initiate<std::vector<GroupListing>>(
        *link_, std::forward<Token>(token),
        [link = link_](auto done) { requests::list_groups(*link, std::move(done)); });
  }
  template <class Token = asio::use_awaitable_t<>>
  auto describe_group(Group group, Token&& token = Token()) {
    return async::initiate<GroupDescription>(
        *link_, std::forward<Token>(token),
        [link = link_](auto done, Group which) {
          requests::describe_group(*link, std::move(which.name), std::move(done));
        },
        std::move(group));
  }
  template <class Token = asio::use_awaitable_t<>>
  auto delete_group(Group group, Token&& token = Token()) {
    return async::initiate<void>(
        *link_, std::forward<Token>(token),
        [link = link_](Completion<> done, Group which) {
          requests::delete_group(*link, std::move(which.name), std::move(done));
        },
        std::move(group));
  }
  // Where a group without members goes on.
  template <class Token = asio::use_awaitable_t<>>
  auto set_offsets(Group group, std::vector<PartitionOffset> offsets, Token&& token = Token()) {
    return async::initiate<void>(
        *link_, std::forward<Token>(token),
        [link = link_](Completion<> done, Group which, std::vector<PartitionOffset> to) {
          requests::set_offsets(*link, std::move(which.name), std::move(to), std::move(done));
        },
        std::move(group), std::move(offsets));
  }

 private:
  friend class Client;
  explicit Admin(std::shared_ptr<Link> link) : link_(std::move(link)) {}

  template <class Token>
  auto create(requests::NewTopic topic, Token&& token) {
    return async::initiate<TopicDescription>(
        *link_, std::forward<Token>(token),
        [link = link_](auto done, requests::NewTopic what) {
          requests::create_topic(*link, std::move(what), std::move(done));
        },
        std::move(topic));
  }

  template <class Token>
  auto remove(TopicPartition partition, std::optional<Offset> before, Token&& token) {
    return async::initiate<Offset>(
        *link_, std::forward<Token>(token),
        [link = link_, before](auto done, TopicPartition where) {
          requests::delete_records(*link, std::move(where), before, std::move(done));
        },
        std::move(partition));
  }

  std::shared_ptr<Link> link_;
};

}  // namespace leat
