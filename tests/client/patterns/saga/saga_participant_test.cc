#include "client/patterns/saga/saga_participant.h"

#include <thread>

#include <gmock/gmock.h>

#include "protocol/reserved_headers.h"
#include "tests/client/patterns/databases.h"
#include "tests/client/patterns/saga/outbox_messages.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

SomeRecord command(const std::string& step, const std::string& saga = "o1") {
  SomeRecord record(1);
  record.header(reserved_headers::kCorrelationId, saga)
      .header(reserved_headers::kSaga, "order")
      .header(reserved_headers::kSagaStep, step)
      .header(reserved_headers::kReplyTo, "order-saga")
      .header("leat-flow-id", "visit-7")
      .header("traceparent", "00-t-s-01")
      .value("two of it");
  return record;
}

class SagaParticipantTest : public Databases {
 protected:
  void SetUp() override {
    Databases::SetUp();
    ASSERT_TRUE(db().run_script("CREATE TABLE effect (what TEXT NOT NULL)"));
    participant_.emplace(participant(db()));
  }
  static SagaParticipant participant(Database& database) {
    auto opened = SagaParticipant::open(database, *Outbox::open(database), "stock");
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message());
    return std::move(*opened);
  }
  // Its answer: "ok: 1 done".
  std::string handle(const std::string& step, bool refuse = false) {
    auto tx = Transaction::begin(db());
    EXPECT_TRUE(tx);
    const SomeRecord record = command(step);
    auto handled = participant_->handle(record, [&](const SagaTask& task) -> Result<SagaAnswer> {
      ++runs_;
      EXPECT_EQ(as_text(task.payload), "two of it");
      EXPECT_EQ(task.saga, "o1");
      EXPECT_TRUE(db().execute("INSERT INTO effect VALUES ($1)", {task.undo ? "undo" : "do"}));
      if (refuse) return SagaAnswer::failed("no");
      return SagaAnswer::ok(std::to_string(runs_) + (task.undo ? " undone" : " done"));
    });
    EXPECT_TRUE(handled) << handled.error().message();
    EXPECT_TRUE(tx->commit());
    return answer();
  }
  std::string answer() {
    const auto answers = take_outbox(db());
    EXPECT_EQ(answers.size(), 1u);
    if (answers.size() != 1) return "";
    reply_ = answers[0];
    return reply_.header(reserved_headers::kSagaReply) + ": " + reply_.value;
  }
  std::int64_t effects(const char* what) {
    return number("SELECT count(*) FROM effect WHERE what = '" + std::string(what) + "'");
  }

  std::optional<SagaParticipant> participant_;
  Message reply_;
  int runs_ = 0;
};
LEAT_ON_EVERY_DATABASE(SagaParticipantTest);

TEST_P(SagaParticipantTest, AnswersWhereItIsAskedTo) {
  EXPECT_EQ(handle("reserve/1"), "ok: 1 done");
  EXPECT_EQ(reply_.topic, "order-saga");
  EXPECT_EQ(reply_.key, "o1");
  EXPECT_EQ(reply_.header("leat-correlation-id"), "o1");
  EXPECT_EQ(reply_.header("leat-saga"), "order");
  EXPECT_EQ(reply_.header("leat-saga-step"), "reserve/1");
  EXPECT_EQ(reply_.header("leat-flow-id"), "visit-7");
  EXPECT_EQ(reply_.header("traceparent"), "00-t-s-01");
  EXPECT_EQ(reply_.header("leat-reply-to"), "");
}

TEST_P(SagaParticipantTest, DoesOnceWhatItIsAskedAgain) {
  EXPECT_EQ(handle("reserve/1"), "ok: 1 done");
  EXPECT_EQ(handle("reserve/2"), "ok: 1 done");
  EXPECT_EQ(reply_.header("leat-saga-step"), "reserve/2");
  EXPECT_EQ(effects("do"), 1);
  EXPECT_EQ(participant_->answered_again(), 1u);
  EXPECT_EQ(handle("count/1"), "ok: 2 done");
}

TEST_P(SagaParticipantTest, ARefusalHasNoEffectAndStands) {
  EXPECT_EQ(handle("reserve/1", true), "failed: no");
  EXPECT_EQ(effects("do"), 0);
  EXPECT_EQ(handle("reserve/2"), "failed: no");
  EXPECT_EQ(handle("reserve/1/undo"), "ok: ");  // nothing to undo
  EXPECT_EQ(runs_, 1);
}

TEST_P(SagaParticipantTest, UndoesOnceWhatWasDone) {
  handle("reserve/1");
  EXPECT_EQ(handle("reserve/1/undo"), "ok: 2 undone");
  EXPECT_EQ(handle("reserve/2/undo"), "ok: 2 undone");
  EXPECT_EQ(effects("undo"), 1);
  EXPECT_EQ(handle("reserve/3"), "failed: undone already");
  EXPECT_EQ(effects("do"), 1);
}

TEST_P(SagaParticipantTest, WhatIsUndoneBeforeItIsDoneIsNeverDone) {
  EXPECT_EQ(handle("reserve/1/undo"), "ok: ");
  EXPECT_EQ(handle("reserve/1"), "failed: undone already");
  EXPECT_EQ(runs_, 0);
}

TEST_P(SagaParticipantTest, UndoingThatFailsIsTriedAgain) {
  handle("reserve/1");
  EXPECT_EQ(handle("reserve/1/undo", true), "failed: no");
  EXPECT_EQ(effects("undo"), 0);
  EXPECT_EQ(handle("reserve/2/undo"), "ok: 3 undone");
}

TEST_P(SagaParticipantTest, AnErrorAnswersNothing) {
  {
    auto tx = Transaction::begin(db());
    const auto handled =
        participant_->handle(command("reserve/1"), [](const SagaTask&) -> Result<SagaAnswer> {
          return fail(ErrorCode::kDatabaseFailed, "no");
        });
    ASSERT_FALSE(handled);
  }
  EXPECT_EQ(handle("reserve/1"), "ok: 1 done");
}

TEST_P(SagaParticipantTest, RefusesWhatItCouldNotAnswer) {
  const SagaHandler never = [](const SagaTask&) -> Result<SagaAnswer> {
    ADD_FAILURE();
    return SagaAnswer::ok();
  };
  EXPECT_THAT(participant_->handle(command("reserve/1"), never).error().message(),
              HasSubstr("inbox"));
  auto tx = Transaction::begin(db());
  SomeRecord nowhere(1);
  nowhere.header(reserved_headers::kCorrelationId, "o1")
      .header(reserved_headers::kSaga, "order")
      .header(reserved_headers::kSagaStep, "reserve/1");
  for (const SomeRecord& record : {SomeRecord(1), command("reserve"), command(""), nowhere})
    EXPECT_EQ(participant_->handle(record, never).error().code, ErrorCode::kInvalidRequest);
  EXPECT_FALSE(SagaParticipant::open(db(), *Outbox::open(db()), ""));
}

TEST_P(SagaParticipantTest, TwoAtOnceDoItOnce) {
  const auto other = open();
  SagaParticipant there = participant(*other);
  auto tx = Transaction::begin(db());
  const SomeRecord first = command("reserve/1");
  ASSERT_TRUE(participant_->handle(
      first, [](const SagaTask&) -> Result<SagaAnswer> { return SagaAnswer::ok("here"); }));
  std::thread thread([&] {
    auto late = Transaction::begin(*other);
    ASSERT_TRUE(late) << late.error().message();
    const SomeRecord second = command("reserve/2");
    const auto handled = there.handle(second, [](const SagaTask&) -> Result<SagaAnswer> {
      ADD_FAILURE();
      return SagaAnswer::ok("there");
    });
    EXPECT_TRUE(handled) << handled.error().message();
    EXPECT_TRUE(late->commit());
  });
  std::this_thread::sleep_for(20ms);
  ASSERT_TRUE(tx->commit());
  thread.join();
  for (const Message& reply : take_outbox(db())) EXPECT_EQ(reply.value, "here");
}

TEST_P(SagaParticipantTest, ForgetsWhatIsLongAgo) {
  handle("reserve/1");
  handle("count/1");
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  EXPECT_EQ(*participant_->clean_up(now - 1h), 0);
  EXPECT_EQ(*participant_->clean_up(now + 1h, 1), 1);
  EXPECT_EQ(*participant_->clean_up(now + 1h), 1);
  EXPECT_EQ(handle("reserve/1"), "ok: 3 done");
}

}  // namespace
}  // namespace leat::patterns
