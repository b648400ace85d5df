// Sagas in a hostile world, seeded: commands and replies are lost, come twice, late and in any
// order; time-outs fire beside them; participants refuse; services crash in the middle of
// transactions, and between the commit and the ack. In the end each saga is completed, with all of
// its steps done once, or compensated, with each step that was done undone once, the last first.
// LEAT_SEED chooses one seed.
#include <algorithm>
#include <cstdlib>
#include <map>

#include <gtest/gtest.h>

#include "client/patterns/inbox.h"
#include "client/patterns/saga/saga_orchestrator.h"
#include "client/patterns/saga/saga_participant.h"
#include "protocol/base/random.h"
#include "protocol/reserved_headers.h"
#include "tests/client/patterns/databases.h"
#include "tests/client/patterns/saga/outbox_messages.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;

constexpr const char* kReplies = "order-saga";
constexpr int kSagas = 6;

// The services' databases, and what is under way between them.
class World {
 public:
  using Open = std::function<std::unique_ptr<Database>(bool participants)>;
  World(std::uint64_t seed, Open open)
      : random_(seed), open_(std::move(open)), prefix_(std::to_string(seed) + "-") {
    make_definition();
    restart_orchestrator();
    restart_participants();
    const bool postgres = participants_db_->dialect() == SqlDialect::kPostgres;
    EXPECT_TRUE(participants_db_->run_script(
        "CREATE TABLE IF NOT EXISTS ledger (n " +
        std::string(postgres ? "BIGINT GENERATED ALWAYS AS IDENTITY" : "INTEGER") +
        " PRIMARY KEY, saga TEXT NOT NULL, step TEXT NOT NULL, what TEXT NOT NULL)"));
    EXPECT_TRUE(db_->run_script(
        "CREATE TABLE IF NOT EXISTS ended (saga TEXT NOT NULL, status TEXT NOT NULL)"));
  }

  void run() {
    for (int i = 0; i < kSagas; ++i) start(prefix_ + std::to_string(i));
    for (int steps = 0; !::testing::Test::HasFailure(); ++steps) {
      ASSERT_LT(steps, 20'000) << "it comes to no end";
      if (chance(5)) now_ += std::chrono::milliseconds(random_.below(20'000));
      if (chance(2)) retry_failed();
      publish();
      if (!deliver_one() && !retry_failed()) break;
    }
    for (int i = 0; i < kSagas; ++i) check(prefix_ + std::to_string(i));
  }

  struct Seen {
    std::uint64_t completed = 0, compensated = 0, crashes = 0, by_hand = 0, lost = 0, twice = 0;
    std::uint64_t again = 0, ignored = 0;
  };
  Seen seen;

 private:
  bool chance(std::uint64_t percent) { return random_.below(100) < percent; }

  void make_definition() {
    definition_ = {.name = "order", .reply_to = kReplies, .steps = {}};
    const std::size_t steps = 2 + random_.below(4);
    for (std::size_t i = 0; i < steps; ++i) {
      const std::string topic = chance(50) ? "stock" : "payment";
      const auto command = [topic](const SagaState& state) {
        return SagaCommand{topic, state.data};
      };
      SagaStep step{.name = "step" + std::to_string(i),
                    .command = command,
                    .on_ok = [](SagaState& state, Bytes) { state.data += "."; },
                    .timeout = 10s,
                    .attempts = static_cast<std::uint32_t>(1 + random_.below(4)),
                    .compensation_attempts = static_cast<std::uint32_t>(1 + random_.below(4)),
                    .min_backoff = chance(50) ? 0ms : 1'000ms,
                    .max_backoff = 5s};
      if (chance(80)) step.compensation = command;
      definition_.steps.push_back(step);
    }
    definition_.on_end = [](Database& database, const SagaState& state,
                            SagaStatus status) -> Result<> {
      auto done =
          database.execute("INSERT INTO ended VALUES ($1, $2)", {state.id, name_of(status)});
      return done ? Result<>() : fail(done.error());
    };
  }

  // ---- services: nothing of them outlives a crash but their databases ----

  void restart_orchestrator() {
    if (sagas_) seen.ignored += sagas_->counts().ignored;
    db_ = open_(false);
    inbox_.emplace(std::move(*Inbox::open(*db_, {.consumer = kReplies})));
    sagas_.emplace(std::move(*SagaOrchestrator::open(*db_, *Outbox::open(*db_), {definition_},
                                                     [this] { return now_; })));
  }
  void restart_participants() {
    for (const auto& [name, participant] : participants_)
      seen.again += participant.answered_again();
    inboxes_.clear();
    participants_.clear();
    participants_db_ = open_(true);
    for (const char* name : {"stock", "payment"}) {
      inboxes_.emplace(name, std::move(*Inbox::open(*participants_db_, {.consumer = name})));
      participants_.emplace(name, std::move(*SagaParticipant::open(
                                      *participants_db_, *Outbox::open(*participants_db_), name)));
    }
  }
  void crash(bool orchestrator) {
    ++seen.crashes;
    orchestrator ? restart_orchestrator() : restart_participants();
  }

  void start(const std::string& id) {
    for (;;) {
      ASSERT_TRUE(db_->begin());
      auto started = sagas_->start("order", id, "x");
      ASSERT_TRUE(started) << started.error().message();
      const bool dies = chance(20), before = chance(50);
      if (!dies || !before) {
        ASSERT_TRUE(db_->commit());
      }
      if (dies) crash(true);
      if (!dies) return;
    }
  }

  bool retry_failed() {
    auto failed = sagas_->store().list({.status = SagaStatus::kFailed});
    EXPECT_TRUE(failed);
    Outbox outbox = *Outbox::open(*db_);
    for (const SagaRow& row : *failed) {
      auto retried = retry_saga(sagas_->store(), outbox, row.state.id, now_);
      EXPECT_TRUE(retried) << retried.error().message();
      ++seen.by_hand;
    }
    return !failed->empty();
  }

  // ---- what is under way ----

  void publish() {
    for (Database* database : {db_.get(), participants_db_.get()})
      for (Message& message : take_outbox(*database)) {
        const bool timer = !message.header(reserved_headers::kSagaTimer).empty();
        if (!timer && chance(12)) {
          ++seen.lost;
          continue;
        }
        for (; chance(10); ++seen.twice) {
          under_way_.push_back(message);
          // Beyond what the inbox remembers, half of the time.
          if (chance(50)) under_way_.back().id = new_message_id();
        }
        under_way_.push_back(std::move(message));
      }
  }

  // Any of those whose time has come; if there is none, the time of the next comes. False: there
  // is nothing under way.
  bool deliver_one() {
    if (under_way_.empty()) return false;
    const auto due = [&](const Message& message) {
      return Timestamp(std::chrono::milliseconds(message.deliver_at_ms.value_or(0)));
    };
    std::ranges::sort(under_way_, {}, due);
    now_ = std::max(now_, due(under_way_.front()));
    const auto later = std::ranges::upper_bound(under_way_, now_, {}, due);
    const auto chosen = under_way_.begin() +
                        static_cast<std::ptrdiff_t>(
                            random_.below(static_cast<std::uint64_t>(later - under_way_.begin())));
    const bool orchestrator = chosen->topic == kReplies;
    Inbox& inbox = orchestrator ? *inbox_ : inboxes_.at(chosen->topic);
    const SomeRecord record = chosen->record();
    auto fresh = inbox.begin(record);
    EXPECT_TRUE(fresh) << fresh.error().message();
    const bool handled = !*fresh || (orchestrator ? orchestrate(record) : participate(*chosen));
    const std::uint64_t fate = random_.below(100);
    if (fate < 8) {  // before the commit
      crash(orchestrator);
    } else if (!handled) {
      inbox.rollback();
    } else {
      if (*fresh) {
        EXPECT_TRUE(inbox.commit());
      }
      if (fate < 16)  // before the ack
        crash(orchestrator);
      else
        under_way_.erase(chosen);
    }
    return true;
  }

  bool orchestrate(const ConsumedRecord& record) {
    auto handled = sagas_->on_reply(record);
    EXPECT_TRUE(handled) << handled.error().message();
    return handled.has_value();
  }

  // False: it fails, and the command comes again.
  bool participate(const Message& message) {
    const SomeRecord record = message.record();
    const auto work = [&](const SagaTask& task) -> Result<SagaAnswer> {
      auto done = participants_db_->execute(
          "INSERT INTO ledger (saga, step, what) VALUES ($1, $2, $3)",
          {task.saga, task.step, std::string_view(task.undo ? "undo" : "do")});
      EXPECT_TRUE(done) << done.error().message();
      if (chance(5)) return fail(ErrorCode::kDatabaseFailed, "for once");
      if (chance(task.undo ? 25 : 8)) return SagaAnswer::failed("refused");
      return SagaAnswer::ok("done");
    };
    return participants_.at(message.topic).handle(record, work).has_value();
  }

  // ---- the ledger ----

  std::vector<std::string> lines(Database& database, const std::string& sql,
                                 const std::string& saga) {
    auto rows = database.execute(sql, {saga});
    EXPECT_TRUE(rows);
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < rows->size(); ++i) lines.emplace_back(rows->text(i, 0));
    return lines;
  }

  void check(const std::string& id) {
    SCOPED_TRACE("saga " + id);
    auto row = sagas_->store().find(id);
    ASSERT_TRUE(row && *row);
    const SagaStatus status = (*row)->status;
    const auto ledger = lines(
        *participants_db_, "SELECT what || ' ' || step FROM ledger WHERE saga = $1 ORDER BY n", id);
    if (status == SagaStatus::kCompleted) {
      ++seen.completed;
      EXPECT_EQ(ledger, done(definition_.steps.size(), false));
      EXPECT_EQ((*row)->state.data, "x" + std::string(definition_.steps.size(), '.'));
    } else {
      ++seen.compensated;
      EXPECT_EQ(status, SagaStatus::kCompensated);
      check_compensated(ledger);
    }
    check_history(id, status);
    auto ends = lines(*db_, "SELECT status FROM ended WHERE saga = $1", id);
    EXPECT_EQ(std::erase(ends, "failed"), failures_);
    EXPECT_EQ(ends, std::vector<std::string>{std::string(name_of(status))});
  }

  // The first so many steps, and, if undone, those of them that can be, the last first.
  std::vector<std::string> done(std::size_t steps, bool undone) const {
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < steps; ++i)
      if (!undone || definition_.steps[i].compensation)
        lines.push_back("do " + definition_.steps[i].name);
    for (std::size_t i = steps; undone && i-- > 0;)
      if (definition_.steps[i].compensation) lines.push_back("undo " + definition_.steps[i].name);
    return lines;
  }

  // A step without a compensation stays done; given up, it may still be done, once, at any time.
  void check_compensated(std::vector<std::string> ledger) {
    for (const SagaStep& step : definition_.steps)
      if (!step.compensation) {
        EXPECT_LE(std::erase(ledger, "do " + step.name), 1u);
      }
    bool found = false;
    for (std::size_t steps = 0; steps <= definition_.steps.size(); ++steps)
      found = found || ledger == done(steps, true);
    EXPECT_TRUE(found) << ::testing::PrintToString(ledger);
  }

  void check_history(const std::string& id, SagaStatus status) {
    auto history = sagas_->store().history(id);
    ASSERT_TRUE(history);
    std::int64_t version = 0;
    failures_ = 0;
    for (const SagaEvent& event : *history) {
      EXPECT_EQ(event.version, ++version);
      if (event.status == SagaStatus::kFailed) ++failures_;
      if (event.status == SagaStatus::kCompleted || event.status == SagaStatus::kCompensated) {
        EXPECT_EQ(&event, &history->back());
      }
    }
    EXPECT_EQ(history->back().status, status);
  }

  Random random_;
  Open open_;
  std::string prefix_;
  Timestamp now_ = Timestamp(1'700'000'000'000ms);
  SagaDefinition definition_;
  std::unique_ptr<Database> db_, participants_db_;
  std::optional<Inbox> inbox_;
  std::optional<SagaOrchestrator> sagas_;
  std::map<std::string, Inbox> inboxes_;
  std::map<std::string, SagaParticipant> participants_;
  std::vector<Message> under_way_;
  std::size_t failures_ = 0;  // of the saga that is being checked
};

class RandomSagaTest : public Databases {
 protected:
  void SetUp() override {
    Databases::SetUp();
    participants_ = directory_ / "participants.db";
    if (!postgres()) return;
    const std::string orchestrator = address_;
    Databases::SetUp();  // another database
    participants_ = std::exchange(address_, orchestrator);
  }
  std::unique_ptr<Database> connect(bool participants) {
    const std::string orchestrator = address_;
    if (participants) address_ = participants_;
    auto database = open();
    address_ = orchestrator;
    // Crashes here are those of processes.
    EXPECT_TRUE(database->run_script(postgres() ? "SET synchronous_commit = off"
                                                : "PRAGMA synchronous = OFF"));
    return database;
  }
  void run(std::uint64_t seed) {
    SCOPED_TRACE("LEAT_SEED=" + std::to_string(seed));
    World world(seed, [this](bool participants) { return connect(participants); });
    world.run();
    const auto& seen = world.seen;
    for (const auto& [sum, of] : {std::pair(&sum_.completed, seen.completed),
                                  {&sum_.compensated, seen.compensated},
                                  {&sum_.crashes, seen.crashes},
                                  {&sum_.by_hand, seen.by_hand},
                                  {&sum_.lost, seen.lost},
                                  {&sum_.twice, seen.twice},
                                  {&sum_.again, seen.again},
                                  {&sum_.ignored, seen.ignored}})
      *sum += of;
  }

  std::string participants_;
  World::Seen sum_;
};
LEAT_ON_EVERY_DATABASE(RandomSagaTest);

TEST_P(RandomSagaTest, EachIsCompletedOrUndoneWhateverHappens) {
  if (const char* chosen = std::getenv("LEAT_SEED")) return run(std::strtoull(chosen, nullptr, 10));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  const std::uint64_t seeds = postgres() ? 4 : 25;
#else
  const std::uint64_t seeds = postgres() ? 10 : 100;
#endif
  for (std::uint64_t seed = 1; seed <= seeds && !HasFailure(); ++seed) run(seed);
  // It was hostile indeed.
  for (const std::uint64_t seen : {sum_.completed, sum_.compensated, sum_.crashes, sum_.by_hand,
                                   sum_.lost, sum_.twice, sum_.again, sum_.ignored})
    EXPECT_GE(seen, seeds / 5);
}

}  // namespace
}  // namespace leat::patterns
