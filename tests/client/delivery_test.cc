// Consumers of shared groups, both faces, against a broker that delivers by script.
#include <algorithm>
#include <future>
#include <mutex>

#include <asio.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <gtest/gtest.h>

#include "client/blocking.h"
#include "client/client.h"
#include "tests/client/deliveries.h"
#include "tests/client/scripted_broker.h"

namespace leat {
namespace {

using namespace std::chrono_literals;
using asio::experimental::as_tuple;
using test::range;

constexpr auto kHang = 30s;  // detects a hang, times nothing
constexpr auto kTuple = as_tuple(asio::use_awaitable);

template <class T>
T get(std::future<T> future) {
  if (future.wait_for(kHang) != std::future_status::ready) throw std::runtime_error("it hangs");
  return future.get();
}

template <class T>
std::error_code code_of(std::future<T> future) {
  try {
    get(std::move(future));
  } catch (const std::system_error& error) {
    return error.code();
  }
  return {};
}

class DeliveryTest : public ::testing::Test {
 protected:
  // Delivers offsets 0 to 9 of partition 1 to each that attaches, with the connection's number as
  // the attempt, and says yes to everything but what `refuse` names.
  void SetUp() override {
    broker.run([this](CorrelationId id, const native::Request& request) {
      const std::lock_guard lock(mutex);
      if (const auto* attach = std::get_if<native::Attach>(&request)) return attached(id, *attach);
      if (const auto* settle = std::get_if<native::Settle>(&request)) return settled(id, *settle);
      if (std::holds_alternative<native::Grant>(request)) return note("grant");
      if (std::holds_alternative<native::Unsubscribe>(request)) {
        note("unsubscribe");
        return broker.answer(id, native::UnsubscribeReply{});
      }
      ADD_FAILURE() << "request " << request.index();
    });
    client = get(Client::connect({.broker = broker.url()}, asio::use_future));
  }
  void attached(CorrelationId id, const native::Attach& attach) {
    ++attachments;
    group = std::string(attach.group) + " " + std::string(name_of(attach.kind)) + " " +
            std::to_string(attach.records) + " " + std::to_string(attach.ack_timeout_ms) + " " +
            std::to_string(attach.max_deliveries) + " " + std::string(attach.dead_letter) + " " +
            std::to_string(attach.min_backoff_ms) + ".." + std::to_string(attach.max_backoff_ms) +
            (attach.latest ? " latest" : "") + (attach.dead_letter_expired ? " expired" : "");
    if (attach_error) return broker.answer(id, native::ErrorReply{*attach_error, "no"});
    broker.answer(id, native::AttachReply{});
    deliver(attach.subscription, 0, 9);
  }
  void deliver(std::uint32_t subscription, std::int64_t first, std::int64_t last) {
    last_subscription = subscription;
    auto batch = test::batch_at(first, static_cast<int>(last - first + 1));
    if (damage) batch.back() ^= std::byte{1};
    broker.answer(CorrelationId(), native::Delivery{subscription,
                                                    {TopicId{{1}}, PartitionIndex(1)},
                                                    "orders",
                                                    {range(first, last, attachments)},
                                                    batch});
  }
  void settled(CorrelationId id, const native::Settle& settle) {
    if (hang_ups-- > 0) return broker.hang_up();
    note(test::text_of(settle.ranges) + (settle.reason.empty() ? "" : " ") +
         std::string(settle.reason));
    broker.answer(id, native::SettleReply{refuse ? settle.ranges : decltype(settle.ranges){}});
    if (end_with)
      broker.answer(CorrelationId(), native::PushEnd{last_subscription, *end_with, "x"});
  }
  void note(std::string what) { notes.push_back(std::move(what)); }
  std::vector<std::string> noted() {
    const std::lock_guard lock(mutex);
    return notes;
  }

  ConsumerOptions options() {
    ConsumerOptions some{.topics = {"orders"}, .group = Group{"billing"}};
    some.kind = GroupKind::kShared;
    return some;
  }
  void run(asio::awaitable<void> work) {
    asio::io_context io;
    std::exception_ptr thrown;
    asio::co_spawn(io, std::move(work), [&](std::exception_ptr error) { thrown = error; });
    io.run_for(kHang);
    if (thrown) std::rethrow_exception(thrown);
  }

  std::mutex mutex;  // of what the script uses
  std::vector<std::string> notes;
  std::string group;
  std::uint32_t attachments = 0, last_subscription = 0;
  std::optional<ErrorCode> attach_error, end_with;
  bool refuse = false, damage = false;
  int hang_ups = 0;
  test::ScriptedBroker broker;
  Client client;
};

TEST_F(DeliveryTest, EachRecordIsSettledInItsOwnWay) {
  ConsumerOptions some = options();
  some.kind = GroupKind::kKeyShared;
  some.start = StartFrom::latest();
  some.ack_timeout = 5s;
  some.max_deliveries = 3;
  some.dead_letter = "dead";
  some.dead_letter_expired = true;
  some.min_backoff = 10ms;
  some.max_backoff = 1s;
  some.prefetch_records = 20;
  Consumer consumer = client.consumer(some);
  run([](Consumer& reader) -> asio::awaitable<void> {
    const SharedRecord record = co_await reader.next();
    EXPECT_EQ(record.topic, "orders");
    EXPECT_EQ(record.partition, PartitionIndex(1));
    EXPECT_EQ(record.attempt(), 1u);
    co_await record.extend();
    co_await record.ack();
    co_await (co_await reader.next()).nack(500ms);
    co_await (co_await reader.next()).nack();
    co_await (co_await reader.next()).reject("broken");
    auto [again] = co_await record.ack(kTuple);
    EXPECT_EQ(again, ErrorCode::kLeaseLost);
  }(consumer));
  EXPECT_EQ(noted(), (std::vector<std::string>{"extend 1:0-0", "ack 1:0-0", "nack(500) 1:1-1",
                                               "nack 1:2-2", "reject 1:3-3 broken"}));
  EXPECT_EQ(group, "billing key_shared 20 5000 3 dead 10..1000 latest expired");
}

TEST_F(DeliveryTest, ManyAtOnceWithAnyToken) {
  Consumer consumer = client.consumer(options());
  const SharedRecords records = get(consumer.poll(asio::use_future));
  ASSERT_EQ(records.size(), 10u);
  std::promise<std::error_code> called;
  records[0].ack([&](std::error_code error) { called.set_value(error); });
  EXPECT_FALSE(get(called.get_future()));
  records[1].nack(asio::detached);
  records[2].nack(7ms, asio::detached);
  get(records.ack_all(asio::use_future));
  get(records.ack_all(asio::use_future));  // nothing is left
  std::string all;
  for (const std::string& note : noted()) all += note + " ";
  for (const char* part : {"ack 1:0-0", "nack 1:1-1", "nack(7) 1:2-2", "ack 1:3-9"})
    EXPECT_NE(all.find(part), std::string::npos) << all;
}

TEST_F(DeliveryTest, WhatIsNoLongerTheirsTheyAreTold) {
  refuse = true;
  Consumer consumer = client.consumer(options());
  const SharedRecord record = get(consumer.next(asio::use_future));
  EXPECT_EQ(code_of(record.ack(asio::use_future)), ErrorCode::kLeaseLost);
}

TEST_F(DeliveryTest, AfterALostConnectionAllComesAgain) {
  hang_ups = 1;
  Consumer consumer = client.consumer(options());
  const SharedRecord first = get(consumer.next(asio::use_future));
  const SharedRecord second = get(consumer.next(asio::use_future));
  EXPECT_EQ(code_of(first.ack(asio::use_future)), ErrorCode::kLeaseLost);
  const SharedRecord again = get(consumer.next(asio::use_future));
  EXPECT_EQ(again.offset, first.offset);
  EXPECT_EQ(again.attempt(), 2u);
  EXPECT_EQ(code_of(second.ack(asio::use_future)), ErrorCode::kLeaseLost);
  EXPECT_FALSE(code_of(again.ack(asio::use_future)));
  EXPECT_EQ(noted(), std::vector<std::string>{"ack 1:0-0"});
}

TEST_F(DeliveryTest, TheBrokerMayEndIt) {
  end_with = ErrorCode::kUnknownGroup;
  Consumer consumer = client.consumer(options());
  const SharedRecord record = get(consumer.next(asio::use_future));
  record.ack(asio::detached);
  std::error_code error;
  while (!error) error = code_of(consumer.next(asio::use_future));
  EXPECT_EQ(error, ErrorCode::kUnknownGroup);
  EXPECT_EQ(code_of(record.extend(asio::use_future)), ErrorCode::kLeaseLost);
  get(consumer.close(asio::use_future));
}

TEST_F(DeliveryTest, ClosingSendsWhatIsGathered) {
  Consumer consumer = client.consumer(options());
  const SharedRecords records = get(consumer.poll(asio::use_future));
  std::vector<std::future<void>> acked;
  for (std::size_t i = 0; i < 5; ++i) acked.push_back(records[i].ack(asio::use_future));
  auto waiting = consumer.next(asio::use_future);
  get(consumer.close(asio::use_future));
  EXPECT_EQ(code_of(std::move(waiting)), ErrorCode::kClosed);
  for (auto& one : acked) {
    EXPECT_EQ(one.wait_for(0s), std::future_status::ready);
    EXPECT_FALSE(code_of(std::move(one)));
  }
  EXPECT_EQ(noted().back(), "unsubscribe");
  EXPECT_EQ(code_of(records[6].ack(asio::use_future)), ErrorCode::kClosed);
  consumer = Consumer();
  client = Client();
  EXPECT_EQ(code_of(records[6].ack(asio::use_future)), ErrorCode::kClosed);
}

TEST_F(DeliveryTest, WhatIsForPartitionsIsRefused) {
  Consumer consumer = client.consumer(options());
  EXPECT_EQ(code_of(consumer.commit(asio::use_future)), ErrorCode::kInvalidRequest);
  EXPECT_EQ(consumer.seek({"orders", PartitionIndex(0)}, Offset(0)), ErrorCode::kInvalidRequest);
  EXPECT_EQ(consumer.pause({"orders", PartitionIndex(0)}), ErrorCode::kInvalidRequest);
  EXPECT_TRUE(consumer.positions().empty());
  EXPECT_TRUE(consumer.assignment().empty());
  ConsumerOptions wrong = options();
  wrong.by_hand = true;
  EXPECT_EQ(code_of(client.consumer(wrong).next(asio::use_future)), ErrorCode::kInvalidRequest);
}

TEST_F(DeliveryTest, WhatIsHandledMakesRoomForMore) {
  ConsumerOptions some = options();
  some.prefetch_records = 10;
  some.auto_ack = true;
  Consumer consumer = client.consumer(some);
  for (int i = 0; i < 10; ++i) get(consumer.next(asio::use_future));
  auto waiting = consumer.next(asio::use_future);  // the tenth is done with
  const auto acked_and_granted = [this] {
    const std::lock_guard lock(mutex);
    const auto has = [this](const char* what) {
      return std::ranges::any_of(notes,
                                 [&](const std::string& note) { return note.ends_with(what); });
    };
    if (!has("-9") || !has("grant")) return false;
    deliver(last_subscription, 10, 10);
    return true;
  };
  const auto deadline = std::chrono::steady_clock::now() + kHang;
  while (!acked_and_granted() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(1ms);
  EXPECT_EQ(get(std::move(waiting)).offset, Offset(10));
}

// Nobody settled them, and nobody can any more.
TEST_F(DeliveryTest, WhatIsDroppedMakesRoomToo) {
  ConsumerOptions some = options();
  some.prefetch_records = 10;
  Consumer consumer = client.consumer(some);
  get(consumer.poll(asio::use_future));
  auto waiting = consumer.next(asio::use_future);
  const auto deadline = std::chrono::steady_clock::now() + kHang;
  while (noted().empty() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(1ms);
  EXPECT_EQ(noted(), std::vector<std::string>{"grant"});
}

TEST_F(DeliveryTest, WhatIsDamagedIsToldAndTakesNoRoom) {
  damage = true;
  ConsumerOptions some = options();
  some.prefetch_records = 10;
  Consumer consumer = client.consumer(some);
  EXPECT_EQ(code_of(consumer.next(asio::use_future)), ErrorCode::kCorruptBatch);
  const auto deadline = std::chrono::steady_clock::now() + kHang;
  while (noted().empty() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(1ms);
  EXPECT_EQ(noted(), std::vector<std::string>{"grant"});
}

TEST_F(DeliveryTest, ThreadsThatWaitSettleToo) {
  blocking::Client waiting(client);
  auto opened = waiting.consumer(options());
  ASSERT_TRUE(opened) << opened.error().message();
  blocking::Consumer& consumer = **opened;
  const auto records = consumer.poll(kHang);
  ASSERT_TRUE(records && records->size() == 10);
  EXPECT_TRUE(consumer.extend((*records)[0]));
  EXPECT_TRUE(consumer.nack((*records)[0], 5ms));
  EXPECT_TRUE(consumer.nack((*records)[1]));
  EXPECT_TRUE(consumer.reject((*records)[2], "broken"));
  EXPECT_TRUE(consumer.ack_async((*records)[3]));
  EXPECT_TRUE(consumer.ack((*records)[4]));
  const auto again = consumer.ack((*records)[4]);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error(), ErrorCode::kLeaseLost);
  const ConsumedRecord last = records->back();
  EXPECT_TRUE(consumer.ack_all());
  EXPECT_EQ(consumer.commit().error(), ErrorCode::kInvalidRequest);
  EXPECT_EQ(consumer.poll(0s)->size(), 0u);
  EXPECT_EQ(consumer.ack(last).error(), ErrorCode::kLeaseLost);
  EXPECT_TRUE(consumer.ack_all());
  opened->reset();
  std::string all;
  for (const std::string& note : noted()) all += note + " ";
  for (const char* part :
       {"extend 1:0-0 nack(5) 1:0-0 nack 1:1-1 reject 1:2-2 broken ", "ack 1:5-9 ", "unsubscribe"})
    EXPECT_NE(all.find(part), std::string::npos) << all;
}

TEST_F(DeliveryTest, WhoMayNotAttachIsToldAtOnce) {
  attach_error = ErrorCode::kInconsistentGroup;
  blocking::Client waiting(client);
  const auto refused = waiting.consumer(options());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorCode::kInconsistentGroup);
}

}  // namespace
}  // namespace leat
