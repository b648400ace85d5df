#include "client/patterns/relay/row_removal.h"

#include <algorithm>
#include <memory>

#include <libpq-fe.h>

namespace leat::patterns {
namespace {

constexpr const char* kDelete =
    "DELETE FROM leat_outbox WHERE sequence = ANY($1::text::bigint[]) AND failed IS NULL";
constexpr const char* kMark =
    "UPDATE leat_outbox SET published_ms = extract(epoch FROM clock_timestamp()) * 1000 "
    "WHERE sequence = ANY($1::text::bigint[]) AND failed IS NULL AND published_ms IS NULL";

}  // namespace

int RowRemoval::socket() const {
  return PQsocket(database_.handle());
}

void RowRemoval::add(const std::vector<std::int64_t>& rows, pgoutput::Lsn whole) {
  for (const std::int64_t row : rows)
    waiting_.append(waiting_.empty() ? "" : ",").append(std::to_string(row));
  rows_ += rows.size();
  waiting_whole_ = std::max(waiting_whole_, whole);
  if (idle()) done_ = waiting_whole_;
}

Result<> RowRemoval::advance(std::size_t most) {
  for (;;) {
    const bool wait = most == 0 ? !idle() : rows_ > most;
    if (under_way_) {
      auto over = ended(wait);
      if (!over) return fail(over.error());
      if (!*over) return {};
    }
    if (rows_ == 0) {
      done_ = std::max(done_, waiting_whole_);
      return {};
    }
    if (auto ok = begin(); !ok) return ok;
    if (!wait) return {};
  }
}

Result<> RowRemoval::begin() {
  const std::string rows = "{" + std::exchange(waiting_, {}) + "}";
  const char* const value = rows.c_str();
  PGconn* const handle = database_.handle();
  if (!PQsendQueryParams(handle, keep_ ? kMark : kDelete, 1, nullptr, &value, nullptr, nullptr, 0))
    return fail(postgres_error(nullptr, handle));
  under_way_ = true;
  rows_ = 0;
  removed_whole_ = waiting_whole_;
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
      done_ = std::max(done_, removed_whole_);
      return true;
    }
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK)
      return fail(postgres_error(result.get(), handle));
  }
  return false;
}

}  // namespace leat::patterns
