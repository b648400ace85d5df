// The asynchronous face against a broker in the process: callbacks, futures, coroutines, executors,
// cancellation, errors.
#include <future>
#include <thread>

#include <asio.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <gtest/gtest.h>

#include "client/blocking.h"
#include "client/client.h"
#include "server/server.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using namespace std::chrono_literals;
using asio::experimental::as_tuple;

constexpr auto kHang = 60s;
constexpr auto kTuple = as_tuple(asio::use_awaitable);

template <class T>
T get(std::future<T> future) {
  if (future.wait_for(kHang) != std::future_status::ready) throw std::runtime_error("it hangs");
  return future.get();
}

class AsyncTest : public ::testing::Test {
 protected:
  AsyncTest() {
    server = Server::open({.data_dir = directory / "data"}).value();
    client = server->connect_local().value().async();
    get(client.admin().create_topic(Topic{"orders"}, 2, asio::use_future));
  }
  // Runs a coroutine on an io_context of its own; rethrows.
  void run(asio::awaitable<void> work) {
    asio::io_context io;
    std::exception_ptr thrown;
    asio::co_spawn(io, std::move(work), [&](std::exception_ptr error) { thrown = error; });
    io.run_for(kHang);
    if (thrown) std::rethrow_exception(thrown);
  }

  test::TemporaryDirectory directory;
  std::unique_ptr<Server> server;
  Client client;
};

TEST_F(AsyncTest, CallbacksFuturesAndCoroutinesWithTheSameCall) {
  Producer producer = client.producer({.linger = 0ms});
  std::promise<std::pair<std::error_code, Ack>> called;
  producer.send({Topic{"orders"}, Key{"1"}, bytes("by callback")},
                [&](std::error_code error, Ack ack) {
                  called.set_value({error, ack});
                });
  const auto [error, ack] = get(called.get_future());
  EXPECT_FALSE(error);
  EXPECT_EQ(ack.durability, Durability::kSync);
  EXPECT_FALSE(ack.duplicate);
  get(producer.send({Topic{"orders"}, Key{"1"}, bytes("by future")}, asio::use_future));
  run([](Producer& sender) -> asio::awaitable<void> {
    co_await sender.send({Topic{"orders"}, Key{"1"}, bytes("by coroutine")});
    auto [code, last] =
        co_await sender.send({Topic{"orders"}, Key{"1"}, bytes("and a tuple")}, kTuple);
    EXPECT_FALSE(code);
    EXPECT_EQ(last.offset, Offset(3));
    co_await sender.flush();
  }(producer));

  Consumer consumer = client.consumer({.topics = {"orders"}});
  run([](Consumer& reader) -> asio::awaitable<void> {
    for (const char* expected : {"by callback", "by future", "by coroutine", "and a tuple"}) {
      const SharedRecord record = co_await reader.next();
      EXPECT_EQ(as_text(*record.value), expected);
      EXPECT_EQ(record.topic, "orders");
    }
  }(consumer));
}

// Whether the topic is known (the first record waits for that), and by every way to send.
TEST_F(AsyncTest, IdsAndTimesGoAlongAsHeaders) {
  get(client.admin().create_topic(Topic{"named"}, 4, asio::use_future));
  Producer producer = client.producer({.linger = 0ms});
  const auto record = [](std::string_view id) {
    OutgoingRecord named{.value = bytes(id), .headers = {{"leat-id", bytes("not this one")}}};
    named.id = bytes(id);
    named.deliver_at = Timestamp(5ms);
    named.ttl = 1h;
    return Record(Topic{"named"}, std::move(named));
  };
  const Ack first = get(producer.send(record("1"), asio::use_future));
  run([&](Producer& sender) -> asio::awaitable<void> {
    const Ack ack = co_await sender.send(record("1"));
    EXPECT_EQ(ack.partition, first.partition);  // that of the id
  }(producer));
  blocking::Client threads = server->connect_local().value();
  const auto sender = threads.producer(Topic{"named"}, {.linger = 0ms}).value();
  EXPECT_EQ(sender->send_and_wait(record("1")).value().partition, first.partition);

  Consumer consumer = client.consumer({.topics = {"named"}});
  const SharedRecord read = get(consumer.next(asio::use_future));
  EXPECT_EQ(as_text(*read.headers.find("leat-id")->value), "1");
  EXPECT_EQ(as_text(*read.headers.find("leat-deliver-at")->value), "5");
  const auto now = std::chrono::system_clock::now().time_since_epoch() / 1ms;
  const auto expires =
      std::stoll(std::string(as_text(*read.headers.find("leat-expires-at")->value)));
  EXPECT_GT(expires, now);
  EXPECT_LE(expires, now + 3'600'000);
}

TEST_F(AsyncTest, IdsAndTimesThatMakeNoSenseAreRefused) {
  Producer producer = client.producer();
  const auto refusal = [&](OutgoingRecord wrong) {
    std::promise<std::error_code> told;
    std::string detail;
    producer.send({Topic{"orders"}, std::move(wrong)}, [&](std::error_code error, const Ack&) {
      detail = error_detail();
      told.set_value(error);
    });
    EXPECT_EQ(get(told.get_future()), ErrorCode::kInvalidRequest);
    return detail;
  };
  const std::string long_id(256, 'x');
  EXPECT_NE(refusal({.id = bytes("")}).find("use 1 to 255"), std::string::npos);
  EXPECT_NE(refusal({.id = bytes(long_id)}).find("256 bytes"), std::string::npos);
  EXPECT_NE(refusal({.deliver_at = Timestamp(5ms), .delay = 1s}).find("not both"),
            std::string::npos);
  EXPECT_NE(refusal({.expires_at = Timestamp(5ms), .ttl = 1s}).find("not both"), std::string::npos);
  EXPECT_NE(refusal({.delay = -1ms}).find("0 or more"), std::string::npos);
  EXPECT_NE(refusal({.ttl = std::chrono::milliseconds::max()}).find("6000"), std::string::npos);
}

TEST_F(AsyncTest, OneProducerSendsToManyTopicsInOrder) {
  constexpr int kTopics = 5, kEach = 200;
  for (int topic = 0; topic < kTopics; ++topic)
    get(client.admin().create_topic(Topic{"t" + std::to_string(topic)}, 1, asio::use_future));
  Producer producer = client.producer();
  std::atomic<int> failed{0};
  for (int i = 0; i < kTopics * kEach; ++i) {
    const std::string number = std::to_string(i);
    producer.send({Topic{"t" + std::to_string(i % kTopics)}, bytes(number)},
                  [&](std::error_code error, Ack) { failed += error ? 1 : 0; });
  }
  get(producer.flush(asio::use_future));
  EXPECT_EQ(failed, 0);
  for (int topic = 0; topic < kTopics; ++topic) {
    Consumer consumer = client.consumer({.topics = {"t" + std::to_string(topic)}});
    for (int i = 0; i < kEach;) {
      const SharedRecords records = get(consumer.poll(asio::use_future));
      for (const ConsumedRecord& record : records)
        EXPECT_EQ(as_text(*record.value), std::to_string(topic + kTopics * i++));
    }
  }
}

// As far as nothing changes; what does is in the tests of old records.
TEST_F(AsyncTest, TopicsAreConfiguredAndTrimmedWithAnyToken) {
  Admin admin = client.admin();
  const TopicPartition first{"orders", PartitionIndex(0)};
  run([](Admin& topics, TopicPartition where) -> asio::awaitable<void> {
    const TopicDescription same = co_await topics.configure_topic(Topic{"orders"}, TopicConfig{});
    EXPECT_EQ(same.config, TopicConfig());
    EXPECT_EQ(co_await topics.delete_records(where, Offset(0)), Offset(0));
    EXPECT_EQ(co_await topics.delete_records(where), Offset(0));
    auto [error, start] = co_await topics.delete_records(where, Offset(1), kTuple);
    EXPECT_EQ(error, ErrorCode::kOffsetOutOfRange);
    EXPECT_NE(error_detail().find("holds 0 to 0"), std::string::npos) << error_detail();
    const TopicConfig wrong{.retention = {.bytes = -2}};
    auto [refused, none] = co_await topics.configure_topic(Topic{"orders"}, wrong, kTuple);
    EXPECT_EQ(refused, ErrorCode::kInvalidRequest);
    const TopicDescription grown = co_await topics.add_partitions(
        Topic{"orders"}, static_cast<int>(same.partitions.size()) + 1);
    EXPECT_EQ(grown.partitions.size(), same.partitions.size() + 1);
    auto [fewer, no] = co_await topics.add_partitions(Topic{"orders"}, 0, kTuple);
    EXPECT_EQ(fewer, ErrorCode::kInvalidPartitionCount);
  }(admin, first));
  EXPECT_EQ(get(admin.delete_records(first, asio::use_future)), Offset(0));
}

TEST_F(AsyncTest, WhatNobodyIsToldOfMakesRoomToo) {
  auto waiting = server->connect_local().value();
  auto producer = waiting.producer(
      Topic{"orders"}, {.linger = 0ms, .buffer_bytes = 32 << 10, .delivery_timeout = 20s});
  ASSERT_TRUE(producer);
  const std::string value(1'000, 'v');
  for (int i = 0; i < 1'000; ++i)
    if (auto ok = (*producer)->send({.value = as_bytes(value)}); !ok)
      FAIL() << ok.error().message();
  EXPECT_TRUE((*producer)->flush());
}

TEST_F(AsyncTest, HandlersRunOnTheirOwnExecutorNeverInsideTheCall) {
  asio::io_context io;
  Producer producer = client.producer({.linger = 0ms});
  const auto here = std::this_thread::get_id();
  bool returned = false;
  int calls = 0;
  producer.send({Topic{"orders"}, bytes("x")}, asio::bind_executor(io, [&](std::error_code, Ack) {
                  EXPECT_EQ(std::this_thread::get_id(), here);
                  EXPECT_TRUE(returned);
                  ++calls;
                }));
  // Refused at once, told later all the same.
  Record astray(Topic{"orders"}, bytes("x"));
  const std::string large(9 << 20, 'x');
  astray.value = bytes(large);
  producer.send(astray, asio::bind_executor(io, [&](std::error_code error, Ack) {
                  EXPECT_EQ(error, ErrorCode::kBatchTooLarge);
                  EXPECT_TRUE(returned);
                  ++calls;
                }));
  returned = true;
  io.run_for(kHang);  // has work until both are told
  EXPECT_EQ(calls, 2);
}

TEST_F(AsyncTest, ErrorsAreCodesAndTheirDetailIsNotLost) {
  Admin admin = client.admin();
  try {
    get(admin.describe_topic(Topic{"nope"}, asio::use_future));
    ADD_FAILURE() << "found";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnknownTopic);
    EXPECT_EQ(error.code().category(), leat_category());
    EXPECT_NE(std::string(error.what()).find("'nope'"), std::string::npos) << error.what();
  }
  run([](Admin& topics) -> asio::awaitable<void> {
    auto [error, topic] = co_await topics.describe_topic(Topic{"nope"}, kTuple);
    EXPECT_EQ(error, ErrorCode::kUnknownTopic);
    EXPECT_FALSE(retryable(error));
    EXPECT_NE(error_detail().find("leat topic create nope"), std::string::npos);
    try {
      co_await topics.create_topic(Topic{"orders"}, 1);
      ADD_FAILURE() << "created";
    } catch (const std::system_error& thrown) {
      EXPECT_EQ(thrown.code(), ErrorCode::kTopicExists);
      EXPECT_NE(std::string(thrown.what()).find("'orders'"), std::string::npos) << thrown.what();
    }
  }(admin));
  EXPECT_TRUE(error_detail().empty());
  EXPECT_TRUE(retryable(make_error_code(ErrorCode::kTimedOut)));
  EXPECT_EQ(make_error_code(ErrorCode::kTimedOut), std::errc::timed_out);
  EXPECT_EQ(make_error_code(ErrorCode::kNotFound).message(), "not found");
}

TEST_F(AsyncTest, ConnectingFailsThroughTheToken) {
  const auto code = [](const std::string& broker) {
    try {
      get(Client::connect({.broker = broker}, asio::use_future));
    } catch (const std::system_error& error) {
      return error.code();
    }
    return std::error_code();
  };
  EXPECT_EQ(code("http://x"), ErrorCode::kInvalidAddress);
  EXPECT_EQ(code("unix://" + (directory / "nobody")), ErrorCode::kUnreachable);
}

TEST_F(AsyncTest, AWaitingReadCanBeCancelledAndLosesNothing) {
  Consumer consumer = client.consumer({.topics = {"orders"}});
  asio::io_context io;
  asio::cancellation_signal signal;
  std::error_code first;
  consumer.next(asio::bind_executor(
      io, asio::bind_cancellation_slot(
              signal.slot(), [&](std::error_code error, SharedRecord) { first = error; })));
  signal.emit(asio::cancellation_type::all);
  io.run_for(kHang);
  EXPECT_EQ(first, asio::error::operation_aborted);

  Producer producer = client.producer({.linger = 0ms});
  get(producer.send({Topic{"orders"}, bytes("kept")}, asio::use_future));
  EXPECT_EQ(as_text(*get(consumer.next(asio::use_future)).value), "kept");
  auto waiting = consumer.next(asio::use_future);
  auto second = consumer.next(asio::use_future);
  EXPECT_THROW(get(std::move(second)), std::system_error);  // one at a time
  get(consumer.close(asio::use_future));
  EXPECT_THROW(get(std::move(waiting)), std::system_error);
}

TEST_F(AsyncTest, WhatFailsInOnePartitionIsToldAndTheRestGoesOn) {
  Producer producer = client.producer({.linger = 0ms});
  for (const int partition : {0, 1}) {
    Record record(Topic{"orders"}, bytes("x"));
    record.partition = PartitionIndex(partition);
    get(producer.send(record, asio::use_future));
  }
  Consumer consumer = client.consumer({.topics = {"orders"}, .on_reset = OnReset::kError});
  get(consumer.next(asio::use_future));
  EXPECT_FALSE(consumer.seek({"orders", PartitionIndex(0)}, Offset(9)));
  EXPECT_EQ(consumer.seek({"orders", PartitionIndex(7)}, Offset(0)), ErrorCode::kUnknownPartition);
  bool told = false, read = false;
  while (!told || !read) {
    try {
      read = get(consumer.next(asio::use_future)).partition == PartitionIndex(1) || read;
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kOffsetOutOfRange);
      told = true;
    }
  }
  EXPECT_FALSE(consumer.seek({"orders", PartitionIndex(0)}, Offset(0)));
  EXPECT_EQ(get(consumer.next(asio::use_future)).offset, Offset(0));
}

// Two members: what the second gets the first gives back, committed, between two records.
TEST_F(AsyncTest, AGroupSharesPartitionsAndTellsOfIt) {
  std::mutex mutex;
  std::vector<std::string> events;
  const auto note = [&](std::string what, std::span<const TopicPartition> partitions) {
    const std::lock_guard lock(mutex);
    events.push_back(std::move(what) + std::to_string(partitions.size()));
  };
  Producer producer = client.producer({.linger = 0ms});
  const auto send = [&](int partition) {
    Record record(Topic{"orders"}, bytes("x"));
    record.partition = PartitionIndex(partition);
    get(producer.send(record, asio::use_future));
  };
  send(0);
  send(1);
  Consumer first;
  ConsumerOptions options{.topics = {"orders"}};
  options.on_assigned = [&](auto partitions) { note("assigned ", partitions); };
  options.on_revoked = [&](auto partitions) {
    note("revoked ", partitions);
    first.commit([](std::error_code error) { EXPECT_FALSE(error) << error.message(); });
  };
  first = client.consumer(Group{"team"}, options);
  for (int i = 0; i < 2; ++i) get(first.next(asio::use_future));
  auto waiting = first.next(asio::use_future);
  std::promise<void> shared;
  ConsumerOptions others{.topics = {"orders"}};
  others.on_assigned = [&](auto partitions) {
    EXPECT_EQ(partitions.size(), 1u);
    shared.set_value();
  };
  Consumer second = client.consumer(Group{"team"}, others);
  auto other = second.next(asio::use_future);
  get(shared.get_future());
  // Whichever partition moved, the second reads on behind what the first committed.
  send(0);
  send(1);
  EXPECT_EQ(get(std::move(waiting)).offset, Offset(1));
  EXPECT_EQ(get(std::move(other)).offset, Offset(1));
  EXPECT_EQ(first.assignment().size(), 1u);
  EXPECT_EQ(events, (std::vector<std::string>{"assigned 2", "revoked 1"}));
  get(first.close(asio::use_future));
  const auto group = get(client.admin().describe_group(Group{"team"}, asio::use_future));
  EXPECT_EQ(group.members.size(), 1u);
}

TEST_F(AsyncTest, CommitsByItselfOnlyWhatWasWorkedOn) {
  Producer producer = client.producer({.linger = 0ms});
  for (int i = 0; i < 3; ++i)
    get(producer.send({Topic{"orders"}, Key{"k"}, bytes("x")}, asio::use_future));
  {
    Consumer consumer = client.consumer(Group{"auto"}, {.topics = {"orders"}, .auto_commit = 1h});
    for (int i = 0; i < 2; ++i) get(consumer.next(asio::use_future));
    get(consumer.close(asio::use_future));  // the second may still be under work
  }
  Consumer consumer = client.consumer(Group{"auto"}, {.topics = {"orders"}});
  EXPECT_EQ(get(consumer.next(asio::use_future)).offset, Offset(1));
}

// The last handle goes in a handler, on the client's own thread.
TEST_F(AsyncTest, EverythingMayBeLetGoOfInAHandler) {
  auto producer = std::make_shared<Producer>(client.producer({.linger = 0ms}));
  auto consumer = std::make_shared<Consumer>(client.consumer({.topics = {"orders"}}));
  auto last = std::make_shared<Client>(std::exchange(client, Client()));
  std::promise<void> done;
  Producer& sender = *producer;
  sender.send({Topic{"orders"}, bytes("x")},
              [&, producer = std::move(producer), consumer = std::move(consumer),
               last = std::move(last)](std::error_code error, Ack) mutable {
                EXPECT_FALSE(error) << error.message();
                consumer.reset();
                producer.reset();
                last.reset();
                done.set_value();
              });
  get(done.get_future());
}

TEST_F(AsyncTest, RecordsOutliveTheConsumer) {
  get(client.producer({.linger = 0ms})
          .send({Topic{"orders"}, Key{"k"}, bytes("x")}, asio::use_future));
  SharedRecord record;
  {
    Consumer consumer = client.consumer({.topics = {"orders"}});
    record = get(consumer.next(asio::use_future));
  }
  EXPECT_EQ(as_text(*record.value), "x");
  EXPECT_EQ(as_text(*record.key), "k");
}

}  // namespace
}  // namespace leat
