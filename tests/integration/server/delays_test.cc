// Delayed records, and those that expire, from a producer to the members of a group: sockets, a
// restart, dead letters. Deadlines only detect hangs; what comes is told by the records.
#include <algorithm>

#include <gtest/gtest.h>

#include "client/blocking.h"
#include "protocol/base/clock.h"
#include "protocol/reserved_headers.h"
#include "server/server.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using namespace std::chrono_literals;
constexpr auto kHang = 60s;

Timestamp now() {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

class DelaysTest : public ::testing::TestWithParam<GroupKind> {
 protected:
  DelaysTest() {
    open();
    EXPECT_TRUE(client->create_topic("orders", 2));
  }
  void open() {
    client.reset();
    server.reset();
    server =
        Server::open({.data_dir = directory / "data", .listen = {"leat://127.0.0.1:0"}}).value();
    client.emplace(blocking::Client::connect({.broker = server->listeners().front()}).value());
  }
  void send(std::string_view value, OutgoingRecord record = {}) {
    auto producer = client->producer(Topic{"orders"}).value();
    record.value = bytes(value);
    record.key = bytes("k");
    ASSERT_TRUE(producer->send_and_wait(record));
  }
  // The group's records, until so many have come; each is acked.
  std::vector<std::string> take(std::size_t records, const std::string& topic = "orders") {
    auto consumer = client
                        ->consumer({.topics = {topic},
                                    .group = Group{"g"},
                                    .kind = GetParam(),
                                    .dead_letter_expired = true})
                        .value();
    std::vector<std::string> taken;
    while (taken.size() < records) {
      const auto polled = consumer->poll(kHang);
      EXPECT_TRUE(polled && !polled->empty());
      if (!polled || polled->empty()) return taken;
      for (const ConsumedRecord& record : *polled) {
        if (const auto at = record.headers.find(reserved_headers::kDeliverAt)) {
          EXPECT_LE(std::stoll(std::string(as_text(*at->value))), now().time_since_epoch().count());
        }
        taken.emplace_back(as_text(*record.value));
        EXPECT_TRUE(consumer->ack(record));
      }
    }
    return taken;
  }

  test::TemporaryDirectory directory;
  std::unique_ptr<Server> server;
  std::optional<blocking::Client> client;
};

INSTANTIATE_TEST_SUITE_P(Kinds, DelaysTest,
                         ::testing::Values(GroupKind::kShared, GroupKind::kKeyShared),
                         [](const auto& kind) { return std::string(name_of(kind.param)); });

TEST_P(DelaysTest, ADelayedRecordComesBehindAnotherAndAfterARestart) {
  send("later", {.delay = 1'500ms});
  send("at once");
  auto taken = take(1);
  open();
  while (taken.size() < 2)
    for (const std::string& value : take(1)) taken.push_back(value);
  std::ranges::sort(taken);
  EXPECT_EQ(taken, (std::vector<std::string>{"at once", "later"}));
}

TEST_P(DelaysTest, WhatExpiredBecomesADeadLetterAndTheNextComes) {
  send("too old", {.expires_at = now() - 1s});
  send("in time", {.ttl = 1h});
  EXPECT_EQ(take(1), std::vector<std::string>{"in time"});
  ASSERT_TRUE(client->create_topic("orders.dlq", 1, true));  // the letter may be on its way
  EXPECT_EQ(take(1, "orders.dlq"), std::vector<std::string>{"too old"});
}

TEST_P(DelaysTest, WhoReadsPartitionsSeesEverythingAtOnce) {
  send("later", {.delay = 1h});
  send("too old", {.expires_at = now() - 1s});
  auto consumer = client->consumer({.topics = {"orders"}, .by_hand = true}).value();
  std::size_t seen = 0;
  while (seen < 2) {
    const auto records = consumer->poll(kHang);
    ASSERT_TRUE(records && !records->empty());
    seen += records->size();
  }
}

TEST_P(DelaysTest, ATimeThatIsNoneIsRefused) {
  auto producer = client->producer(Topic{"orders"}).value();
  const auto ack = producer->send_and_wait(
      {.value = bytes("v"), .headers = {{reserved_headers::kDeliverAt, bytes("tomorrow")}}});
  ASSERT_FALSE(ack);
  EXPECT_EQ(ack.error(), ErrorCode::kInvalidBatch);
  EXPECT_NE(ack.error().detail.find("milliseconds since 1970"), std::string::npos);
}

}  // namespace
}  // namespace leat
