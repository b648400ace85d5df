#include "examples/demo/postgres_server.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include <signal.h>
#include <unistd.h>

#include <libpq-fe.h>

namespace leat::demo {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kNobody = 65534;

// Where Debian keeps it, the newest; empty: nowhere.
std::string programs() {
  std::string found;
  std::error_code none;
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", none))
    if (fs::exists(version.path() / "bin/postgres") && version.path().string() > found)
      found = version.path().string();
  return found.empty() ? found : found + "/bin/";
}

// PostgreSQL refuses to run as root. It ends with the thread that started it.
std::vector<std::string> as_ordinary_user(std::vector<std::string> command) {
  std::vector<std::string> whole = {"/usr/bin/setpriv", "--pdeathsig", "QUIT"};
  if (::geteuid() == 0)
    for (const char* argument : {"--reuid", "65534", "--regid", "65534", "--clear-groups"})
      whole.emplace_back(argument);
  whole.insert(whole.end(), command.begin(), command.end());
  return whole;
}

void run(const std::vector<std::string>& command, const std::string& log) {
  Process process(as_ordinary_user(command), log);
  for (std::string line; process.read_line(line);) {
  }
  if (process.stop(0) != 0) throw std::runtime_error(command[0] + " failed; see " + log);
}

}  // namespace

bool PostgresServer::installed() {
  return !programs().empty();
}

PostgresServer::PostgresServer(std::string directory, const Options& options)
    : directory_(std::move(directory)) {
  if (!installed()) throw std::runtime_error("no PostgreSQL: apt-get install postgresql");
  fs::permissions(directory_, fs::perms::group_exec | fs::perms::others_exec,
                  fs::perm_options::add);
  const std::string data = directory_ + "/pg";
  fs::create_directory(data);
  if (::geteuid() == 0 && ::chown(data.c_str(), kNobody, kNobody) != 0)
    throw std::runtime_error("chown " + data);
  run({programs() + "initdb", "--no-sync", "--auth=trust", "--username=postgres", "--no-locale",
       "--encoding=UTF8", "--pgdata=" + data},
      directory_ + "/initdb.log");
  std::ofstream settings(data + "/postgresql.conf", std::ios::app);
  settings << "listen_addresses = ''\nunix_socket_directories = '" << data << "'\n"
           << "wal_level = logical\nmax_wal_senders = 10\nmax_replication_slots = 10\n"
           << "shared_buffers = 64MB\nautovacuum_naptime = 5s\n"
           << (options.fsync ? "" : "fsync = off\n") << options.settings << "\n";
  settings.close();
  start();
}

PostgresServer::~PostgresServer() {
  if (process_) process_->stop(SIGQUIT);
}

std::string PostgresServer::connection(const std::string& database) const {
  return "host=" + directory_ + "/pg user=postgres dbname=" + database;
}

std::string PostgresServer::create_database(const std::string& name) {
  PGconn* const connection_to_all = PQconnectdb(connection().c_str());
  PGresult* const made = PQexec(connection_to_all, ("CREATE DATABASE " + name).c_str());
  const bool ok = PQresultStatus(made) == PGRES_COMMAND_OK;
  const std::string said = PQerrorMessage(connection_to_all);
  PQclear(made);
  PQfinish(connection_to_all);
  if (!ok) throw std::runtime_error(said);
  return connection(name);
}

void PostgresServer::kill() {
  process_->stop(SIGQUIT);
  process_.reset();
}

void PostgresServer::start() {
  const std::string log = directory_ + "/postgres.log";
  process_ = std::make_unique<Process>(
      as_ordinary_user({programs() + "postgres", "-D", directory_ + "/pg"}), log);
  for (int tries = 0; PQping(connection().c_str()) != PQPING_OK; ++tries) {
    if (tries == 600) throw std::runtime_error("PostgreSQL does not start; see " + log);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace leat::demo
