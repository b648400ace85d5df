#include <algorithm>

#include <poll.h>

#include "client/patterns/outbox_tables.h"
#include "client/patterns/relay/outbox_wakeup.h"
#include "client/patterns/sql/postgres.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;

class Notifications final : public OutboxWakeup {
 public:
  explicit Notifications(std::string connection) : connection_(std::move(connection)) {}

  void wait(std::chrono::milliseconds most, int stop) override {
    if (!database_) {
      if (listen()) return;  // what was committed before nobody told
      pollfd stopped{stop, POLLIN, 0};
      ::poll(&stopped, 1, static_cast<int>(most.count()));
      return;
    }
    if (!database_->wait_for_notification(most, stop)) database_.reset();
  }

 private:
  bool listen() {
    auto database = PostgresDatabase::open(connection_);
    if (!database) return false;
    if (!(*database)->run_script(std::string("LISTEN ") + kOutboxChannel)) return false;
    database_ = std::move(*database);
    return true;
  }

  std::string connection_;
  std::unique_ptr<PostgresDatabase> database_;
};

}  // namespace

std::unique_ptr<OutboxWakeup> wake_by_notifications(std::string connection) {
  return std::make_unique<Notifications>(std::move(connection));
}

}  // namespace leat::patterns
