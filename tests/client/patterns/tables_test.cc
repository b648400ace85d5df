// Tables of every pattern: of a version that this program does not know they are refused, in both
// databases, with what to do, and stay as they are.
#include "client/patterns/tables.h"

#include <functional>
#include <map>

#include <gmock/gmock.h>

#include "client/patterns/inbox.h"
#include "client/patterns/outbox.h"
#include "client/patterns/outbox_tables.h"
#include "client/patterns/relay/outbox_reader.h"
#include "client/patterns/relay/outbox_slot.h"
#include "client/patterns/saga/saga_orchestrator.h"
#include "client/patterns/saga/saga_participant.h"
#include "client/patterns/version_gate.h"
#include "tests/client/patterns/databases.h"

namespace leat::patterns {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Open = std::function<Result<>(Database&)>;

template <class T>
Result<> only_error(const Result<T>& result) {
  if (!result) return fail(result.error());
  return {};
}

class TablesTest : public Databases {
 protected:
  // By the name that the tables have in leat_schema.
  std::multimap<std::string, Open> everybody() const {
    std::multimap<std::string, Open> all = {
        {"inbox", [](Database& db) { return only_error(Inbox::open(db, {.consumer = "c"})); }},
        {"version", [](Database& db) { return only_error(VersionGate::open(db, "stock")); }},
        {"outbox", [](Database& db) { return only_error(Outbox::open(db)); }},
        {"outbox", [](Database& db) { return only_error(OutboxReader::open(db, {.name = "r"})); }},
        {"saga", [](Database& db) { return only_error(SagaStore::open(db)); }},
        {"saga", [](Database& db) { return only_error(SagaStore::existing(db)); }},
        {"saga command",
         [](Database& db) {
           auto outbox = Outbox::open(db);
           if (!outbox) return only_error(outbox);
           return only_error(SagaParticipant::open(db, *outbox, "stock"));
         }},
    };
    if (!postgres()) return all;
    const Open tail = [](Database& db) {
      auto& database = dynamic_cast<PostgresDatabase&>(db);
      return only_error(prepare_slot(database, {.connection = "host=/nowhere"}, -1));
    };
    all.emplace("outbox_notify", [](Database& db) { return only_error(Outbox::open(db)); });
    all.emplace("outbox", tail);
    all.emplace("outbox_tail", tail);
    return all;
  }
  void set_version(const std::string& name, std::int64_t version) {
    auto set = db().execute("UPDATE leat_schema SET version = $2 WHERE name = $1",
                            {std::string_view(name), version});
    ASSERT_TRUE(set && set->affected() == 1) << name;
  }
  std::int64_t version(const std::string& name) {
    return db()
        .execute("SELECT version FROM leat_schema WHERE name = $1", {std::string_view(name)})
        ->integer(0, 0);
  }
};
LEAT_ON_EVERY_DATABASE(TablesTest);

TEST_P(TablesTest, OfAnotherVersionTheyAreRefusedWithWhatToDo) {
  for (const auto& [name, open] : everybody())
    [[maybe_unused]] const auto made = open(db());  // of a tail the tables alone: it has no server
  for (const auto& [name, open] : everybody()) {
    SCOPED_TRACE(name);
    const std::int64_t known = version(name);
    for (const auto& [other, advice] :
         std::map<std::int64_t, std::string>{{known + 1, "use a program that is as new"},
                                             {0, "open them with a release in between"}}) {
      set_version(name, other);
      const Result<> opened = open(db());
      ASSERT_FALSE(opened);
      EXPECT_EQ(opened.error().code, ErrorCode::kDatabaseSchema);
      EXPECT_THAT(opened.error().detail,
                  AllOf(HasSubstr("'" + name + "'"), HasSubstr(std::to_string(other)),
                        HasSubstr("knows version " + std::to_string(known)), HasSubstr(advice)));
      EXPECT_FALSE(db().in_transaction());
      EXPECT_EQ(version(name), other);
    }
    set_version(name, known);
  }
}

}  // namespace
}  // namespace leat::patterns
