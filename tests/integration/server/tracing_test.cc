// One trace through client and broker, over sockets: what is sent, appended and processed hangs
// together, whatever becomes of the record.
#include <future>

#include <asio.hpp>
#include <gtest/gtest.h>

#include "client/blocking.h"
#include "client/client.h"
#include "protocol/reserved_headers.h"
#include "server/server.h"
#include "tests/temporary_directory.h"
#include "tests/trace_collector.h"

namespace leat {
namespace {
namespace names = reserved_headers;

using namespace std::chrono_literals;
using test::SeenSpan;

constexpr auto kHang = 60s;
// The kinds of OTLP, by number.
constexpr const char *kServer = "2", *kProducer = "4", *kConsumer = "5";

template <class T>
T get(std::future<T> future) {
  if (future.wait_for(kHang) != std::future_status::ready) throw std::runtime_error("it hangs");
  return future.get();
}

std::string header(const ConsumedRecord& record, std::string_view name) {
  const auto found = record.headers.find(name);
  return found && found->value ? std::string(as_text(*found->value)) : std::string();
}

class TracingTest : public ::testing::Test {
 protected:
  TracingTest() {
    open();
    for (const char* topic : {"orders", "payments", "replies"}) create(topic);
  }
  void open(double sample = 1.0) {
    client = {};
    server.reset();
    server = Server::open({.data_dir = directory / "data",
                           .listen = {"unix://" + (directory / "leat")},
                           .trace = {.endpoint = collector.endpoint()}})
                 .value();
    client = connect({.endpoint = collector.endpoint(), .service_name = "shop", .sample = sample});
  }
  Client connect(TraceOptions trace = {}) {
    ClientOptions options{.broker = server->listeners().front()};
    options.trace = std::move(trace);
    return get(Client::connect(options, asio::use_future));
  }
  void create(const std::string& topic) {
    get(client.admin().create_topic(Topic{topic}, 1, asio::use_future));
  }
  Consumer shared(const Client& of, const std::string& topic, std::uint32_t max_deliveries = 0) {
    ConsumerOptions options{.topics = {topic}, .kind = GroupKind::kShared};
    options.max_deliveries = max_deliveries;
    return of.consumer(Group{"shippers"}, options);
  }
  void send(const std::string& topic, OutgoingRecord record = {}) {
    Producer producer = client.producer({.linger = 0ms});
    get(producer.send(Record(Topic{topic}, std::move(record)), asio::use_future));
  }
  // All that was exported, once client and broker are gone.
  std::vector<SeenSpan> spans() {
    client = {};
    server.reset();
    return collector.spans();
  }
  static std::vector<SeenSpan> of_kind(const std::vector<SeenSpan>& all, const std::string& kind) {
    std::vector<SeenSpan> found;
    for (const SeenSpan& span : all)
      if (span.kind == kind) found.push_back(span);
    return found;
  }

  test::TraceCollector collector;
  test::TemporaryDirectory directory;
  std::unique_ptr<Server> server;
  Client client;
};

TEST_F(TracingTest, SendAppendAndProcessShareATraceWithTheRightParents) {
  send("orders", {.value = as_bytes("tea"), .id = as_bytes("order-7")});
  {
    Consumer consumer = shared(client, "orders");
    const SharedRecord record = get(consumer.next(asio::use_future));
    get(record.ack(asio::use_future));
    // What the record causes is sent below the span that processes it.
    Producer producer = client.producer({.linger = 0ms});
    get(producer.send(continuing(record, {Topic{"payments"}, bytes("9.90")}), asio::use_future));
  }
  const auto all = spans();
  const auto sent = of_kind(all, kProducer), appended = of_kind(all, kServer),
             processed = of_kind(all, kConsumer);
  ASSERT_EQ(sent.size(), 2u);
  ASSERT_EQ(appended.size(), 2u);
  ASSERT_EQ(processed.size(), 1u);
  EXPECT_EQ(sent[0].name, "send orders");
  EXPECT_EQ(sent[0].parent, "");
  EXPECT_EQ(sent[0]["messaging.system"], "leat");
  EXPECT_EQ(sent[0]["messaging.operation.type"], "send");
  EXPECT_EQ(sent[0]["messaging.destination.name"], "orders");
  EXPECT_EQ(sent[0]["messaging.destination.partition.id"], "0");
  EXPECT_EQ(sent[0]["messaging.message.id"], "order-7");
  EXPECT_EQ(sent[0]["messaging.leat.offset"], "0");
  EXPECT_EQ(processed[0].name, "process orders");
  EXPECT_EQ(processed[0].parent, sent[0].id);
  EXPECT_EQ(processed[0]["messaging.operation.type"], "process");
  EXPECT_EQ(processed[0]["messaging.consumer.group.name"], "shippers");
  EXPECT_EQ(processed[0]["messaging.message.id"], "order-7");
  EXPECT_EQ(processed[0]["messaging.leat.outcome"], "ack");
  EXPECT_EQ(sent[1].name, "send payments");
  EXPECT_EQ(sent[1].parent, processed[0].id);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto one = std::find_if(appended.begin(), appended.end(),
                                  [&](const SeenSpan& span) { return span.parent == sent[i].id; });
    ASSERT_NE(one, appended.end());
    EXPECT_EQ((*one)["messaging.leat.durability"], "sync");
    EXPECT_EQ((*one)["messaging.leat.offset"], "0");
  }
  for (const SeenSpan& span : all) {
    EXPECT_EQ(span.trace, sent[0].trace) << span.json;
    EXPECT_FALSE(span.failed()) << span.json;
  }
}

TEST_F(TracingTest, WhatAHandlerSendsContinuesTheFlowByItself) {
  OutgoingRecord order{.value = as_bytes("tea"), .id = as_bytes("order-7")};
  order.context = std::make_shared<MessageContext>(MessageContext::begin("flow-1"));
  send("orders", order);
  {
    Consumer consumer = client.consumer({.topics = {"orders"}});
    Producer producer = client.producer({.linger = 0ms});
    std::promise<std::error_code> stored;
    consumer.next([&](std::error_code error, const SharedRecord&) {
      if (error) return stored.set_value(error);
      producer.send({Topic{"payments"}, bytes("9.90")},
                    [&](std::error_code failed, const Ack&) { stored.set_value(failed); });
    });
    EXPECT_FALSE(get(stored.get_future()));
    Consumer payments = client.consumer({.topics = {"payments"}});
    const SharedRecord paid = get(payments.next(asio::use_future));
    EXPECT_EQ(header(paid, names::kCorrelationId), "flow-1");
    EXPECT_EQ(header(paid, names::kCausationId), "order-7");
  }
  const auto all = spans();
  const auto sent = of_kind(all, kProducer), processed = of_kind(all, kConsumer);
  ASSERT_EQ(sent.size(), 2u);
  const auto order_processed =
      std::find_if(processed.begin(), processed.end(),
                   [](const SeenSpan& span) { return span.name == "process orders"; });
  ASSERT_NE(order_processed, processed.end());
  EXPECT_EQ(sent[1].parent, order_processed->id);
  EXPECT_EQ(sent[1].trace, sent[0].trace);
  EXPECT_EQ(sent[1]["messaging.message.conversation_id"], "flow-1");
}

TEST_F(TracingTest, RetryAndDeadLetterKeepTheContext) {
  OutgoingRecord order{.value = as_bytes("tea"), .id = as_bytes("order-7")};
  order.context = std::make_shared<MessageContext>(MessageContext::begin("flow-1"));
  create("orders.dlq");
  send("orders", order);
  std::string parent;
  {
    Consumer consumer = shared(client, "orders", 2);
    for (int attempt = 1; attempt <= 2; ++attempt) {
      const SharedRecord record = get(consumer.next(asio::use_future));
      EXPECT_EQ(record.attempt(), static_cast<std::uint32_t>(attempt));
      EXPECT_EQ(header(record, names::kCorrelationId), "flow-1");
      if (attempt == 1) parent = header(record, names::kTraceParent);
      EXPECT_EQ(header(record, names::kTraceParent), parent);
      get(record.nack(0ms, asio::use_future));
    }
    Consumer letters = client.consumer({.topics = {"orders.dlq"}});
    const SharedRecord letter = get(letters.next(asio::use_future));
    EXPECT_EQ(header(letter, names::kCorrelationId), "flow-1");
    EXPECT_EQ(header(letter, names::kTraceParent), parent);
    EXPECT_FALSE(header(letter, names::kDeadReason).empty());
  }
  const auto all = spans();
  const auto sent = of_kind(all, kProducer), processed = of_kind(all, kConsumer);
  ASSERT_EQ(sent.size(), 1u);
  ASSERT_EQ(processed.size(), 3u);  // both attempts, and the letter
  for (const SeenSpan& span : processed) {
    EXPECT_EQ(span.trace, sent[0].trace);
    EXPECT_EQ(span.parent, sent[0].id);
  }
  EXPECT_TRUE(processed[0].failed());
  EXPECT_EQ(processed[0]["messaging.leat.outcome"], "nack");
  EXPECT_EQ(processed[1]["messaging.leat.attempt"], "2");
}

TEST_F(TracingTest, ARequestAndItsReplyAreOfTheFlowAndKeepTheirOwnId) {
  {
    Requester requester = client.requester({.reply_topic = "replies", .timeout = kHang});
    Consumer consumer = client.consumer({.topics = {"orders"}});
    Producer producer = client.producer({.linger = 0ms});
    std::future<SharedRecord> asked;
    {
      const MessageScope scope(std::make_shared<MessageContext>(MessageContext::begin("flow-1")));
      asked = requester.request({Topic{"orders"}, bytes("tea?")}, asio::use_future);
    }
    const SharedRecord request = get(consumer.next(asio::use_future));
    EXPECT_NE(header(request, names::kCorrelationId), "flow-1");
    EXPECT_EQ(MessageContext::from_record(request).correlation_id, "flow-1");
    get(producer.reply(request, bytes("9.90"), asio::use_future));
    const SharedRecord reply = get(std::move(asked));
    EXPECT_EQ(header(reply, names::kCorrelationId), header(request, names::kCorrelationId));
    const auto context = MessageContext::from_record(reply);
    EXPECT_EQ(context.correlation_id, "flow-1");
    EXPECT_EQ(context.causation_id, causation_id_of(request));
    EXPECT_EQ(context.trace->trace, MessageContext::from_record(request).trace->trace);
    // Without a flow the request's own id is what its consequences are known by.
    asked = requester.request({Topic{"orders"}, bytes("milk?")}, asio::use_future);
    const SharedRecord alone = get(consumer.next(asio::use_future));
    EXPECT_EQ(MessageContext::child_of(alone).correlation_id, header(alone, names::kCorrelationId));
    EXPECT_EQ(header(alone, names::kFlowId), "");
    get(producer.reply(alone, bytes("2.90"), asio::use_future));
    get(std::move(asked));
  }
  // Reading replies is the requester's own business.
  for (const SeenSpan& span : of_kind(spans(), kConsumer))
    EXPECT_EQ(span["messaging.destination.name"], "orders");
}

TEST_F(TracingTest, ABatchHasOneSpanWithLinksAndLeasedRecordsHaveTheirOwn) {
  {
    Producer producer = client.producer({.linger = 50ms});
    std::vector<std::future<Ack>> acks;
    for (int i = 0; i < 3; ++i)
      acks.push_back(producer.send({Topic{"orders"}, bytes("tea")}, asio::use_future));
    for (auto& ack : acks) get(std::move(ack));
    Consumer reader = client.consumer({.topics = {"orders"}});
    ASSERT_EQ(get(reader.poll(asio::use_future)).size(), 3u);
    Consumer consumer = shared(client, "orders");
    const SharedRecords records = get(consumer.poll(asio::use_future));
    ASSERT_EQ(records.size(), 3u);
    get(records[0].ack(asio::use_future));
    get(records[1].reject("sour", asio::use_future));
    get(records.ack_all(asio::use_future));
  }
  const auto all = spans();
  const auto sent = of_kind(all, kProducer);
  auto processed = of_kind(all, kConsumer);
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(of_kind(all, kServer).size(), 3u);
  ASSERT_EQ(processed.size(), 4u);
  const auto batch = std::find_if(processed.begin(), processed.end(), [](const SeenSpan& span) {
    return !span["messaging.batch.message_count"].empty();
  });
  ASSERT_NE(batch, processed.end());
  EXPECT_EQ((*batch)["messaging.batch.message_count"], "3");
  EXPECT_EQ(batch->parent, "");
  for (const SeenSpan& span : sent)
    EXPECT_NE(batch->json.find("{\"traceId\":\"" + span.trace + "\",\"spanId\":\"" + span.id),
              std::string::npos);
  processed.erase(batch);
  for (const SeenSpan& span : sent) {
    const auto one = std::find_if(processed.begin(), processed.end(),
                                  [&](const SeenSpan& other) { return other.parent == span.id; });
    ASSERT_NE(one, processed.end());
    EXPECT_EQ(one->trace, span.trace);
    const bool second = (*one)["messaging.leat.offset"] == "1";
    EXPECT_EQ((*one)["messaging.leat.outcome"], second ? "reject" : "ack");
    EXPECT_EQ(one->failed(), second);
  }
}

TEST_F(TracingTest, WhatIsNotSampledIsNotExportedAndSaysSo) {
  open(0);
  send("orders");
  {
    Consumer consumer = client.consumer({.topics = {"orders"}});
    const SharedRecord record = get(consumer.next(asio::use_future));
    const auto trace = MessageContext::from_record(record).trace;
    ASSERT_TRUE(trace);
    EXPECT_FALSE(trace->sampled());
  }
  EXPECT_TRUE(spans().empty());
}

TEST_F(TracingTest, WithoutOptionsNothingIsAddedAndTracesOfOthersGoOn) {
  client = connect();
  send("orders", {.value = as_bytes("plain")});
  const std::string theirs = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  send("orders", {.headers = {{names::kTraceParent, as_bytes(theirs)}}});
  send("orders", {.headers = {{names::kTraceParent, as_bytes("00-garbage")},
                              {names::kTraceState, as_bytes("\xff\xff")}}});
  {
    Consumer consumer = client.consumer({.topics = {"orders"}});
    EXPECT_TRUE(get(consumer.next(asio::use_future)).headers.empty());
    const SharedRecord traced = get(consumer.next(asio::use_future));
    EXPECT_EQ(header(traced, names::kTraceParent), theirs);
    const SharedRecord hostile = get(consumer.next(asio::use_future));
    EXPECT_EQ(header(hostile, names::kTraceParent), "00-garbage");  // stored as it came
  }
  const auto all = spans();
  ASSERT_EQ(all.size(), 1u);  // the broker's, of the one that is traced
  EXPECT_EQ(all[0].kind, kServer);
  EXPECT_EQ(all[0].parent, "b7ad6b7169203331");
}

TEST_F(TracingTest, AFailedSendSaysWhy) {
  Producer producer = client.producer();
  EXPECT_THROW(get(producer.send({Topic{"nowhere"}, bytes("x")}, asio::use_future)),
               std::system_error);
  producer = {};
  const auto all = spans();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_TRUE(all[0].failed());
  EXPECT_EQ(all[0]["error.type"], "UnknownTopic");
}

TEST_F(TracingTest, ACollectorThatIsAwayHoldsNothingUp) {
  std::string away;
  {
    const test::TraceCollector gone;
    away = gone.endpoint();
  }
  server.reset();
  server = Server::open({.data_dir = directory / "data",
                         .listen = {"unix://" + (directory / "leat")},
                         .trace = {.endpoint = away, .attempts = 1}})
               .value();
  client = connect({.endpoint = away, .queue_spans = 8, .attempts = 1});
  for (int i = 0; i < 50; ++i) send("orders");
  Consumer consumer = client.consumer({.topics = {"orders"}});
  for (int i = 0; i < 50; ++i) get(consumer.next(asio::use_future));
  EXPECT_TRUE(client.flush_traces(kHang));
  // All but the last, which is still being processed.
  EXPECT_EQ(client.trace_stats().dropped, 99u);
  EXPECT_EQ(client.trace_stats().exported, 0u);
}

TEST_F(TracingTest, ABadEndpointIsToldWhereItIsGiven) {
  const auto opened =
      Server::open({.data_dir = directory / "other", .trace = {.endpoint = "ftp:"}});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error(), ErrorCode::kInvalidAddress);
  EXPECT_THROW(connect({.endpoint = "https://x"}), std::system_error);
  EXPECT_THROW(connect({.endpoint = "file:///nowhere/at/all"}), std::system_error);
  const auto blocking = blocking::Client::connect(
      {.broker = server->listeners().front(), .trace = {.endpoint = "https://x"}});
  ASSERT_FALSE(blocking);
  EXPECT_NE(blocking.error().detail.find("wants TLS"), std::string::npos);
}

}  // namespace
}  // namespace leat
