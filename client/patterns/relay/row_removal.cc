#include "client/patterns/relay/row_removal.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <libpq-fe.h>

namespace leat::patterns {
namespace {

constexpr const char* kDelete =
    "DELETE FROM leat_outbox WHERE sequence = ANY($1::text::bigint[]) AND failed IS NULL "
    "RETURNING 1";
constexpr const char* kMark =
    "UPDATE leat_outbox SET published_ms = extract(epoch FROM clock_timestamp()) * 1000 "
    "WHERE sequence = ANY($1::text::bigint[]) AND failed IS NULL AND published_ms IS NULL "
    "RETURNING 1";
// Whether the statement saw what all the transactions did. Of their ids the log tells 32 bits: the
// nearest to the next one that will be given is meant.
constexpr const char* kSeen =
    "SELECT coalesce(bool_and(pg_visible_in_snapshot((next + ((id - next) % 4294967296 + "
    "6442450944) % 4294967296 - 2147483648)::text::xid8, seen)), true) "
    "FROM unnest($2::text::bigint[]) AS id, (SELECT pg_current_snapshot() AS seen, "
    "pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next) AS now";
// Until a commit that is on disk is seen; most often it is by then.
constexpr const char* kPause = "SELECT pg_sleep(0.005)";

template <class Numbers>
void join(std::string& to, const Numbers& numbers) {
  for (const auto number : numbers) to.append(to.empty() ? "" : ",").append(std::to_string(number));
}

}  // namespace

int RowRemoval::socket() const {
  return PQsocket(database_.handle());
}

void RowRemoval::add(const std::vector<std::int64_t>& rows, pgoutput::Lsn whole,
                     const std::vector<std::uint32_t>& transactions) {
  join(waiting_.numbers, rows);
  join(waiting_.transactions, transactions);
  waiting_.count += rows.size();
  waiting_.any = waiting_.any || !rows.empty() || !transactions.empty();
  waiting_.whole = std::max(waiting_.whole, whole);
  if (idle()) done_ = std::max(done_, waiting_.whole);
}

Result<> RowRemoval::advance(std::size_t most) {
  for (;;) {
    const bool wait = most == 0 ? !idle() : waiting_.count > most;
    if (under_way_) {
      auto over = ended(wait);
      if (!over) return fail(over.error());
      if (!*over) return {};
    }
    if (idle()) {
      done_ = std::max(done_, waiting_.whole);
      return {};
    }
    if (auto ok = begin(); !ok) return ok;
    if (!wait) return {};
  }
}

Result<> RowRemoval::begin() {
  if (removing_.any)
    pausing_ = !pausing_;
  else
    removing_ = std::exchange(waiting_, Rows{.whole = waiting_.whole});
  const std::string rows = "{" + removing_.numbers + "}",
                    transactions = "{" + removing_.transactions + "}";
  const std::string sql =
      pausing_ ? kPause : "WITH removed AS (" + std::string(keep_ ? kMark : kDelete) + ") " + kSeen;
  const char* const values[] = {rows.c_str(), transactions.c_str()};
  PGconn* const handle = database_.handle();
  if (!PQsendQueryParams(handle, sql.c_str(), pausing_ ? 0 : 2, nullptr, values, nullptr, nullptr,
                         0))
    return fail(postgres_error(nullptr, handle));
  under_way_ = true;
  return {};
}

// Whether the statement under way is over.
Result<bool> RowRemoval::ended(bool wait) {
  PGconn* const handle = database_.handle();
  if (!PQconsumeInput(handle)) return fail(postgres_error(nullptr, handle));
  while (wait || !PQisBusy(handle)) {
    const std::unique_ptr<PGresult, void (*)(PGresult*)> result(PQgetResult(handle), PQclear);
    if (!result) {
      under_way_ = false;
      if (std::exchange(seen_, false)) {
        done_ = std::max(done_, removing_.whole);
        removing_ = {};
      }
      return true;
    }
    if (PQresultStatus(result.get()) != PGRES_TUPLES_OK)
      return fail(postgres_error(result.get(), handle));
    seen_ = !pausing_ && *PQgetvalue(result.get(), 0, 0) == 't';
  }
  return false;
}

}  // namespace leat::patterns
