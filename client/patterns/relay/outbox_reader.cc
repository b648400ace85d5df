#include "client/patterns/relay/outbox_reader.h"

#include <algorithm>
#include <deque>
#include <set>

#include "client/patterns/outbox.h"
#include "client/patterns/outbox_tables.h"

namespace leat::patterns {
namespace {

// In the order that columns are read in, below.
constexpr std::string_view kColumnsPostgres =
    "sequence, id::text, aggregatetype, aggregateid, type, payload, headers, traceparent, "
    "deliver_at_ms, lane, txid < pg_snapshot_xmin(pg_current_snapshot())";
constexpr std::string_view kColumnsSqlite =
    "sequence, id, aggregatetype, aggregateid, type, payload, headers, traceparent, "
    "deliver_at_ms, 0, 1";
constexpr std::size_t kLane = 9, kReady = 10;

// A round takes less time than its statements' plans, so these are made once. What is known of the
// table then may be that it is empty: its indexes are right whatever it becomes. What cannot do
// without costs so much on paper that it would be compiled, for tens of milliseconds each time.
constexpr const char* kPlans =
    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; "
    "SET enable_bitmapscan = off; SET enable_sort = off; SET jit = off";

OutboxRow row_at(const SqlRows& rows, std::size_t i) {
  OutboxRow row{.sequence = rows.integer(i, 0),
                .id = rows.text(i, 1),
                .aggregate_type = rows.text(i, 2),
                .aggregate_id = rows.text(i, 3),
                .type = rows.text(i, 4),
                .headers = rows.text(i, 6)};
  if (!rows.is_null(i, 5)) row.payload = rows.bytes(i, 5);
  if (!rows.is_null(i, 7)) row.traceparent = rows.text(i, 7);
  if (!rows.is_null(i, 8)) row.deliver_at_ms = rows.integer(i, 8);
  return row;
}

std::string joined(const std::vector<OutboxRow>& rows) {
  std::string numbers;
  for (const OutboxRow& row : rows)
    numbers += (numbers.empty() ? "" : ",") + std::to_string(row.sequence);
  return numbers;
}

}  // namespace

Result<OutboxReader> OutboxReader::open(Database& database, OutboxReaderOptions options) {
  if (options.name.empty() || options.rows < 1)
    return fail(ErrorCode::kInvalidConfig, "a relay has a name, and rounds of at least one row");
  OutboxReader reader(database, std::move(options));
  if (auto ok = ensure_tables(database, outbox_tables()); !ok) return fail(ok.error());
  if (auto ok = reader.read_identity(); !ok) return fail(ok.error());
  if (reader.postgres())
    if (auto ok = database.in_each_session(kPlans); !ok) return fail(ok.error());
  return reader;
}

Result<> OutboxReader::read_identity() {
  const std::string id = new_message_id();
  if (auto made = database_->execute(
          "INSERT INTO leat_outbox_identity VALUES (1, $1) ON CONFLICT DO NOTHING",
          {std::string_view(id)});
      !made)
    return fail(made.error());
  auto known = database_->execute("SELECT id FROM leat_outbox_identity");
  if (!known) return fail(known.error());
  identity_ = known->text(0, 0);
  return {};
}

// ---- leases ----

Result<> OutboxReader::renew_leases() {
  auto tx = Transaction::begin(*database_);
  if (!tx) return fail(tx.error());
  std::int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
  if (postgres()) {  // one clock for all that come
    auto time = database_->execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint");
    if (!time) return fail(time.error());
    now = time->integer(0, 0);
  }
  if (auto ok = lease(now); !ok) {
    leased_.clear();  // to be read anew
    given_.clear();
    return ok;
  }
  auto committed = tx->commit();
  if (!committed) leased_.clear(), given_.clear();
  return committed;
}

// How many lanes each of those that live may have.
Result<std::int64_t> OutboxReader::share(std::int64_t now) {
  const std::int64_t until = now + options_.lease.count();
  for (auto done :
       {database_->execute("INSERT INTO leat_outbox_relay VALUES ($1, $2) "
                           "ON CONFLICT (name) DO UPDATE SET until_ms = excluded.until_ms",
                           {options_.name, until}),
        database_->execute("DELETE FROM leat_outbox_relay WHERE until_ms < $1", {now})})
    if (!done) return fail(done.error());
  auto live = database_->execute("SELECT count(*) FROM leat_outbox_relay");
  if (!live) return fail(live.error());
  const std::int64_t lanes = outbox_lanes(database_->dialect());
  return (lanes + live->integer(0, 0) - 1) / live->integer(0, 0);
}

Result<> OutboxReader::lease(std::int64_t now) {
  auto rows = database_->execute(
      postgres() ? "SELECT lane, relay, until_ms, round, open FROM leat_outbox_lane ORDER BY lane "
                   "FOR UPDATE"
                 : "SELECT lane, relay, until_ms, round, open FROM leat_outbox_lane ORDER BY lane");
  if (!rows) return fail(rows.error());
  const auto most = share(now);
  if (!most) return fail(most.error());
  std::map<int, Lane> mine;
  const auto is_mine = [&](std::size_t i) { return rows->text(i, 1) == options_.name; };
  const auto take = [&](bool own) {
    for (std::size_t i = 0; i < rows->size(); ++i)
      if (own == is_mine(i) && (own || rows->integer(i, 2) < now) &&
          static_cast<std::int64_t>(mine.size()) < *most)
        mine[static_cast<int>(rows->integer(i, 0))] = {rows->integer(i, 3),
                                                       std::string(rows->text(i, 4))};
  };
  take(true);
  take(false);
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const bool keep = mine.contains(static_cast<int>(rows->integer(i, 0)));
    if (!keep && !is_mine(i)) continue;
    auto written = database_->execute(
        "UPDATE leat_outbox_lane SET relay = $2, until_ms = $3 WHERE lane = $1",
        {rows->integer(i, 0), keep ? std::string_view(options_.name) : std::string_view(),
         keep ? now + options_.lease.count() : std::int64_t(0)});
    if (!written) return fail(written.error());
  }
  leased_ = std::move(mine);
  note_holders(*rows);
  std::erase_if(given_, [this](int lane) { return !leased_.contains(lane); });
  return {};
}

void OutboxReader::note_holders(const SqlRows& lanes) {
  held_by_others_ = ErrorCode::kOk;
  if (!leased_.empty()) return;
  std::set<std::string> names;
  for (std::size_t i = 0; i < lanes.size(); ++i) names.emplace(lanes.text(i, 1));
  if (names.erase(std::string(kTailHolder)) > 0) {
    held_by_others_ = {ErrorCode::kDatabaseConflict,
                       "this outbox is published by reading PostgreSQL's log (leat outbox relay "
                       "--tail); a relay that polls waits until its slot is removed (leat outbox "
                       "relay --tail --remove-slot)"};
    return;
  }
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "'" : ", '") + name + "'";
  held_by_others_ = {ErrorCode::kDatabaseConflict,
                     "other relays have all lanes of this outbox: " + list +
                         "; this one waits until one of them ends"};
}

void OutboxReader::release() {
  given_.clear();
  leased_.clear();
  auto tx = Transaction::begin(*database_);
  if (!tx) return;  // they run out
  if (!database_->execute("UPDATE leat_outbox_lane SET relay = '', until_ms = 0 WHERE relay = $1",
                          {options_.name}) ||
      !database_->execute("DELETE FROM leat_outbox_relay WHERE name = $1", {options_.name}))
    return;
  (void)tx->commit();
}

std::string OutboxReader::lane_list() const {
  std::string list;
  for (const auto& [lane, state] : leased_)
    list += (list.empty() ? "" : ",") + std::to_string(lane);
  return list;
}

// ---- rounds ----

Result<std::vector<OutboxRound>> OutboxReader::next(const std::vector<RefusedRow>& refused,
                                                    const std::set<int>& unfinished) {
  waits_for_others_ = false;
  std::erase_if(given_, [&](int lane) { return unfinished.contains(lane); });
  if (leased_.empty()) return std::vector<OutboxRound>();
  const auto forget = [this](const Error& why) {
    leased_.clear();  // renew_leases() finds what became of it
    given_.clear();
    changed_.clear();
    return fail(why);
  };
  const std::vector<int> finished = std::exchange(given_, {});
  auto rounds = begin(finished, refused);
  if (!rounds) return forget(rounds.error());
  Transaction tx(*database_);
  for (const int lane : finished) changed_.insert(lane);
  if (auto ok = write_down(); !ok) return forget(ok.error());
  // What is only taken off may come again after a crash: the broker knows it. What is to be
  // published must be on disk before.
  if (auto ok = rounds->empty() ? tx.commit_lazily() : tx.commit(); !ok) return forget(ok.error());
  for (const OutboxRound& round : *rounds) given_.push_back(round.lane);
  return rounds;
}

// Statements, and the texts that their parameters lie in.
struct OutboxReader::Statements {
  std::vector<SqlStatement> all;
  std::deque<std::string> texts;
  std::string_view keep(std::string text) { return texts.emplace_back(std::move(text)); }
};

// Begins the transaction: everything that needs no answer before it, in one round trip.
Result<std::vector<OutboxRound>> OutboxReader::begin(const std::vector<int>& finished,
                                                     const std::vector<RefusedRow>& refused) {
  Statements statements;
  finish(finished, refused, statements);
  const bool again = any_open();
  if (!again) choose(statements);
  auto given = database_->begin_with(statements.all);
  if (!given) return fail(given.error());
  if (!again) {
    chosen_ = std::move(given->back());
    return make_rounds();
  }
  auto rounds = reopened();
  if (!rounds) database_->rollback();
  return rounds;
}

void OutboxReader::finish(const std::vector<int>& lanes, const std::vector<RefusedRow>& refused,
                          Statements& into) {
  for (const RefusedRow& row : refused)
    into.all.push_back({"UPDATE leat_outbox SET failed = $2 WHERE sequence = $1",
                        {row.sequence, into.keep(row.why)}});
  std::string numbers;
  for (const int lane : lanes) {
    Lane& state = leased_.at(lane);
    if (!state.open.empty()) numbers += (numbers.empty() ? "" : ",") + state.open;
    state.open.clear();
  }
  if (numbers.empty()) return;
  const std::string which =
      postgres() ? " WHERE sequence = ANY($1::text::bigint[]) AND failed IS NULL"
                 : " WHERE sequence IN (SELECT value FROM json_each($1)) AND failed IS NULL";
  const std::string now = postgres() ? "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
                                     : "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)";
  into.all.push_back(
      {into.keep(options_.keep ? "UPDATE leat_outbox SET published_ms = " + now + which
                               : "DELETE FROM leat_outbox" + which),
       {into.keep(list_of(numbers))}});
}

bool OutboxReader::any_open() const {
  return std::ranges::any_of(leased_, [](const auto& lane) { return !lane.second.open.empty(); });
}

std::string OutboxReader::list_of(const std::string& numbers) const {
  return postgres() ? "{" + numbers + "}" : "[" + numbers + "]";
}

// Rounds of lanes that were leased open.
Result<std::vector<OutboxRound>> OutboxReader::reopened() {
  std::vector<OutboxRound> rounds;
  again_.clear();
  for (auto& [lane, state] : leased_) {
    if (state.open.empty()) continue;
    auto rows = database_->execute(
        postgres() ? "SELECT " + std::string(kColumnsPostgres) +
                         " FROM leat_outbox WHERE sequence = ANY($1::text::bigint[]) "
                         "AND failed IS NULL ORDER BY sequence"
                   : "SELECT " + std::string(kColumnsSqlite) +
                         " FROM leat_outbox WHERE sequence IN (SELECT value FROM json_each($1)) "
                         "AND failed IS NULL ORDER BY sequence",
        {std::string_view(list_of(state.open))});
    if (!rows) return fail(rows.error());
    OutboxRound round{.lane = lane, .number = state.round, .again = true, .rows = {}};
    for (std::size_t i = 0; i < rows->size(); ++i) round.rows.push_back(row_at(*rows, i));
    again_.push_back(std::move(*rows));
    rounds.push_back(std::move(round));
  }
  return rounds;
}

void OutboxReader::choose(Statements& into) const {
  const std::int64_t each =
      std::max<std::int64_t>(options_.rows / static_cast<std::int64_t>(leased_.size()), 1);
  // Lane by lane, each a walk along the index by lane and sequence: only that has this order.
  into.all.push_back(
      {into.keep(postgres()
                     ? "SELECT chosen.* FROM unnest($2::text::int[]) AS mine (number) CROSS JOIN "
                       "LATERAL (SELECT " +
                           std::string(kColumnsPostgres) +
                           " FROM leat_outbox WHERE lane >= mine.number AND lane <= mine.number "
                           "AND published_ms IS NULL AND failed IS NULL "
                           "ORDER BY lane, sequence LIMIT $1) AS chosen"
                     : "SELECT " + std::string(kColumnsSqlite) +
                           " FROM leat_outbox WHERE published_ms IS NULL AND failed IS NULL "
                           "AND $2 <> '' ORDER BY sequence LIMIT $1"),
       {each, into.keep(list_of(lane_list()))}});
}

// Visible rows by their numbers. Transactions that began before one of them did may still write
// rows with smaller numbers, so it waits for them; and what is of the same aggregate behind it
// waits with it.
std::vector<OutboxRound> OutboxReader::make_rounds() {
  std::map<int, OutboxRound> by_lane;
  std::set<std::pair<std::string_view, std::string_view>> waiting;
  for (std::size_t i = 0; i < chosen_.size(); ++i) {
    OutboxRow row = row_at(chosen_, i);
    const std::pair aggregate(row.aggregate_type, row.aggregate_id);
    if (chosen_.integer(i, kReady) == 0) waiting.insert(aggregate);
    if (!waiting.empty() && waiting.contains(aggregate)) continue;
    by_lane[static_cast<int>(chosen_.integer(i, kLane))].rows.push_back(std::move(row));
  }
  waits_for_others_ = !waiting.empty();
  std::vector<OutboxRound> rounds;
  for (auto& [lane, round] : by_lane) {
    Lane& state = leased_.at(lane);
    state.open = joined(round.rows);
    round.lane = lane;
    round.number = ++state.round;
    changed_.insert(lane);
    rounds.push_back(std::move(round));
  }
  return rounds;
}

// All lanes in one statement; SQLite has but one.
Result<> OutboxReader::write_down() {
  const std::set<int> changed = std::exchange(changed_, {});
  if (changed.empty()) return {};
  std::string numbers, rounds, open;
  for (const int number : changed) {
    const Lane& lane = leased_.at(number);
    const char* const comma = numbers.empty() ? "" : ",";
    numbers += comma + std::to_string(number);
    rounds += comma + std::to_string(lane.round);
    open += comma + (postgres() ? '"' + lane.open + '"' : lane.open);
  }
  if (postgres()) numbers = list_of(numbers), rounds = list_of(rounds), open = list_of(open);
  auto written = database_->execute(
      postgres() ? "UPDATE leat_outbox_lane AS old SET round = new.round, open = new.open "
                   "FROM unnest($1::text::int[], $2::text::bigint[], $3::text::text[]) "
                   "AS new (lane, round, open) WHERE old.lane = new.lane AND old.relay = $4"
                 : "UPDATE leat_outbox_lane SET round = $2, open = $3 "
                   "WHERE lane = $1 AND relay = $4",
      {std::string_view(numbers), std::string_view(rounds), std::string_view(open), options_.name});
  if (!written) return fail(written.error());
  if (written->affected() != static_cast<std::int64_t>(changed.size()))
    return fail(ErrorCode::kDatabaseConflict,
                "another relay has taken lanes over meanwhile, of " + numbers);
  return {};
}

}  // namespace leat::patterns
