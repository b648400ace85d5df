// Requests and replies over a broker, in the process and over a socket. Who answers is the test,
// by hand.
#include <future>
#include <set>

#include <asio.hpp>
#include <gtest/gtest.h>

#include "client/blocking.h"
#include "client/client.h"
#include "protocol/reserved_headers.h"
#include "server/server.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using namespace std::chrono_literals;

constexpr auto kHang = 60s;

template <class T>
T get(std::future<T> future) {
  if (future.wait_for(kHang) != std::future_status::ready) throw std::runtime_error("it hangs");
  return future.get();
}

// What it failed with: the code's name, and its text.
template <class T>
std::pair<std::error_code, std::string> failure(std::future<T> future) {
  try {
    get(std::move(future));
  } catch (const std::system_error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

enum class Over { kMemory, kSocket };

class RequestReplyTest : public ::testing::TestWithParam<Over> {
 protected:
  RequestReplyTest() {
    open();
    client = GetParam() == Over::kMemory
                 ? server->connect_local().value().async()
                 : get(Client::connect({.broker = server->listeners().front()}, asio::use_future));
    const TopicConfig brief{.durability = Durability::kMemory, .retention = {.time = 10min}};
    get(client.admin().create_topic(Topic{"quotes"}, 2, asio::use_future));
    get(client.admin().create_topic(Topic{"replies"}, 4, brief, asio::use_future));
    get(client.admin().create_topic(Topic{"narrow"}, 1, brief, asio::use_future));
    producer = client.producer({.linger = 0ms});
    consumer = client.consumer({.topics = {"quotes"}});
  }
  void open() {
    server.reset();
    ServerOptions options{.data_dir = directory / "data"};
    if (GetParam() == Over::kSocket) options.listen = {"unix://" + (directory / "leat")};
    auto opened = Server::open(std::move(options));
    ASSERT_TRUE(opened) << opened.error().message();
    server = std::move(*opened);
  }
  Requester requester(std::chrono::milliseconds timeout = kHang) {
    return client.requester({.reply_topic = "narrow", .timeout = timeout});
  }
  static std::future<SharedRecord> ask(Requester& requester, std::string_view what) {
    return requester.request({Topic{"quotes"}, Key{"42"}, bytes(what)}, asio::use_future);
  }
  SharedRecord next() { return get(consumer.next(asio::use_future)); }
  void answer(const SharedRecord& request, std::string_view with) {
    get(producer.reply(request, bytes(with), asio::use_future));
  }

  test::TemporaryDirectory directory;
  std::unique_ptr<Server> server;
  Client client;
  Producer producer;
  Consumer consumer;
};
INSTANTIATE_TEST_SUITE_P(, RequestReplyTest, ::testing::Values(Over::kMemory, Over::kSocket),
                         [](const auto& over) {
                           return over.param == Over::kMemory ? "InMemory" : "OverASocket";
                         });

TEST_P(RequestReplyTest, ARequestGetsItsReply) {
  Requester requester = client.requester({.reply_topic = "replies"});
  Record record(Topic{"quotes"}, Key{"42"}, bytes("tea"));
  record.headers = {{"currency", as_bytes("EUR")}};
  auto reply = requester.request(record, asio::use_future);
  const SharedRecord request = next();
  EXPECT_EQ(as_text(*request.key), "42");
  EXPECT_EQ(as_text(*request.value), "tea");
  EXPECT_EQ(as_text(*request.headers.find("currency")->value), "EUR");
  answer(request, "9.90");
  const SharedRecord got = get(std::move(reply));
  EXPECT_EQ(as_text(*got.value), "9.90");
  EXPECT_EQ(got.topic, "replies");
  EXPECT_EQ(requester.dropped(), 0u);
}

TEST_P(RequestReplyTest, CoroutinesAskAndAnswer) {
  const auto serve = [](Consumer& requests, Producer& replies) -> asio::awaitable<void> {
    const SharedRecord request = co_await requests.next();
    co_await replies.reply(request, bytes("9.90"));
  };
  const auto ask_price = [](Requester& asking) -> asio::awaitable<void> {
    const SharedRecord reply = co_await asking.request({Topic{"quotes"}, Key{"42"}, bytes("tea")});
    EXPECT_EQ(as_text(*reply.value), "9.90");
  };
  Requester asking = requester();
  asio::io_context io;
  int ended = 0;
  const auto end = [&](std::exception_ptr error) { ended += error ? 0 : 1; };
  asio::co_spawn(io, serve(consumer, producer), end);
  asio::co_spawn(io, ask_price(asking), end);
  io.run_for(kHang);
  EXPECT_EQ(ended, 2);
}

TEST_P(RequestReplyTest, EachReadsOnePartitionOfTheSharedTopic) {
  std::set<std::string> partitions, ids;
  for (int i = 0; i < 40; ++i) {
    Requester one = client.requester({.reply_topic = "replies"});
    auto reply = ask(one, "tea");
    const SharedRecord request = next();
    namespace names = reserved_headers;
    EXPECT_EQ(as_text(*request.headers.find(names::kReplyTo)->value), "replies");
    const auto partition = as_text(*request.headers.find(names::kReplyPartition)->value);
    partitions.emplace(partition);
    ids.emplace(as_text(*request.headers.find(names::kCorrelationId)->value));
    answer(request, "9.90");
    EXPECT_EQ(std::to_string(get(std::move(reply)).partition.value), partition);
  }
  EXPECT_GT(partitions.size(), 1u);
  EXPECT_EQ(ids.size(), 40u);
}

TEST_P(RequestReplyTest, TwoRequestersOnOnePartitionGetTheirOwnReplies) {
  Requester first = requester(), second = requester();
  auto tea = ask(first, "tea");
  const SharedRecord for_tea = next();
  auto coffee = ask(second, "coffee");
  const SharedRecord for_coffee = next();
  answer(for_coffee, "2.50");
  answer(for_tea, "9.90");
  EXPECT_EQ(as_text(*get(std::move(tea)).value), "9.90");
  EXPECT_EQ(as_text(*get(std::move(coffee)).value), "2.50");
  EXPECT_EQ(first.dropped(), 1u);
}

TEST_P(RequestReplyTest, ATimeOutSaysWhoDidNotAnswerAndTheLateReplyIsDropped) {
  Requester hasty = requester(1s);
  auto asked = std::chrono::steady_clock::now();
  const auto [code, text] = failure(ask(hasty, "tea"));
  EXPECT_GE(std::chrono::steady_clock::now() - asked, 1s);
  EXPECT_EQ(code, ErrorCode::kTimedOut);
  EXPECT_NE(text.find("no reply from 'quotes' within 1000 ms"), std::string::npos) << text;

  answer(next(), "late");
  auto second = ask(hasty, "coffee");
  const SharedRecord request = next();
  answer(request, "2.50");
  answer(request, "and once more");
  EXPECT_EQ(as_text(*get(std::move(second)).value), "2.50");
  auto third = ask(hasty, "water");
  answer(next(), "1.10");
  EXPECT_EQ(as_text(*get(std::move(third)).value), "1.10");
  EXPECT_EQ(hasty.dropped(), 2u);
}

TEST_P(RequestReplyTest, ARequestCanBeCancelledAndTheOthersGoOn) {
  Requester asking = requester();
  asio::io_context io;
  asio::cancellation_signal signal;
  std::error_code cancelled;
  auto other = ask(asking, "coffee");
  const SharedRecord for_coffee = next();
  asking.request(
      {Topic{"quotes"}, bytes("tea")},
      asio::bind_executor(
          io, asio::bind_cancellation_slot(
                  signal.slot(), [&](std::error_code error, SharedRecord) { cancelled = error; })));
  const SharedRecord for_tea = next();
  signal.emit(asio::cancellation_type::all);
  io.run_for(kHang);
  EXPECT_EQ(cancelled, asio::error::operation_aborted);
  answer(for_tea, "9.90");
  answer(for_coffee, "2.50");
  EXPECT_EQ(as_text(*get(std::move(other)).value), "2.50");
  EXPECT_EQ(asking.dropped(), 1u);
}

TEST_P(RequestReplyTest, WhatIsNoRequestCannotBeAnswered) {
  get(producer.send({Topic{"quotes"}, bytes("just so")}, asio::use_future));
  const auto [code, text] = failure(producer.reply(next(), bytes("9.90"), asio::use_future));
  EXPECT_EQ(code, ErrorCode::kInvalidRequest);
  EXPECT_NE(text.find("asks for no reply"), std::string::npos) << text;
}

TEST_P(RequestReplyTest, ClosingFailsWhatWaits) {
  std::future<SharedRecord> waiting, unsent;
  {
    Requester asking = requester();
    waiting = ask(asking, "tea");
    next();
    unsent = ask(asking, "coffee");
  }
  EXPECT_EQ(failure(std::move(waiting)).first, ErrorCode::kClosed);
  EXPECT_EQ(failure(std::move(unsent)).first, ErrorCode::kClosed);
}

TEST_P(RequestReplyTest, ItMayBeLetGoOfInItsHandlers) {
  constexpr int kRequests = 10;
  auto asking = std::make_shared<Requester>(requester());
  std::promise<void> done;
  int told = 0;  // the client's thread
  for (int i = 0; i < kRequests; ++i)
    asking->request({Topic{"quotes"}, bytes("tea")}, [&](std::error_code error, SharedRecord) {
      EXPECT_EQ(error, told == 0 ? std::error_code() : ErrorCode::kClosed) << error.message();
      if (++told == kRequests) done.set_value();
      asking.reset();
    });
  answer(next(), "9.90");
  get(done.get_future());
  get(client.ping(asio::use_future));  // by now the handlers have returned
}

TEST_P(RequestReplyTest, AThousandAtOnceAndNotOneMore) {
  constexpr int kRequests = 1'000;
  Requester asking = client.requester({.reply_topic = "replies", .timeout = kHang});
  std::vector<std::future<SharedRecord>> replies;
  for (int i = 0; i < kRequests; ++i) replies.push_back(ask(asking, std::to_string(i)));
  const auto [code, text] = failure(ask(asking, "one more"));
  EXPECT_EQ(code, ErrorCode::kQueueFull);
  EXPECT_NE(text.find("max_in_flight"), std::string::npos) << text;
  for (int i = 0; i < kRequests; ++i) {
    const SharedRecord request = next();
    producer.reply(request, *request.value,
                   [](std::error_code error, Ack) { EXPECT_FALSE(error) << error.message(); });
  }
  for (int i = 0; i < kRequests; ++i)
    EXPECT_EQ(as_text(*get(std::move(replies[static_cast<std::size_t>(i)])).value),
              std::to_string(i));
  EXPECT_EQ(asking.dropped(), 0u);
  auto again = ask(asking, "there is room");
  answer(next(), "there is");
  get(std::move(again));
}

TEST_P(RequestReplyTest, WhatSendingFailsWithTheRequestFailsWith) {
  Requester asking = requester();
  EXPECT_EQ(failure(asking.request({Topic{"nope"}, bytes("x")}, asio::use_future)).first,
            ErrorCode::kUnknownTopic);
  const std::string large(9 << 20, 'x');
  EXPECT_EQ(failure(ask(asking, large)).first, ErrorCode::kBatchTooLarge);
}

TEST_P(RequestReplyTest, AReplyTopicThatIsNotThereIsLookedForAgain) {
  Requester asking = client.requester({.reply_topic = "later", .timeout = kHang});
  const auto [code, text] = failure(ask(asking, "tea"));
  EXPECT_EQ(code, ErrorCode::kUnknownTopic);
  EXPECT_NE(text.find("'later'"), std::string::npos) << text;
  const auto create = [&] {
    get(client.admin().create_topic(Topic{"later"}, 1, asio::use_future));
  };
  create();
  auto reply = ask(asking, "tea");
  const SharedRecord request = next();
  answer(request, "9.90");
  EXPECT_EQ(as_text(*get(std::move(reply)).value), "9.90");

  auto lost = ask(asking, "coffee");
  next();
  get(client.admin().delete_topic(Topic{"later"}, asio::use_future));
  EXPECT_EQ(failure(std::move(lost)).first, ErrorCode::kUnknownTopic);
  create();
  reply = ask(asking, "water");
  answer(next(), "1.10");
  EXPECT_EQ(as_text(*get(std::move(reply)).value), "1.10");
}

TEST_P(RequestReplyTest, WhileTheBrokerIsAwayEachWaitsUntilItsTimeIsUp) {
  if (GetParam() == Over::kMemory) GTEST_SKIP() << "the broker is never away";
  const ClientOptions options{.broker = server->listeners().front(), .request_timeout = 300ms};
  const Client impatient = get(Client::connect(options, asio::use_future));
  server.reset();
  Requester hasty = impatient.requester({.reply_topic = "narrow", .timeout = 200ms});
  Requester patient = impatient.requester({.reply_topic = "narrow", .timeout = kHang});
  auto reply = ask(patient, "tea");
  const auto [code, text] = failure(ask(hasty, "tea"));
  EXPECT_EQ(code, ErrorCode::kTimedOut);
  EXPECT_NE(text.find("nothing was sent to 'quotes' within 200 ms"), std::string::npos) << text;
  EXPECT_EQ(reply.wait_for(500ms), std::future_status::timeout);  // asked in vain more than once
  open();
  answer(next(), "9.90");
  EXPECT_EQ(as_text(*get(std::move(reply)).value), "9.90");
}

TEST_P(RequestReplyTest, ARestartOfTheBrokerLosesNoReply) {
  Requester asking = requester();
  auto reply = ask(asking, "tea");
  const SharedRecord request = next();
  if (GetParam() == Over::kMemory) {  // it does not come back
    server->close();
    EXPECT_EQ(failure(std::move(reply)).first, ErrorCode::kShuttingDown);
    EXPECT_EQ(failure(ask(asking, "coffee")).first, ErrorCode::kShuttingDown);
    return;
  }
  open();
  answer(request, "9.90");
  EXPECT_EQ(as_text(*get(std::move(reply)).value), "9.90");
}

}  // namespace
}  // namespace leat
