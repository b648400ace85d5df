// `leat saga ls|show|retry` by hand.
#include <cstdio>

#include <sys/wait.h>

#include <gmock/gmock.h>

#include "client/patterns/saga/saga_orchestrator.h"
#include "protocol/reserved_headers.h"
#include "tests/client/patterns/databases.h"
#include "tests/client/patterns/saga/outbox_messages.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

SagaStep step(const std::string& name) {
  const auto command = [](const SagaState& state) { return SagaCommand{"stock", state.data}; };
  return {.name = name,
          .command = command,
          .compensation = command,
          .timeout = 24h,
          .compensation_attempts = 1};
}

class SagaToolTest : public Databases {
 protected:
  void SetUp() override {
    Databases::SetUp();
    const SagaDefinition order{
        .name = "order", .reply_to = "order-saga", .steps = {step("reserve"), step("charge")}};
    sagas_.emplace(std::move(*SagaOrchestrator::open(db(), *Outbox::open(db()), {order})));
    for (const char* id : {"waits", "failed", "done"}) {
      ASSERT_TRUE(db().begin());
      ASSERT_TRUE(sagas_->start("order", id, "{\"total\":\t\x01}"));
      ASSERT_TRUE(db().commit());
    }
    reply("failed", "reserve/1", "ok");
    reply("failed", "charge/1", "failed", "card \"x\"\nrefused");
    reply("failed", "reserve/1/undo", "failed");
    reply("done", "reserve/1", "ok");
    reply("done", "charge/1", "ok");
    take_outbox(db());
  }
  void reply(const std::string& saga, const std::string& step, const std::string& outcome,
             const std::string& value = "") {
    SomeRecord record(1);
    record.header(reserved_headers::kCorrelationId, saga)
        .header(reserved_headers::kSaga, "order")
        .header(reserved_headers::kSagaStep, step)
        .header(reserved_headers::kSagaReply, outcome)
        .value(value);
    ASSERT_TRUE(db().begin());
    ASSERT_TRUE(sagas_->on_reply(record));
    ASSERT_TRUE(db().commit());
  }
  // What it says, errors included.
  std::string saga(const std::string& arguments, const std::string& address) {
    const std::string command =
        "'" LEAT "' saga " + arguments + " --database '" + address + "' 2>&1";
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    std::string said;
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) said += static_cast<char>(c);
    status_ = WEXITSTATUS(::pclose(pipe));
    return said;
  }
  std::string saga(const std::string& arguments) {
    return saga(arguments, (postgres() ? "" : "sqlite:") + address_);
  }

  std::optional<SagaOrchestrator> sagas_;
  int status_ = 0;
};
LEAT_ON_EVERY_DATABASE(SagaToolTest);

TEST_P(SagaToolTest, ListsThem) {
  const std::string all = saga("ls");
  EXPECT_EQ(status_, 0) << all;
  EXPECT_THAT(
      all, AllOf(HasSubstr("waits\torder\trunning\treserve/1\t20"),
                 HasSubstr("done\torder\tcompleted\t-\t20"),
                 HasSubstr("failed\torder\tfailed\treserve/1/undo\t20"),
                 HasSubstr("charge failed: card \"x\"\\x0arefused; reserve could not be undone")));
  EXPECT_THAT(saga("ls --status failed"), StartsWith("failed\t"));
  EXPECT_EQ(saga("ls --definition refund"), "");
  EXPECT_EQ(saga("ls --overdue"), "");
  EXPECT_THAT(saga("ls --count 1"), AllOf(StartsWith("done\t"), HasSubstr("--count")));
  ASSERT_TRUE(db().execute("UPDATE leat_saga SET deadline_ms = 1 WHERE id IN ('waits', 'done')"));
  EXPECT_THAT(saga("ls --overdue"), AllOf(StartsWith("waits\t"), Not(HasSubstr("done\t"))));
}

TEST_P(SagaToolTest, HelpsAsAVerbOfLeat) {
  EXPECT_THAT(saga("--help"), AllOf(HasSubstr("leat saga"), HasSubstr("retry")));
  EXPECT_THAT(saga("ls --help"), HasSubstr("--overdue"));
}

TEST_P(SagaToolTest, ListsThemForScripts) {
  EXPECT_THAT(
      saga("ls --json --status running"),
      AllOf(StartsWith("{\"version\":1,\"sagas\":[{\"id\":\"waits\",\"definition\":\"order\","
                       "\"status\":\"running\",\"step\":\"reserve\",\"attempt\":1,"
                       "\"backs_off\":false,\"done\":[],\"why\":\"\",\"saga_version\":1,"
                       "\"created_ms\":"),
            HasSubstr(",\"deadline_ms\":1")));
  EXPECT_EQ(saga("ls --json --status compensated"), "{\"version\":1,\"sagas\":[]}\n");
  EXPECT_THAT(saga("ls --json --status completed"), HasSubstr("\"deadline_ms\":null}]}"));
}

TEST_P(SagaToolTest, ShowsHowOneCameThere) {
  const std::string shown = saga("show failed");
  EXPECT_EQ(status_, 0) << shown;
  EXPECT_THAT(shown,
              AllOf(HasSubstr("status\tfailed"), HasSubstr("done\treserve"),
                    HasSubstr("\tstarted\t-> reserve/1\trunning"),
                    HasSubstr("\tok reserve/1\t-> charge/1\trunning"),
                    HasSubstr("\tfailed charge/1: card \"x\"\\x0arefused\t-> reserve/1/undo\t"
                              "compensating"),
                    HasSubstr("\tnot undone reserve/1/undo\t\tfailed")));
  EXPECT_THAT(saga("show waits"),
              AllOf(HasSubstr("until\t20"), HasSubstr("data\t{\"total\":\\x09\\x01}")));
  EXPECT_THAT(saga("show waits --json"),
              AllOf(StartsWith("{\"version\":1,\"saga\":{\"id\":\"waits\","),
                    HasSubstr("\"data\":\"{\\\"total\\\":\\u0009\\u0001}\","),
                    HasSubstr("\"history\":[{\"saga_version\":1,\"at_ms\":"),
                    HasSubstr("\"what\":\"started\",\"step\":\"\",\"sent\":\"reserve/1\",")));
}

TEST_P(SagaToolTest, HasOneThatFailedGoOn) {
  EXPECT_THAT(saga("retry failed"), HasSubstr("goes on with reserve"));
  EXPECT_EQ(status_, 0);
  const auto sent = take_outbox(db());
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].topic, "order-saga");
  ASSERT_TRUE(db().begin());
  ASSERT_TRUE(sagas_->on_reply(sent[0].record()));
  ASSERT_TRUE(db().commit());
  reply("failed", "reserve/1/undo", "ok");
  EXPECT_THAT(saga("show failed"),
              AllOf(HasSubstr("status\tcompensated"), HasSubstr("\tretried by hand\t")));
}

TEST_P(SagaToolTest, SaysWhatIsWrong) {
  EXPECT_THAT(saga("show nothing"), HasSubstr("'nothing'"));
  EXPECT_EQ(status_, 4);
  EXPECT_THAT(saga("retry nothing"), HasSubstr("'nothing'"));
  EXPECT_EQ(status_, 4);
  EXPECT_THAT(saga("retry waits"), HasSubstr("goes on by itself"));
  EXPECT_EQ(status_, 1);
  EXPECT_THAT(saga("ls --status happy"), HasSubstr("happy"));
  EXPECT_EQ(status_, 2);
  EXPECT_THAT(saga("ls --count 0"), HasSubstr("0"));
  EXPECT_EQ(status_, 2);
  EXPECT_THAT(saga("ls", "mysql://here"), HasSubstr("mysql://here"));
  EXPECT_EQ(status_, 2);
  ASSERT_TRUE(db().run_script("DROP TABLE leat_schema"));
  EXPECT_THAT(saga("ls"), HasSubstr("no sagas"));
  EXPECT_EQ(status_, 7);
}

}  // namespace
}  // namespace leat::patterns
