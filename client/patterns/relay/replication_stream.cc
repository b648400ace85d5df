#include "client/patterns/relay/replication_stream.h"

#include <poll.h>

#include <libpq-fe.h>

#include "client/patterns/sql/postgres.h"

namespace leat::patterns {
namespace {

using pgoutput::Lsn;

constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;  // 2000-01-01, in its own time
constexpr const char* kObjectInUse = "55006";
constexpr auto kEnding = std::chrono::milliseconds(1'000);

Error lost(PGconn* connection) {
  std::string said = PQerrorMessage(connection);
  said.resize(std::min(said.find('\n'), said.size()));
  return {ErrorCode::kDatabaseUnreachable,
          said.empty() ? "PostgreSQL ended the replication" : said};
}

// False: stopped.
bool wait_on(PGconn* connection, std::chrono::milliseconds most, int stop, int other = -1) {
  // poll() passes over those that are negative.
  pollfd waits[] = {{PQsocket(connection), POLLIN, 0}, {stop, POLLIN, 0}, {other, POLLIN, 0}};
  ::poll(waits, 3, static_cast<int>(most.count()));
  return waits[1].revents == 0;
}

}  // namespace

Result<ReplicationConnection> connect_for_replication(const std::string& connection) {
  const char* const keys[] = {"connect_timeout", "dbname", "replication", "client_encoding",
                              nullptr};
  const char* const values[] = {"10", connection.c_str(), "database", "UTF8", nullptr};
  ReplicationConnection made(PQconnectdbParams(keys, values, 1), PQfinish);
  if (PQstatus(made.get()) != CONNECTION_OK) return fail(lost(made.get()));
  PQsetNoticeProcessor(
      made.get(), [](void*, const char*) {}, nullptr);
  return made;
}

Result<std::shared_ptr<PGresult>> run_command(PGconn* connection, const std::string& command,
                                              int stop) {
  if (!PQsendQuery(connection, command.c_str())) return fail(lost(connection));
  std::shared_ptr<PGresult> last;
  for (;;) {
    while (PQisBusy(connection)) {
      if (!wait_on(connection, std::chrono::minutes(1), stop)) {
        char why[256];
        PGcancel* const cancel = PQgetCancel(connection);
        PQcancel(cancel, why, sizeof why);
        PQfreeCancel(cancel);
        return fail(ErrorCode::kClosed, "stopped");
      }
      if (!PQconsumeInput(connection)) return fail(lost(connection));
    }
    std::shared_ptr<PGresult> result(PQgetResult(connection), PQclear);
    if (!result && !last) return fail(lost(connection));
    if (!result) return last;
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_FATAL_ERROR) return fail(postgres_error(result.get(), connection));
    last = std::move(result);
    if (status == PGRES_COPY_BOTH) return last;
  }
}

Result<std::unique_ptr<ReplicationStream>> ReplicationStream::open(const std::string& connection,
                                                                   const std::string& slot,
                                                                   const std::string& publication,
                                                                   int stop) {
  auto made = connect_for_replication(connection);
  if (!made) return fail(made.error());
  PGconn* const handle = made->get();
  std::string command = "START_REPLICATION SLOT \"" + slot +
                        "\" LOGICAL 0/0 (proto_version '1', publication_names '\"" + publication +
                        "\"'";
  if (PQserverVersion(handle) >= 140'000) command += ", binary 'true'";  // no text to be read back
  auto begun = run_command(handle, command + ")", stop);
  if (!begun && begun.error().detail.find(kObjectInUse) != std::string::npos)
    return fail(ErrorCode::kDatabaseConflict,
                "another relay reads the replication slot '" + slot +
                    "'; this one takes over when that ends: " + begun.error().detail);
  if (!begun) return fail(begun.error());
  if (PQresultStatus(begun->get()) != PGRES_COPY_BOTH || PQsetnonblocking(handle, 1) != 0)
    return fail(ErrorCode::kDatabaseFailed, "PostgreSQL did not begin to replicate");
  return std::unique_ptr<ReplicationStream>(new ReplicationStream(std::move(*made)));
}

ReplicationStream::~ReplicationStream() {
  PGconn* const handle = connection_.get();
  if (PQstatus(handle) != CONNECTION_OK || PQputCopyEnd(handle, nullptr) < 0) return;
  const auto until = std::chrono::steady_clock::now() + kEnding;
  while (PQflush(handle) >= 0 && std::chrono::steady_clock::now() < until) {
    const auto arrived = next();
    if (!arrived) break;  // the end of it
    if (!*arrived) wait(kEnding, -1);
  }
  // The command has ended when its last result is there.
  while (!PQisBusy(handle) && PQstatus(handle) == CONNECTION_OK)
    if (const std::shared_ptr<PGresult> result(PQgetResult(handle), PQclear); !result) break;
}

// After the last of what it sent.
Error ReplicationStream::ended() {
  PGconn* const handle = connection_.get();
  const std::shared_ptr<PGresult> result(PQgetResult(handle), PQclear);
  if (result && PQresultStatus(result.get()) == PGRES_FATAL_ERROR)
    return postgres_error(result.get(), handle);
  return lost(handle);
}

Result<std::optional<ReplicationStream::Arrived>> ReplicationStream::next() {
  PGconn* const handle = connection_.get();
  char* buffer = nullptr;
  int size = PQgetCopyData(handle, &buffer, 1);
  if (size == 0) {
    if (!PQconsumeInput(handle)) return fail(lost(handle));
    size = PQgetCopyData(handle, &buffer, 1);
  }
  if (size == 0) return std::nullopt;
  if (size < 0) return fail(ended());
  const std::shared_ptr<const void> owner(buffer, PQfreemem);
  const Bytes whole(reinterpret_cast<const std::byte*>(buffer), static_cast<std::size_t>(size));
  ByteReader reader(whole);
  Arrived arrived{.message = {}, .owner = owner};
  const auto kind = static_cast<char>(reader.be<std::uint8_t>());
  if (kind == 'w') {
    reader.be<Lsn>();           // where it begins
    reader.be<Lsn>();           // where the log ends
    reader.be<std::int64_t>();  // when
    arrived.message = reader.bytes(reader.remaining());
    if (!reader.failed() && !arrived.message.empty()) return arrived;
  } else if (kind == 'k') {
    arrived.end = reader.be<Lsn>();
    reader.be<std::int64_t>();
    arrived.reply_wanted = reader.be<std::uint8_t>() != 0;
    if (reader.finished()) return arrived;
  }
  return fail(ErrorCode::kDatabaseFailed, "PostgreSQL's replication holds what makes no sense");
}

void ReplicationStream::wait(std::chrono::milliseconds most, int stop, int other) {
  wait_on(connection_.get(), most, stop, other);
}

Result<> ReplicationStream::confirm(Lsn done, bool ask) {
  PGconn* const handle = connection_.get();
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  std::byte update[34];
  update[0] = std::byte{'r'};
  for (const std::size_t at : {1u, 9u, 17u}) store_be<Lsn>(update + at, done);
  store_be<std::int64_t>(update + 25, now - kPostgresEpochUs);
  update[33] = std::byte{ask};
  // 0: no room now, since the server does not read; it is told the next time.
  if (PQputCopyData(handle, reinterpret_cast<const char*>(update), sizeof update) < 0 ||
      PQflush(handle) < 0)
    return fail(lost(handle));
  return {};
}

}  // namespace leat::patterns
