// Sagas from end to end: a broker, three services with databases of their own, their relays, and
// time-outs by delayed records. Deadlines only detect hangs.
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <gtest/gtest.h>

#include "client/patterns/consume_once.h"
#include "client/patterns/relay/outbox_relay.h"
#include "client/patterns/saga/saga_orchestrator.h"
#include "client/patterns/saga/saga_participant.h"
#include "server/server.h"
#include "tests/client/patterns/databases.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;

constexpr int kOrders = 60;

// One consumer of a topic, on a thread of its own, with a database of its own.
class Worker {
 public:
  // Called on that thread; the handler is good as long as the database.
  using Make = std::function<RecordHandler(Database&)>;

  Worker(Client client, const std::string& topic, GroupKind kind,
         std::unique_ptr<Database> database, const Make& make)
      : database_(std::move(database)),
        inbox_(std::move(*Inbox::open(*database_, {.consumer = topic}))),
        handler_(make(*database_)),
        consumer_(client.consumer(Group{topic}, options(topic, kind))) {
    asio::co_spawn(io_, run(), asio::detached);
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Worker() {
    asio::post(io_, [this] { consumer_.close(asio::detached); });
    thread_.join();
  }

 private:
  static ConsumerOptions options(const std::string& topic, GroupKind kind) {
    return {.topics = {topic}, .kind = kind, .max_deliveries = 50, .max_backoff = 100ms};
  }
  asio::awaitable<void> run() {
    ConsumeOnceOptions options;
    options.on_failure = [](const ConsumedRecord&, const Error& why) {
      EXPECT_EQ(why.code, ErrorCode::kDatabaseConflict) << why.message();
    };
    const Result<> ended = co_await consume_once(consumer_, inbox_, handler_, options);
    EXPECT_TRUE(ended) << ended.error().message();
  }

  std::unique_ptr<Database> database_;
  Inbox inbox_;
  RecordHandler handler_;
  Consumer consumer_;
  asio::io_context io_;
  std::thread thread_;
};

// Publishes what a database's outbox holds, on a thread of its own.
class Relay {
 public:
  Relay(blocking::Client client, std::unique_ptr<Database> database,
        std::unique_ptr<OutboxWakeup> wakeup)
      : database_(std::move(database)) {
    relay_ = std::move(*OutboxRelay::open(std::move(client), *database_, std::move(wakeup), {}));
    thread_ = std::thread([this] { relay_->run(); });
  }
  ~Relay() {
    relay_->stop();
    thread_.join();
  }

 private:
  std::unique_ptr<Database> database_;
  std::unique_ptr<OutboxRelay> relay_;
  std::thread thread_;
};

// What becomes of the orders, by their numbers.
bool stock_refuses_to_ship(int order) {
  return order % 7 == 0;
}
bool payment_refuses(int order) {
  return order % 5 == 0;
}
bool payment_is_silent(int order) {  // about charging, for ever
  return order % 11 == 3;
}
bool payment_answers_late(int order) {  // the second time it is asked
  return order % 4 == 1;
}
int number_of(std::string_view saga) {
  return std::stoi(std::string(saga.substr(saga.find('-') + 1)));
}

class SagaServerTest : public Databases {
 protected:
  void SetUp() override {
    server_ = std::move(*Server::open({.data_dir = directory_ / "broker"}));
    client_.emplace(std::move(*server_->connect_local()));
    for (const char* name : {"order-saga", "stock", "payment"}) {
      ASSERT_TRUE(client_->create_topic(name, 3));
      Databases::SetUp();
      addresses_[name] = postgres() ? address_ : directory_ / (std::string(name) + ".db");
      const auto database = connect(name);
      ASSERT_TRUE(Outbox::open(*database));
      ASSERT_TRUE(database->run_script("CREATE TABLE effect (what TEXT NOT NULL)"));
    }
  }
  std::unique_ptr<Database> connect(const std::string& service) {
    const std::lock_guard lock(mutex_);
    address_ = addresses_.at(service);
    return open();
  }
  std::unique_ptr<Relay> relay(const std::string& service) {
    auto database = connect(service);
    const std::string& address = addresses_.at(service);
    return std::make_unique<Relay>(
        std::move(*server_->connect_local()), std::move(database),
        postgres() ? wake_by_notifications(address) : wake_by_wal(address));
  }
  std::unique_ptr<Worker> worker(const std::string& service, GroupKind kind,
                                 const Worker::Make& make) {
    return std::make_unique<Worker>(client_->async(), service, kind, connect(service), make);
  }
  std::unique_ptr<Worker> orchestrator() {
    return worker("order-saga", GroupKind::kShared, [this](Database& database) {
      auto sagas = std::make_shared<SagaOrchestrator>(
          std::move(*SagaOrchestrator::open(database, *Outbox::open(database), {definition()})));
      return record_handler(
          [sagas](const ConsumedRecord& record) { return sagas->on_reply(record); });
    });
  }
  std::unique_ptr<Worker> participant(const std::string& name, const SagaHandler& work) {
    return worker(name, GroupKind::kKeyShared, [name, work](Database& database) {
      auto participant = std::make_shared<SagaParticipant>(
          std::move(*SagaParticipant::open(database, *Outbox::open(database), name)));
      return record_handler(
          [participant, work, &database](const ConsumedRecord& record) -> Result<> {
            const SagaAddress about = *saga_address(record);
            const int order = number_of(about.saga);
            if (about.step == "charge" && !about.undo &&
                (payment_is_silent(order) || (payment_answers_late(order) && about.attempt == 1)))
              return {};
            return participant->handle(record, [&](const SagaTask& task) -> Result<SagaAnswer> {
              const std::string what = saga_step_text(task.step, 1, task.undo);
              auto done = database.execute("INSERT INTO effect VALUES ($1)",
                                           {std::string(task.saga) + " " + what});
              if (!done) return fail(done.error());
              return work(task);
            });
          });
    });
  }
  SagaDefinition definition() {
    const auto step = [](const std::string& name, const std::string& service) {
      const auto command = [service](const SagaState& state) {
        return SagaCommand{service, state.data};
      };
      return SagaStep{.name = name,
                      .command = command,
                      .compensation = command,
                      .timeout = 400ms,
                      .attempts = 2,
                      .compensation_attempts = 100,
                      .min_backoff = 50ms,
                      .max_backoff = 200ms};
    };
    return {.name = "order",
            .reply_to = "order-saga",
            .steps = {step("reserve", "stock"), step("charge", "payment"), step("ship", "stock")},
            .on_end = [this](Database&, const SagaState& state, SagaStatus) -> Result<> {
              const std::lock_guard lock(mutex_);
              ended_.insert(state.id);  // perhaps again, after a conflict
              changed_.notify_all();
              return {};
            }};
  }
  void place_orders(int from, int to) {
    const auto database = connect("order-saga");
    auto sagas = SagaOrchestrator::open(*database, *Outbox::open(*database), {definition()});
    ASSERT_TRUE(sagas);
    for (int order = from; order < to; ++order) {
      auto tx = Transaction::begin(*database);
      ASSERT_TRUE(tx) << tx.error().message();
      ASSERT_TRUE(sagas->start("order", "order-" + std::to_string(order), "one coffee"));
      ASSERT_TRUE(tx->commit());
    }
  }
  void wait_for(std::size_t ended) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, 150s, [&] { return ended_.size() >= ended; }))
        << ended_.size() << " of " << ended << " have ended";
  }
  // How often, by what it was.
  std::map<std::string, int> effects() {
    std::map<std::string, int> effects;
    for (const char* service : {"stock", "payment"}) {
      auto rows = connect(service)->execute("SELECT what FROM effect");
      EXPECT_TRUE(rows);
      for (std::size_t i = 0; i < rows->size(); ++i) ++effects[std::string(rows->text(i, 0))];
    }
    return effects;
  }

  std::map<std::string, std::string> addresses_;
  std::unique_ptr<Server> server_;
  std::optional<blocking::Client> client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> ended_;
};
LEAT_ON_EVERY_DATABASE(SagaServerTest);

TEST_P(SagaServerTest, EveryOrderIsDoneOrUndone) {
  {
    const std::unique_ptr<Relay> relays[] = {relay("order-saga"), relay("stock"), relay("payment")};
    const auto stock = participant("stock", [](const SagaTask& task) -> Result<SagaAnswer> {
      const bool refuses = task.step == "ship" && stock_refuses_to_ship(number_of(task.saga));
      return refuses && !task.undo ? SagaAnswer::failed("no such street") : SagaAnswer::ok();
    });
    const auto payment = participant("payment", [](const SagaTask& task) -> Result<SagaAnswer> {
      return payment_refuses(number_of(task.saga)) && !task.undo ? SagaAnswer::failed("no money")
                                                                 : SagaAnswer::ok();
    });
    // Two at a time, in a group without order: who comes second is told to come again.
    auto first = orchestrator(), second = orchestrator();
    place_orders(0, kOrders / 2);
    wait_for(kOrders / 4);
    first.reset();  // others go on, and one comes back
    place_orders(kOrders / 2, kOrders);
    first = orchestrator();
    wait_for(kOrders);
  }
  auto database = connect("order-saga");
  auto sagas = SagaStore::existing(*database);
  ASSERT_TRUE(sagas);
  const auto effects = this->effects();
  const auto times = [&](int order, const std::string& what) {
    const auto found = effects.find("order-" + std::to_string(order) + " " + what);
    return found == effects.end() ? 0 : found->second;
  };
  for (int order = 0; order < kOrders; ++order) {
    SCOPED_TRACE("order " + std::to_string(order));
    auto row = sagas->find("order-" + std::to_string(order));
    ASSERT_TRUE(row && *row);
    // A slow machine answers too late what it would have answered: all is undone, or never done.
    if ((*row)->why.find("did not answer") != std::string::npos && !payment_is_silent(order)) {
      EXPECT_EQ(name_of((*row)->status), "compensated") << (*row)->why;
      for (const std::string step : {"reserve/1", "charge/1", "ship/1"}) {
        EXPECT_LE(times(order, step), 1) << step;
        EXPECT_EQ(times(order, step + "/undo"), times(order, step)) << step;
      }
      continue;
    }
    const bool charged = !payment_refuses(order) && !payment_is_silent(order);
    const bool completed = charged && !stock_refuses_to_ship(order);
    EXPECT_EQ(name_of((*row)->status), completed ? "completed" : "compensated") << (*row)->why;
    EXPECT_EQ(times(order, "reserve/1"), 1);
    EXPECT_EQ(times(order, "charge/1"), charged);
    EXPECT_EQ(times(order, "ship/1"), completed);
    EXPECT_EQ(times(order, "reserve/1/undo"), !completed);
    EXPECT_EQ(times(order, "charge/1/undo"), charged && !completed);
    EXPECT_EQ(times(order, "ship/1/undo"), 0);
  }
}

}  // namespace
}  // namespace leat::patterns
