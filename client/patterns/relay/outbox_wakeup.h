// How a relay that has nothing to do learns that there may be something.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "protocol/base/result.h"

namespace leat::patterns {

class OutboxWakeup {
 public:
  virtual ~OutboxWakeup() = default;
  // Until something was committed, `stop`, a descriptor, can be read, or the time is over.
  virtual void wait(std::chrono::milliseconds most, int stop) = 0;
};

// PostgreSQL: notified of commits, on a connection of its own, which is made again when it was
// lost. Until it is, only the time wakes.
std::unique_ptr<OutboxWakeup> wake_by_notifications(std::string connection);

// SQLite: woken when somebody writes to the file's write-ahead log; the database's data_version
// says whether that was a commit of others.
std::unique_ptr<OutboxWakeup> wake_by_wal(std::string path);

// Neither: only the time wakes.
std::unique_ptr<OutboxWakeup> wake_by_time();

}  // namespace leat::patterns
