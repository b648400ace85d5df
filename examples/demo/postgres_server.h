// A PostgreSQL of one's own: in a directory that is made for it, reachable over a Unix socket
// alone, as an ordinary user also where root runs this.
#pragma once

#include <memory>
#include <string>

#include "examples/demo/process.h"

namespace leat::demo {

class PostgresServer {
 public:
  struct Options {
    // Commits reach the disk; off: for tests that do not cut the power.
    bool fsync = false;
    std::string settings = {};  // more of postgresql.conf, a line each
  };
  // Whether there is one to be started: Debian's package postgresql.
  static bool installed();
  // Makes a cluster in `directory`, which is there and whose path is short, and starts it. Throws
  // std::runtime_error, with where the log is.
  PostgresServer(std::string directory, const Options& options);
  ~PostgresServer();

  // What libpq takes.
  std::string connection(const std::string& database = "postgres") const;
  // Makes an empty database and says how to connect to it.
  std::string create_database(const std::string& name);

  // At once, as in a crash; its clients lose their connections. start() recovers.
  void kill();
  void start();

 private:
  std::string directory_;
  std::unique_ptr<Process> process_;
};

}  // namespace leat::demo
