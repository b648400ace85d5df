// The broker on a storage that the test steers, with what it answered.
#pragma once

#include <deque>

#include <gtest/gtest.h>

#include "server/broker/broker.h"
#include "tests/fake_checker.h"
#include "tests/fake_storage.h"

namespace leat::broker {

struct RecordingSink final : ReplySink {
  void on_reply(const RequestId& request, Reply reply) override {
    replies.emplace_back(request.correlation.value, std::move(reply));
  }
  void on_push_ready(ConnectionId connection) override { ready.insert(connection); }
  void on_subscription_ended(ConnectionId, std::uint32_t subscription, const Error& why) override {
    ended.emplace_back(subscription, why.code);
  }
  void on_room() override { ++rooms; }
  void on_storage_failed(const Error&) override { ++failures; }

  std::deque<std::pair<std::uint64_t, Reply>> replies;  // references stay good while it grows
  std::set<ConnectionId> ready;
  std::vector<std::pair<std::uint32_t, ErrorCode>> ended;
  int rooms = 0, failures = 0;
};

class BrokerFixture : public ::testing::Test {
 protected:
  static constexpr BrokerOptions kTight{.topics = 3,
                                        .partitions = 64,
                                        .groups = 2,
                                        .members_per_group = 60,
                                        .checking_bytes = 20'000,
                                        .waiting_fetches_per_connection = 2,
                                        .subscriptions_per_connection = 2,
                                        .leases_per_member = 200,
                                        .held_per_partition = 50,
                                        .delayed_in_memory = 40,
                                        .read_ahead_bytes = 4'000};
  explicit BrokerFixture(const BrokerOptions& options = kTight)
      : broker(options, storage, checker, Random(1), sink, at()) {}

  RequestId next(std::uint64_t connection = 1) {
    return {ConnectionId(connection), CorrelationId(++correlation)};
  }
  Now at(Duration later = {}) const { return {now + later, WallTime()}; }
  TopicId create(std::string_view name = "orders", std::int32_t partitions = 2,
                 TopicConfig config = {}) {
    broker.create_topic(next(), {name, partitions, false, config}, at());
    storage.make_durable(broker);
    sink.replies.clear();
    return storage.find_topic(name)->id;
  }
  PartitionId partition_id(const TopicId& topic, std::size_t index = 0) const {
    return storage.find_topic(topic)->partitions.at(index);
  }
  void produce(const TopicId& topic, int records = 1, std::int64_t timestamp_ms = 1,
               std::string_view value = "v") {
    RecordBatchBuilder builder;
    for (int i = 0; i < records; ++i)
      builder.append({as_bytes("k"), as_bytes(value), {}}, timestamp_ms + i);
    broker.produces().produce(next(), topic, PartitionIndex(0), builder.finish(), at());
  }
  template <class T>
  const T* last() const {
    return sink.replies.empty() ? nullptr : std::get_if<T>(&sink.replies.back().second);
  }
  // Of the partitions that were fetched last.
  const FetchedPartition* fetched(std::size_t at = 0) const {
    const auto* all = last<Fetched>();
    return all && at < all->partitions.size() ? &all->partitions[at] : nullptr;
  }
  Error error() const {
    if (last<Error>()) return *last<Error>();
    return fetched() && fetched()->error ? *fetched()->error : Error(ErrorCode::kOk);
  }
  ErrorCode last_error() const { return error().code; }
  void fetch(const PartitionFetch& one, std::chrono::milliseconds wait) {
    broker.fetches().fetch(next(), {.partitions = {&one, 1}, .max_wait = wait}, now);
  }

  test::FakeStorage storage;
  test::FakeChecker checker;
  RecordingSink sink;
  MonotonicTime now{std::chrono::hours(1)};
  Broker broker;
  std::uint64_t correlation = 0;
};

}  // namespace leat::broker
