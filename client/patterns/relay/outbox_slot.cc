#include "client/patterns/relay/outbox_slot.h"

#include <algorithm>
#include <optional>

#include <libpq-fe.h>

#include "client/patterns/outbox.h"
#include "client/patterns/outbox_tables.h"
#include "client/patterns/relay/replication_stream.h"

namespace leat::patterns {
namespace {

constexpr std::int64_t kLock = 0x6c656174'7461696c;  // whoever makes or removes a slot

TableSet tail_tables() {
  return {.name = "outbox_tail",
          .version = 1,
          .sqlite = {},
          .postgres =
              "CREATE TABLE IF NOT EXISTS leat_outbox_tail (slot TEXT PRIMARY KEY, "
              "source TEXT NOT NULL, begins TEXT NOT NULL, snapshot TEXT NOT NULL, "
              "backlog_done BOOLEAN NOT NULL DEFAULT false)"};
}

Result<> check_name(const std::string& what, const std::string& name) {
  const bool good = !name.empty() && name.size() <= 63 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (good) return {};
  return fail(ErrorCode::kInvalidConfig,
              "a " + what + " called '" + name + "': use 1 to 63 of a-z 0-9 _");
}

// Of a connection that is refused PostgreSQL gives words alone, of version 15 and 16.
Error with_hint(Error error) {
  const auto says = [&](const char* text) { return error.detail.find(text) != std::string::npos; };
  if (says("42501") || says("start walsender") || says("start WAL sender"))
    error.detail +=
        "; the relay's role needs the attribute REPLICATION (ALTER ROLE … REPLICATION) "
        "and has to own leat_outbox, or make slot and publication for it beforehand";
  return error;
}

// Of the session, until the end of the scope.
class Lock {
 public:
  static Result<Lock> take(PostgresDatabase& database) {
    auto taken = database.execute("SELECT pg_advisory_lock($1::text::bigint)", {kLock});
    if (!taken) return fail(taken.error());
    return Lock(database);
  }
  Lock(Lock&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Lock& operator=(Lock&&) = delete;
  ~Lock() {
    if (database_) [[maybe_unused]]
      auto given = database_->execute("SELECT pg_advisory_unlock($1::text::bigint)", {kLock});
  }

 private:
  explicit Lock(PostgresDatabase& database) : database_(&database) {}
  PostgresDatabase* database_;
};

class Preparation {
 public:
  Preparation(PostgresDatabase& database, const SlotOptions& options, int stop)
      : database_(database), options_(options), stop_(stop) {}

  Result<OutboxSlot> run() {
    for (auto ok :
         {check_name("replication slot", options_.slot),
          check_name("publication", options_.publication),
          ensure_tables(database_, outbox_tables()), ensure_tables(database_, tail_tables())})
      if (!ok) return fail(ok.error());
    auto lock = Lock::take(database_);
    if (!lock) return fail(lock.error());
    if (auto ok = check_server(); !ok) return fail(ok.error());
    if (auto ok = ensure_publication(); !ok) return fail(with_hint(ok.error()));
    return find_slot();
  }

 private:
  struct Slot {
    bool useless = false;  // PostgreSQL has removed log that it needs
    bool active = false;
  };

  Result<> check_server() {
    auto rows = database_.execute("SELECT current_setting('wal_level')");
    if (!rows) return fail(rows.error());
    if (rows->text(0, 0) == "logical") return {};
    return fail(ErrorCode::kInvalidConfig,
                "PostgreSQL's wal_level is '" + std::string(rows->text(0, 0)) +
                    "', the log tells rows only with 'logical': run ALTER SYSTEM SET wal_level = "
                    "logical, restart PostgreSQL, or let the relay poll");
  }

  Result<> ensure_publication() {
    auto rows = database_.execute(
        "SELECT pubinsert, EXISTS (SELECT FROM pg_publication_tables t WHERE t.pubname = p.pubname "
        "AND t.tablename = 'leat_outbox' AND t.schemaname = (SELECT n.nspname FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'leat_outbox'::regclass)) "
        "FROM pg_publication p WHERE pubname = $1",
        {std::string_view(options_.publication)});
    if (!rows) return fail(rows.error());
    if (rows->empty())
      return database_.run_script("CREATE PUBLICATION " + options_.publication +
                                  " FOR TABLE leat_outbox WITH (publish = 'insert')");
    if (rows->integer(0, 0) != 0 && rows->integer(0, 1) != 0) return {};
    return fail(
        ErrorCode::kDatabaseFailed,
        "the publication '" + options_.publication +
            "' does not tell of rows inserted into "
            "leat_outbox: name another one, or run ALTER PUBLICATION " +
            options_.publication +
            (rows->integer(0, 1) == 0 ? " ADD TABLE leat_outbox" : " SET (publish = 'insert')"));
  }

  Result<OutboxSlot> find_slot() {
    auto slot = read_slot();
    if (!slot) return fail(slot.error());
    auto known = read_known();
    if (!known) return fail(known.error());
    const bool useless = *slot && (*slot)->useless;
    if (*known && *slot && !useless) return **known;
    if (*known && !options_.begin_anew) return fail(gone(useless));
    if (*slot && (*slot)->active)
      return fail(ErrorCode::kDatabaseConflict,
                  "something reads the replication slot '" + options_.slot +
                      "', which no relay has made here: stop it, or name another slot");
    if (*slot)
      if (auto ok = drop(); !ok) return fail(ok.error());
    return make(known->has_value());
  }

  Error gone(bool useless) const {
    return {ErrorCode::kDatabaseFailed,
            (useless ? "PostgreSQL has given up the replication slot '" + options_.slot +
                           "' (wal_status lost): its relay was further behind than "
                           "max_slot_wal_keep_size allows"
                     : "the replication slot '" + options_.slot +
                           "' is gone: somebody has dropped it, or the server is a copy") +
                "; what it would have told is still in leat_outbox: begin anew "
                "(SlotOptions::begin_anew, leat outbox relay --tail --begin-anew), which publishes "
                "all that is there; what was published and not yet deleted comes again, with the "
                "same id"};
  }

  // Errors: it is of another kind.
  Result<std::optional<Slot>> read_slot() {
    auto rows = database_.execute(
        "SELECT coalesce(plugin::text, ''), slot_type, coalesce(database::text, ''), "
        "current_database()::text, active, coalesce(wal_status, '') FROM pg_replication_slots "
        "WHERE slot_name = $1",
        {std::string_view(options_.slot)});
    if (!rows) return fail(rows.error());
    if (rows->empty()) return std::optional<Slot>();
    if (rows->text(0, 1) != "logical" || rows->text(0, 0) != "pgoutput" ||
        rows->text(0, 2) != rows->text(0, 3))
      return fail(ErrorCode::kDatabaseFailed,
                  "the replication slot '" + options_.slot + "' is a " +
                      std::string(rows->text(0, 1)) + " one of plugin '" +
                      std::string(rows->text(0, 0)) + "' in database '" +
                      std::string(rows->text(0, 2)) + "', not one of pgoutput in '" +
                      std::string(rows->text(0, 3)) + "': name another slot");
    return std::optional(Slot{rows->text(0, 5) == "lost", rows->integer(0, 4) != 0});
  }

  Result<std::optional<OutboxSlot>> read_known() {
    auto rows = database_.execute(
        "SELECT source, begins, snapshot, backlog_done FROM leat_outbox_tail WHERE slot = $1",
        {std::string_view(options_.slot)});
    if (!rows) return fail(rows.error());
    if (rows->empty()) return std::optional<OutboxSlot>();
    const auto begins = pgoutput::read_lsn(rows->text(0, 1));
    if (!begins)
      return fail(ErrorCode::kDatabaseSchema, "leat_outbox_tail.begins holds '" +
                                                  std::string(rows->text(0, 1)) +
                                                  "', which is no place in the log");
    return std::optional(OutboxSlot{std::string(rows->text(0, 0)), *begins,
                                    std::string(rows->text(0, 2)), rows->integer(0, 3) != 0});
  }

  Result<> drop() {
    auto dropped = database_.execute("SELECT pg_drop_replication_slot($1::text::name)",
                                     {std::string_view(options_.slot)});
    if (!dropped) return fail(with_hint(dropped.error()));
    return {};
  }

  // One that a crash leaves behind here is not written down: the next start drops it.
  Result<OutboxSlot> make(bool anew) {
    if (!anew)
      if (auto ok = check_lanes(); !ok) return fail(ok.error());
    auto replication = connect_for_replication(options_.connection);
    if (!replication) return fail(with_hint(replication.error()));
    OutboxSlot slot{.source = "outbox/tail/" + new_message_id()};
    const auto run = [&](const std::string& command) {
      return run_command(replication->get(), command, stop_);
    };
    if (auto ok = run("BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ"); !ok)
      return fail(ok.error());
    const auto made =
        run("CREATE_REPLICATION_SLOT \"" + options_.slot + "\" LOGICAL pgoutput USE_SNAPSHOT");
    if (!made) return fail(with_hint(made.error()));
    const auto begins = pgoutput::read_lsn(PQgetvalue(made->get(), 0, 1));
    const auto snapshot = run("SELECT pg_current_snapshot()::text");
    if (!snapshot) return fail(snapshot.error());
    if (!begins || *begins == 0)
      return fail(ErrorCode::kDatabaseFailed, "PostgreSQL does not say where its slot begins");
    slot.begins = *begins;
    slot.snapshot = PQgetvalue(snapshot->get(), 0, 0);
    if (auto ok = write_down(slot, anew); !ok) {
      replication->reset();
      [[maybe_unused]] const auto dropped = drop();
      return fail(ok.error());
    }
    return slot;
  }

  Result<> write_down(const OutboxSlot& slot, bool anew) {
    auto tx = Transaction::begin(database_);
    if (!tx) return fail(tx.error());
    if (!anew)
      if (auto ok = check_lanes(); !ok) return ok;
    const std::string begins = pgoutput::lsn_text(slot.begins);
    for (auto written :
         {database_.execute("UPDATE leat_outbox_lane SET relay = $1, until_ms = $2, open = ''",
                            {kTailHolder, std::int64_t(INT64_MAX)}),
          database_.execute("DELETE FROM leat_outbox_tail WHERE slot = $1",
                            {std::string_view(options_.slot)}),
          database_.execute("INSERT INTO leat_outbox_tail (slot, source, begins, snapshot) "
                            "VALUES ($1, $2, $3, $4)",
                            {std::string_view(options_.slot), std::string_view(slot.source),
                             std::string_view(begins), std::string_view(slot.snapshot)})})
      if (!written) return fail(written.error());
    return tx->commit();
  }

  // What relays that poll have published, and not deleted, must not be published again.
  Result<> check_lanes() {
    auto rows = database_.execute(
        "SELECT relay, until_ms > extract(epoch FROM clock_timestamp()) * 1000, open <> '' AND "
        "EXISTS (SELECT FROM leat_outbox o WHERE o.published_ms IS NULL AND o.failed IS NULL AND "
        "o.sequence = ANY(string_to_array(open, ',')::bigint[])) "
        "FROM leat_outbox_lane ORDER BY lane FOR UPDATE");
    if (!rows) return fail(rows.error());
    for (std::size_t i = 0; i < rows->size(); ++i) {
      const std::string relay(rows->text(i, 0));
      if (relay == kTailHolder)
        return fail(ErrorCode::kDatabaseConflict,
                    "another slot than '" + options_.slot +
                        "' tails this outbox (table leat_outbox_tail): name that one, or remove it "
                        "first");
      if (rows->integer(i, 1) != 0)
        return fail(ErrorCode::kDatabaseConflict,
                    "the relay '" + relay +
                        "' publishes this outbox by polling: stop it before the log is tailed");
      if (rows->integer(i, 2) != 0)
        return fail(ErrorCode::kDatabaseConflict,
                    "a relay that polls has died while it published: let one finish what is open "
                    "(leat outbox relay --once), then tail the log");
    }
    return {};
  }

  PostgresDatabase& database_;
  const SlotOptions& options_;
  int stop_;
};

}  // namespace

Result<OutboxSlot> prepare_slot(PostgresDatabase& database, const SlotOptions& options, int stop) {
  return Preparation(database, options, stop).run();
}

Result<> end_backlog(PostgresDatabase& database, const SlotOptions& options) {
  auto written = database.execute("UPDATE leat_outbox_tail SET backlog_done = true WHERE slot = $1",
                                  {std::string_view(options.slot)});
  return written ? Result<>() : fail(written.error());
}

Result<> check_lag(PostgresDatabase& database, const SlotOptions& options) {
  auto rows = database.execute(
      "SELECT coalesce(wal_status, ''), pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), "
      "confirmed_flush_lsn)) FROM pg_replication_slots WHERE slot_name = $1",
      {std::string_view(options.slot)});
  if (!rows) return fail(rows.error());
  if (rows->empty() || rows->text(0, 0) != "unreserved") return {};
  return fail(ErrorCode::kDatabaseFailed,
              "the replication slot '" + options.slot + "' is " + std::string(rows->text(0, 1)) +
                  " behind, more than max_slot_wal_keep_size allows: PostgreSQL gives it up at its "
                  "next checkpoint, unless the relay catches up before; raise the setting");
}

Result<> remove_slot(PostgresDatabase& database, const SlotOptions& options) {
  for (auto ok : {check_name("replication slot", options.slot),
                  check_name("publication", options.publication)})
    if (!ok) return ok;
  auto lock = Lock::take(database);
  if (!lock) return fail(lock.error());
  auto dropped = database.execute(
      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
      "WHERE slot_name = $1 AND database = current_database() AND plugin = 'pgoutput'",
      {std::string_view(options.slot)});
  if (!dropped && dropped.error().detail.find("55006") != std::string::npos)
    return fail(ErrorCode::kDatabaseConflict,
                "a relay reads the replication slot '" + options.slot + "': stop it first");
  if (!dropped) return fail(dropped.error());
  if (auto ok = database.run_script("DROP PUBLICATION IF EXISTS " + options.publication); !ok)
    return ok;
  auto tx = Transaction::begin(database);
  if (!tx) return fail(tx.error());
  for (auto done : {database.execute("DELETE FROM leat_outbox_tail WHERE slot = $1",
                                     {std::string_view(options.slot)}),
                    database.execute("UPDATE leat_outbox_lane SET relay = '', until_ms = 0 "
                                     "WHERE relay = $1",
                                     {kTailHolder})})
    if (!done) return fail(done.error());
  return tx->commit();
}

}  // namespace leat::patterns
