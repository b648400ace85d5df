#include <map>

#include <gmock/gmock.h>

#include "client/context/message_context.h"
#include "client/patterns/saga/saga_orchestrator.h"
#include "protocol/reserved_headers.h"
#include "tests/client/patterns/databases.h"
#include "tests/client/patterns/saga/outbox_messages.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

SagaStep step(const std::string& name) {
  return {.name = name,
          .command =
              [name](const SagaState& s) {
                return SagaCommand{name + "-svc", s.data};
              },
          .compensation =
              [name](const SagaState& s) {
                return SagaCommand{name + "-svc", "undo " + s.data};
              },
          .timeout = 10s,
          .attempts = 2,
          .compensation_attempts = 3,
          .min_backoff = 1s,
          .max_backoff = 4s};
}

class SagaTest : public Databases {
 protected:
  void SetUp() override {
    Databases::SetUp();
    ASSERT_TRUE(db().run_script("CREATE TABLE ended (id TEXT NOT NULL, status TEXT NOT NULL)"));
    definition_ = {
        .name = "order",
        .reply_to = "order-saga",
        .steps = {step("reserve"), step("charge"), step("ship")},
        .on_end = [](Database& database, const SagaState& state, SagaStatus status) -> Result<> {
          auto done =
              database.execute("INSERT INTO ended VALUES ($1, $2)", {state.id, name_of(status)});
          return done ? Result<>() : fail(done.error());
        }};
    definition_.steps[1].on_ok = [](SagaState& state, Bytes reply) {
      state.data += "+" + std::string(as_text(reply));
      state.id = "only the data count";
    };
    open_sagas();
  }
  // As after a crash: nothing but the database is left.
  void open_sagas() {
    auto outbox = Outbox::open(db());
    ASSERT_TRUE(outbox) << outbox.error().message();
    auto sagas = SagaOrchestrator::open(db(), *outbox, {definition_}, [this] { return now_; });
    ASSERT_TRUE(sagas) << sagas.error().message();
    sagas_.emplace(std::move(*sagas));
  }
  // Commands and timers that went out since.
  void take() {
    commands_.clear();
    for (Message& message : take_outbox(db()))
      if (message.header(reserved_headers::kSagaTimer).empty())
        commands_.push_back(std::move(message));
      else
        timers_.push_back(std::move(message));
  }
  std::vector<std::string> sent() {
    take();
    std::vector<std::string> sent;
    for (const Message& command : commands_)
      sent.push_back(command.header(reserved_headers::kSagaStep));
    return sent;
  }
  Result<bool> start(const std::string& id = "o1", const std::string& definition = "order") {
    auto tx = Transaction::begin(db());
    EXPECT_TRUE(tx);
    auto started = sagas_->start(definition, id, "data");
    if (started) {
      EXPECT_TRUE(tx->commit());
    }
    return started;
  }
  Result<> handle(const ConsumedRecord& record) {
    auto tx = Transaction::begin(db());
    EXPECT_TRUE(tx);
    auto handled = sagas_->on_reply(record);
    if (handled) {
      EXPECT_TRUE(tx->commit());
    }
    return handled;
  }
  static SomeRecord answer(const std::string& step, const std::string& outcome = "ok",
                           const std::string& value = "", const std::string& saga = "o1",
                           const std::string& definition = "order") {
    SomeRecord record(1);
    record.header(reserved_headers::kCorrelationId, saga)
        .header(reserved_headers::kSaga, definition)
        .header(reserved_headers::kSagaStep, step)
        .header(reserved_headers::kSagaReply, outcome)
        .value(value);
    return record;
  }
  // What went out because of it.
  std::vector<std::string> reply(const std::string& step, const std::string& outcome = "ok",
                                 const std::string& value = "") {
    auto handled = handle(answer(step, outcome, value));
    EXPECT_TRUE(handled) << handled.error().message();
    return sent();
  }
  // The newest timer, at its time.
  std::vector<std::string> ring() {
    EXPECT_FALSE(timers_.empty());
    if (timers_.back().deliver_at_ms)
      now_ = std::max(now_, Timestamp(std::chrono::milliseconds(*timers_.back().deliver_at_ms)));
    auto handled = handle(timers_.back().record());
    EXPECT_TRUE(handled) << handled.error().message();
    return sent();
  }
  SagaRow row(const std::string& id = "o1") {
    auto found = sagas_->store().find(id);
    EXPECT_TRUE(found && *found);
    return found && *found ? **found : SagaRow();
  }
  std::vector<std::string> history() {
    std::vector<std::string> lines;
    const auto events = sagas_->store().history("o1");
    EXPECT_TRUE(events);
    for (const SagaEvent& event : *events)
      lines.push_back(event.what + (event.step.empty() ? "" : " " + event.step) +
                      (event.sent.empty() ? "" : " -> " + event.sent));
    return lines;
  }
  std::string ended() {
    auto rows = db().execute("SELECT id || ' ' || status FROM ended");
    return rows && rows->size() == 1 ? std::string(rows->text(0, 0)) : "";
  }

  SagaDefinition definition_;
  Timestamp now_ = Timestamp(1'700'000'000'000ms);
  std::optional<SagaOrchestrator> sagas_;
  std::vector<Message> commands_, timers_;
  int number_of_ids_ = 1;
};
LEAT_ON_EVERY_DATABASE(SagaTest);

TEST_P(SagaTest, RunsItsStepsInTheirOrder) {
  ASSERT_TRUE(*start());
  EXPECT_THAT(sent(), ElementsAre("reserve/1"));
  EXPECT_EQ(row().status, SagaStatus::kRunning);
  EXPECT_THAT(reply("reserve/1"), ElementsAre("charge/1"));
  EXPECT_THAT(reply("charge/1", "ok", "receipt"), ElementsAre("ship/1"));
  EXPECT_EQ(commands_[0].value, "data+receipt");
  EXPECT_EQ(ended(), "");
  const std::size_t timers = timers_.size();
  EXPECT_THAT(reply("ship/1"), IsEmpty());
  EXPECT_EQ(timers_.size(), timers);
  EXPECT_EQ(row().status, SagaStatus::kCompleted);
  EXPECT_EQ(ended(), "o1 completed");
  EXPECT_THAT(history(), ElementsAre("started -> reserve/1", "ok reserve/1 -> charge/1",
                                     "ok charge/1 -> ship/1", "ok ship/1"));
  EXPECT_EQ(sagas_->counts().completed, 1u);
}

TEST_P(SagaTest, ACommandSaysWhoseItIsAndWhereToAnswer) {
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  {
    const MessageScope scope(
        std::make_shared<MessageContext>(MessageContext{.correlation_id = "visit-7",
                                                        .causation_id = "click-9",
                                                        .trace = parse_traceparent(trace),
                                                        .trace_state = "a=b"}));
    ASSERT_TRUE(*start());
  }
  take();
  ASSERT_EQ(commands_.size(), 1u);
  const Message& command = commands_[0];
  EXPECT_EQ(command.topic, "reserve-svc");
  EXPECT_EQ(command.key, "o1");
  EXPECT_EQ(command.header("type"), "reserve");
  EXPECT_EQ(command.header("leat-correlation-id"), "o1");
  EXPECT_EQ(command.header("leat-saga"), "order");
  EXPECT_EQ(command.header("leat-saga-step"), "reserve/1");
  EXPECT_EQ(command.header("leat-reply-to"), "order-saga");
  EXPECT_EQ(command.header("leat-flow-id"), "visit-7");
  EXPECT_EQ(command.header("leat-causation-id"), "click-9");
  EXPECT_EQ(command.header("traceparent"), trace);
  EXPECT_EQ(command.header("tracestate"), "a=b");
  EXPECT_FALSE(command.deliver_at_ms);
  ASSERT_EQ(timers_.size(), 1u);
  EXPECT_EQ(timers_[0].topic, "order-saga");
  EXPECT_EQ(timers_[0].key, "o1");
  EXPECT_EQ(timers_[0].deliver_at_ms, (now_ + 10s).time_since_epoch().count());
  // What the reply is part of goes on; what it does not say, the saga knows.
  const SomeRecord reply = answer("reserve/1").id("reply-1");
  {
    const ConsumedRecord record = reply;
    const MessageScope scope(record);
    ASSERT_TRUE(handle(record));
  }
  take();
  EXPECT_EQ(commands_[0].header("leat-correlation-id"), "o1");
  EXPECT_EQ(commands_[0].header("leat-flow-id"), "visit-7");
  EXPECT_EQ(commands_[0].header("leat-causation-id"), "reply-1");
  EXPECT_EQ(commands_[0].header("traceparent"), trace);
}

TEST_P(SagaTest, AnIdStartsOnce) {
  EXPECT_TRUE(*start());
  take();
  EXPECT_FALSE(*start());
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_EQ(sagas_->counts().started, 1u);
  definition_.name = "refund";
  open_sagas();
  auto other = start("o1", "refund");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message(), HasSubstr("'order'"));
}

TEST_P(SagaTest, RefusesWhatCannotBeStarted) {
  EXPECT_EQ(sagas_->start("order", "o1", "").error().code, ErrorCode::kInvalidRequest);
  EXPECT_EQ(sagas_->on_reply(answer("x/1")).error().code, ErrorCode::kInvalidRequest);
  for (const std::string& id : {std::string(), std::string(201, 'x'), std::string("a\nb"),
                                std::string("\xff"), std::string("a\0b", 3)})
    EXPECT_EQ(start(id).error().code, ErrorCode::kInvalidRequest) << id;
  EXPECT_THAT(start("o1", "nothing").error().message(), HasSubstr("'nothing'"));
  auto tx = Transaction::begin(db());
  const auto large = sagas_->start("order", "o1", std::string(kMostSagaData + 1, 'x'));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::kLimitReached);
}

TEST_P(SagaTest, WhatIsRolledBackNeverWas) {
  {
    auto tx = Transaction::begin(db());
    ASSERT_TRUE(*sagas_->start("order", "o1", "data"));
  }
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_TRUE(timers_.empty());
  EXPECT_TRUE(*start());
  take();
  {
    auto tx = Transaction::begin(db());
    ASSERT_TRUE(sagas_->on_reply(answer("reserve/1")));
  }
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_EQ(row().version, 1);
  EXPECT_THAT(reply("reserve/1"), ElementsAre("charge/1"));
}

TEST_P(SagaTest, ARefusalUndoesWhatWasDoneTheLastFirst) {
  ASSERT_TRUE(*start());
  take();
  reply("reserve/1");
  reply("charge/1", "ok", "receipt");
  EXPECT_THAT(reply("ship/1", "failed", "no such street"), ElementsAre("charge/1/undo"));
  EXPECT_EQ(commands_[0].value, "undo data+receipt");
  EXPECT_EQ(commands_[0].topic, "charge-svc");
  EXPECT_EQ(commands_[0].header("type"), "charge.undo");
  EXPECT_EQ(row().status, SagaStatus::kCompensating);
  EXPECT_EQ(row().why, "ship failed: no such street");
  EXPECT_THAT(reply("charge/1/undo"), ElementsAre("reserve/1/undo"));
  EXPECT_THAT(reply("reserve/1/undo"), IsEmpty());
  EXPECT_EQ(row().status, SagaStatus::kCompensated);
  EXPECT_EQ(ended(), "o1 compensated");
}

TEST_P(SagaTest, KeepsOfARefusalWhatADatabaseTakes) {
  const std::map<std::string, std::string> said = {
      {"{\"why\":\"no\"}", "{\"why\":\"no\"}"},
      {std::string("a\0b", 3), "a\\x00b"},
      {"\xff", "\\xff"},
      {std::string(199, 'x') + "\xc3\xa9", std::string(199, 'x') + "..."},
      {"", ""},
  };
  for (const auto& [reply, kept] : said) {
    const std::string id = "o" + std::to_string(number_of_ids_++);
    ASSERT_TRUE(*start(id));
    ASSERT_TRUE(handle(answer("reserve/1", "failed", reply, id)));
    EXPECT_EQ(row(id).why, "reserve failed" + (kept.empty() ? "" : ": " + kept));
  }
}

TEST_P(SagaTest, WhatNeedsNoUndoingIsPassedOver) {
  definition_.steps[0].compensation = nullptr;
  definition_.steps[1].compensation = nullptr;
  open_sagas();
  ASSERT_TRUE(*start());
  take();
  reply("reserve/1");
  reply("charge/1");
  EXPECT_THAT(reply("ship/1", "failed"), IsEmpty());
  EXPECT_EQ(row().status, SagaStatus::kCompensated);
}

TEST_P(SagaTest, WhatIsLateOrTwiceOrNobodysChangesNothing) {
  ASSERT_TRUE(*start());
  take();
  reply("reserve/1");
  const std::int64_t version = row().version;
  for (const char* step : {"reserve/1", "ship/1", "charge/1/undo", "charge/2", "charge/0", "charge",
                           "/1", "charge/x", "charge/99999999999", "nothing/1", ""})
    EXPECT_THAT(reply(step), IsEmpty()) << step;
  EXPECT_TRUE(handle(answer("charge/1", "perhaps")));
  for (const SomeRecord& record : {answer("charge/1", "ok", "", "o2"), SomeRecord(1),
                                   answer("charge/1", "ok", "", "o1", "refund"),
                                   answer("charge/1", "ok", "", std::string("o\0", 2))})
    EXPECT_TRUE(handle(record));
  EXPECT_EQ(row().version, version);
  EXPECT_EQ(sagas_->counts().ignored, 6u);
  EXPECT_EQ(sagas_->counts().foreign, 10u);
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_P(SagaTest, AsksAgainAndThenUndoesAlsoWhatMayHaveBeenDone) {
  ASSERT_TRUE(*start());
  take();
  const std::string first_id = commands_[0].id;
  EXPECT_THAT(ring(), IsEmpty());  // backs off
  EXPECT_TRUE(row().backs_off);
  EXPECT_EQ(row().deadline - now_, 1s);
  EXPECT_THAT(ring(), ElementsAre("reserve/2"));
  EXPECT_NE(commands_[0].id, first_id);  // or the broker and the inbox would swallow it
  EXPECT_THAT(ring(), ElementsAre("reserve/1/undo"));
  EXPECT_EQ(row().why, "reserve did not answer after 2 attempts");
  EXPECT_THAT(reply("reserve/2"), IsEmpty());  // too late
  EXPECT_THAT(reply("reserve/1/undo"), IsEmpty());
  EXPECT_EQ(row().status, SagaStatus::kCompensated);
  EXPECT_THAT(history(),
              ElementsAre("started -> reserve/1", "timed out reserve/1",
                          "sent again reserve/1 -> reserve/2",
                          "timed out reserve/2 -> reserve/1/undo", "undone reserve/1/undo"));
}

TEST_P(SagaTest, AnAnswerToAnEarlierAttemptIsAnAnswer) {
  ASSERT_TRUE(*start());
  take();
  ring();
  EXPECT_THAT(reply("reserve/1"), ElementsAre("charge/1"));  // while it backs off
  ring();
  ring();
  EXPECT_THAT(reply("charge/1"), ElementsAre("ship/1"));  // while the second is under way
  EXPECT_THAT(reply("charge/2"), IsEmpty());
}

TEST_P(SagaTest, ATimerThatIsNotTheNewestChangesNothing) {
  ASSERT_TRUE(*start());
  take();
  reply("reserve/1");
  ASSERT_EQ(timers_.size(), 2u);
  now_ += 1h;
  const std::int64_t version = row().version;
  EXPECT_TRUE(handle(timers_[0].record()));
  EXPECT_EQ(row().version, version);
  EXPECT_TRUE(handle(timers_[1].record()));
  EXPECT_TRUE(handle(timers_[1].record()));  // twice
  EXPECT_EQ(row().version, version + 1);
}

// As in a group whose records are not held back until their time.
TEST_P(SagaTest, ATimerThatComesAtOnceIsAnError) {
  ASSERT_TRUE(*start());
  take();
  auto handled = handle(timers_[0].record());
  ASSERT_FALSE(handled);
  EXPECT_EQ(handled.error().code, ErrorCode::kInvalidConfig);
  EXPECT_THAT(handled.error().message(), HasSubstr("key_shared"));
  now_ += 9s;  // clocks differ
  EXPECT_TRUE(handle(timers_[0].record()));
}

TEST_P(SagaTest, UndoingIsTriedAgainUntilAPersonIsNeeded) {
  ASSERT_TRUE(*start());
  take();
  reply("reserve/1");
  EXPECT_THAT(reply("charge/1", "failed"), ElementsAre("reserve/1/undo"));
  EXPECT_THAT(reply("reserve/1/undo", "failed", "locked"), IsEmpty());
  EXPECT_EQ(row().deadline - now_, 1s);
  EXPECT_THAT(reply("reserve/1/undo", "failed", "locked"), IsEmpty());  // twice
  EXPECT_THAT(ring(), ElementsAre("reserve/2/undo"));
  EXPECT_THAT(ring(), IsEmpty());  // no answer at all
  EXPECT_EQ(row().deadline - now_, 2s);
  EXPECT_THAT(ring(), ElementsAre("reserve/3/undo"));
  const std::size_t timers = timers_.size();
  EXPECT_THAT(reply("reserve/3/undo", "failed"), IsEmpty());
  EXPECT_EQ(timers_.size(), timers);
  EXPECT_EQ(row().status, SagaStatus::kFailed);
  EXPECT_EQ(row().why, "charge failed; reserve could not be undone after 3 attempts");
  EXPECT_EQ(ended(), "o1 failed");

  auto outbox = Outbox::open(db());
  auto again = retry_saga(sagas_->store(), *outbox, "o1", now_);
  ASSERT_TRUE(again) << again.error().message();
  take();
  EXPECT_FALSE(timers_.back().deliver_at_ms);
  EXPECT_THAT(ring(), ElementsAre("reserve/1/undo"));
  EXPECT_THAT(reply("reserve/1/undo"), IsEmpty());
  EXPECT_EQ(row().status, SagaStatus::kCompensated);
}

TEST_P(SagaTest, ByHandOnlyWhatStandsStillIsTriedAgain) {
  auto outbox = Outbox::open(db());
  const auto retry = [&] { return retry_saga(sagas_->store(), *outbox, "o1", now_); };
  EXPECT_EQ(retry().error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(*start());
  take();
  auto waits = retry();
  ASSERT_FALSE(waits);
  EXPECT_THAT(waits.error().message(), HasSubstr("reserve/1"));
  now_ += 11s;  // its timer is a dead letter
  ASSERT_TRUE(retry());
  take();
  EXPECT_THAT(ring(), ElementsAre("reserve/2"));
  reply("reserve/2");
  reply("charge/1");
  reply("ship/1");
  EXPECT_THAT(retry().error().message(), HasSubstr("completed"));
  EXPECT_FALSE(db().in_transaction());
}

TEST_P(SagaTest, ADefinitionThatLostAStepIsAnError) {
  ASSERT_TRUE(*start());
  take();
  reply("reserve/1");
  const SagaDefinition whole = definition_;
  std::erase_if(definition_.steps, [](const SagaStep& step) { return step.name == "charge"; });
  open_sagas();
  for (const char* outcome : {"ok", "failed"}) {
    auto handled = handle(answer("charge/1", outcome));
    ASSERT_FALSE(handled);
    EXPECT_EQ(handled.error().code, ErrorCode::kInvalidConfig);
    EXPECT_THAT(handled.error().message(), AllOf(HasSubstr("'o1'"), HasSubstr("'charge'")));
  }
  now_ += 1h;
  EXPECT_EQ(handle(timers_.back().record()).error().code, ErrorCode::kInvalidConfig);
  // One that is to be undone, and one that is not said how to undo.
  definition_ = whole;
  definition_.steps.erase(definition_.steps.begin());
  open_sagas();
  EXPECT_THAT(handle(answer("charge/1", "failed")).error().message(), HasSubstr("'reserve'"));
  definition_ = whole;
  open_sagas();
  EXPECT_THAT(reply("charge/1"), ElementsAre("ship/1"));
  EXPECT_THAT(reply("ship/1", "failed"), ElementsAre("charge/1/undo"));
  definition_.steps[1].compensation = nullptr;
  open_sagas();
  const auto lost = handle(answer("charge/1/undo", "failed"));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::kInvalidConfig);
  EXPECT_THAT(lost.error().message(), HasSubstr("'charge'"));
  definition_.name = "another";
  open_sagas();
  EXPECT_THAT(handle(answer("charge/1/undo")).error().message(), HasSubstr("'order'"));
}

TEST_P(SagaTest, OneThatGainedAStepUndoesWhatWasDone) {
  ASSERT_TRUE(*start());
  take();
  reply("reserve/1");
  definition_.steps.insert(definition_.steps.begin() + 1, step("check"));
  open_sagas();
  EXPECT_THAT(reply("charge/1", "failed"), ElementsAre("reserve/1/undo"));
}

TEST_P(SagaTest, WhoComesSecondIsToldToComeAgain) {
  ASSERT_TRUE(*start());
  const auto other = open();
  auto there = SagaStore::open(*other);
  auto seen = there->find("o1");
  ASSERT_TRUE(seen && *seen);
  ++(*seen)->version;
  reply("reserve/1");
  auto tx = Transaction::begin(*other);
  ASSERT_TRUE(tx);
  auto changed = there->change(**seen, {.version = (*seen)->version, .what = "late"});
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, ErrorCode::kDatabaseConflict);
}

TEST_P(SagaTest, KeepsItsDataWithinBounds) {
  definition_.steps[0].on_ok = [](SagaState& state, Bytes) {
    state.data.assign(kMostSagaData + 1, 'x');
  };
  definition_.steps[1].on_ok = [](SagaState&, Bytes) { throw std::runtime_error("unreadable"); };
  open_sagas();
  ASSERT_TRUE(*start());
  take();
  EXPECT_EQ(handle(answer("reserve/1")).error().code, ErrorCode::kLimitReached);
  definition_.steps[0].on_ok = [](SagaState& state, Bytes) {
    state.data = std::string("\0binary\xff", 8);
  };
  open_sagas();
  reply("reserve/1");
  EXPECT_EQ(row().state.data, std::string("\0binary\xff", 8));
  EXPECT_THROW((void)handle(answer("charge/1")), std::runtime_error);
  EXPECT_FALSE(db().in_transaction());
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_P(SagaTest, ForgetsWhatHasEnded) {
  for (const char* id : {"o1", "o2", "o3"}) ASSERT_TRUE(*start(id));
  take();
  for (const char* id : {"o1", "o2"}) ASSERT_TRUE(handle(answer("reserve/1", "failed", "", id)));
  EXPECT_EQ(*sagas_->clean_up(now_, 10), 0);
  EXPECT_EQ(*sagas_->clean_up(now_ + 1ms, 1), 1);
  EXPECT_EQ(*sagas_->clean_up(now_ + 1ms, 10), 1);
  EXPECT_EQ(*sagas_->clean_up(now_ + 1ms, 10), 0);
  EXPECT_EQ(number("SELECT count(*) FROM leat_saga_event"), 1);
  EXPECT_EQ(row("o3").status, SagaStatus::kRunning);
}

TEST_P(SagaTest, ListsWhatIsAskedFor) {
  for (const char* id : {"o1", "o2", "o3"}) {
    ASSERT_TRUE(*start(id));
    now_ += 1s;
  }
  ASSERT_TRUE(handle(answer("reserve/1", "failed", "", "o2")));
  const auto ids = [&](const SagaFilter& filter) {
    std::string found;
    auto rows = sagas_->store().list(filter);
    EXPECT_TRUE(rows) << rows.error().message();
    for (const SagaRow& row : *rows) found += row.state.id + " ";
    return found;
  };
  EXPECT_EQ(ids({}), "o2 o3 o1 ");
  EXPECT_EQ(ids({.most = 2}), "o2 o3 ");
  EXPECT_EQ(ids({.status = SagaStatus::kRunning}), "o3 o1 ");
  EXPECT_EQ(ids({.status = SagaStatus::kFailed}), "");
  EXPECT_EQ(ids({.definition = "refund"}), "");
  EXPECT_EQ(ids({.status = SagaStatus::kRunning, .definition = "order"}), "o3 o1 ");
  EXPECT_EQ(ids({.overdue_at = now_ + 7s + 500ms}), "o1 ");
}

TEST_P(SagaTest, ThereAreNoneWhereThereAreNoTables) {
  ASSERT_TRUE(SagaStore::existing(db()));
  ASSERT_TRUE(db().execute("UPDATE leat_schema SET version = 99 WHERE name = 'saga'"));
  EXPECT_EQ(SagaStore::existing(db()).error().code, ErrorCode::kDatabaseSchema);
  ASSERT_TRUE(db().execute("DELETE FROM leat_schema WHERE name = 'saga'"));
  EXPECT_THAT(SagaStore::existing(db()).error().message(), HasSubstr("leat_saga"));
  ASSERT_TRUE(db().run_script("DROP TABLE leat_schema"));
  EXPECT_THAT(SagaStore::existing(db()).error().message(), HasSubstr("leat_saga"));
}

TEST_P(SagaTest, RefusesDefinitionsThatCannotBe) {
  const std::map<std::string, std::function<void(SagaDefinition&)>> mistakes = {
      {"saga is called ''", [](auto& d) { d.name = ""; }},
      {"called 'a/b'", [](auto& d) { d.name = "a/b"; }},
      {"reply_to", [](auto& d) { d.reply_to = ""; }},
      {"not 0", [](auto& d) { d.steps.clear(); }},
      {"not 65", [](auto& d) { d.steps.resize(65, d.steps[0]); }},
      {"two steps 'reserve'", [](auto& d) { d.steps.push_back(d.steps[0]); }},
      {"called 'a,b'", [](auto& d) { d.steps[0].name = "a,b"; }},
      {"no command", [](auto& d) { d.steps[0].command = nullptr; }},
      {"timeout", [](auto& d) { d.steps[0].timeout = 0ms; }},
      {"not 0", [](auto& d) { d.steps[0].attempts = 0; }},
      {"not 1001", [](auto& d) { d.steps[0].compensation_attempts = 1'001; }},
      {"a year", [](auto& d) { d.steps[0].timeout = std::chrono::milliseconds::max(); }},
      {"max_backoff)", [](auto& d) { d.steps[0].max_backoff = std::chrono::milliseconds::max(); }},
      {"max_backoff that", [](auto& d) { d.steps[0].max_backoff = 0ms; }},
  };
  for (const auto& [why, make] : mistakes) {
    SagaDefinition wrong = definition_;
    make(wrong);
    auto opened = SagaOrchestrator::open(db(), *Outbox::open(db()), {wrong});
    ASSERT_FALSE(opened) << why;
    EXPECT_EQ(opened.error().code, ErrorCode::kInvalidConfig);
    EXPECT_THAT(opened.error().message(), HasSubstr(why));
  }
  EXPECT_FALSE(SagaOrchestrator::open(db(), *Outbox::open(db()), {definition_, definition_}));
}

TEST(SagaBackoff, DoublesWithinBounds) {
  SagaStep step{.name = "x", .command = {}, .min_backoff = 100ms, .max_backoff = 1s};
  EXPECT_EQ(saga_backoff(step, 1), 100ms);
  EXPECT_EQ(saga_backoff(step, 3), 400ms);
  EXPECT_EQ(saga_backoff(step, 1'000), 1s);
  step.min_backoff = 0ms;
  EXPECT_EQ(saga_backoff(step, 1'000), 0ms);
}

}  // namespace
}  // namespace leat::patterns
