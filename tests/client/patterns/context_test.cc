// The context of a message in the outbox: it travels with the event, to whoever publishes it.
#include <gtest/gtest.h>

#include "client/context/message_context.h"
#include "client/patterns/outbox.h"
#include "client/patterns/relay/outbox_row.h"
#include "tests/client/patterns/databases.h"

namespace leat::patterns {
namespace {

constexpr std::string_view kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

class ContextTest : public Databases {
 protected:
  void SetUp() override {
    Databases::SetUp();
    outbox.emplace(Outbox::open(db()).value());
  }
  void add(const std::vector<RecordHeader>& headers = {}) {
    ASSERT_TRUE(db().begin());
    const auto id = outbox->add(
        {.aggregate_type = "order", .aggregate_id = "42", .type = "OrderPaid", .headers = headers});
    ASSERT_TRUE(id) << id.error().message();
    ASSERT_TRUE(db().commit());
  }
  // The newest event's headers as its record has them, as NAME=VALUE.
  std::vector<std::string> published() {
    const auto rows =
        db().execute("SELECT headers, traceparent FROM leat_outbox ORDER BY sequence DESC").value();
    OutboxRow row{.id = "b4bf3ee5-c3ba-44ea-9ebd-5bb2b7a1e4cb", .aggregate_type = "order"};
    row.headers = rows.text(0, 0);
    if (!rows.is_null(0, 1)) row.traceparent = rows.text(0, 1);
    const auto routed = RoutedRow::route(row, "orders");
    EXPECT_TRUE(routed);
    std::vector<std::string> all;
    for (const RecordHeader& header : routed->record().headers)
      if (header.key != "type")
        all.push_back(std::string(header.key) + "=" + std::string(as_text(*header.value)));
    std::ranges::sort(all);
    return all;
  }

  std::optional<Outbox> outbox;
};
LEAT_ON_EVERY_DATABASE(ContextTest);

TEST_P(ContextTest, AnEventHasThatOfTheThreadsScope) {
  add();
  EXPECT_TRUE(published().empty());
  const MessageContext context{"flow-1", "order-7", parse_traceparent(kParent), "a=1"};
  const MessageScope scope(std::make_shared<MessageContext>(context));
  add();
  const std::string trace = "traceparent=" + std::string(kParent);
  EXPECT_EQ(published(),
            (std::vector<std::string>{"leat-causation-id=order-7", "leat-correlation-id=flow-1",
                                      trace, "tracestate=a=1"}));
}

TEST_P(ContextTest, WhatTheEventSaysItselfStands) {
  const MessageScope scope(std::make_shared<MessageContext>(MessageContext::begin("flow-1")));
  add({{"leat-correlation-id", as_bytes("flow-2")}, {"mine", as_bytes("x")}});
  EXPECT_EQ(published(), (std::vector<std::string>{"leat-correlation-id=flow-2", "mine=x"}));
}

}  // namespace
}  // namespace leat::patterns
