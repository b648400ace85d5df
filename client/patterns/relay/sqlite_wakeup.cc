#include <algorithm>
#include <chrono>

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "client/patterns/relay/outbox_wakeup.h"
#include "client/patterns/sql/sqlite.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kMinPause{1}, kMaxPause{50};
constexpr auto kSlowestCommit = 5s;

class WalWatch final : public OutboxWakeup {
 public:
  explicit WalWatch(std::string path)
      : path_(std::move(path)), events_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {}
  ~WalWatch() override {
    if (events_ >= 0) ::close(events_);
  }
  WalWatch(const WalWatch&) = delete;
  WalWatch& operator=(const WalWatch&) = delete;

  // The log is written some time before the commit can be seen, which nothing tells: from the one
  // on the other is looked for, less and less often.
  void wait(std::chrono::milliseconds most, int stop) override {
    watch();
    const auto until = steady_clock::now() + most;
    auto writing_until = steady_clock::now();
    auto pause = kMinPause;
    while (!changed()) {
      const auto now = steady_clock::now();
      const bool writing = now < writing_until;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now);
      if (left.count() <= 0) return;
      pollfd waits[] = {{stop, POLLIN, 0}, {events_, POLLIN, 0}};
      ::poll(waits, events_ < 0 ? 1 : 2,
             static_cast<int>(std::min(writing ? pause : left, left).count()));
      if (waits[0].revents != 0) return;
      pause = std::min(pause * 2, kMaxPause);
      if (!drain()) continue;
      writing_until = steady_clock::now() + kSlowestCommit;
      pause = kMinPause;
    }
  }

 private:
  // The log is there once somebody wrote, and stays as long as a connection is open.
  void watch() {
    if (!database_)
      if (auto database = SqliteDatabase::open(path_)) database_ = std::move(*database);
    if (watch_ < 0 && events_ >= 0)
      watch_ = ::inotify_add_watch(events_, (path_ + "-wal").c_str(), IN_MODIFY);
  }
  // Whether somebody wrote.
  bool drain() const {
    alignas(inotify_event) char bytes[4'096];
    bool any = false;
    while (events_ >= 0 && ::read(events_, bytes, sizeof bytes) > 0) any = true;
    return any;
  }
  bool changed() {
    if (!database_) return false;
    auto version = database_->execute("PRAGMA data_version");
    if (!version || version->empty()) {
      database_.reset();  // to be opened anew
      return true;
    }
    return std::exchange(version_, version->integer(0, 0)) != version->integer(0, 0);
  }

  std::string path_;
  int events_, watch_ = -1;
  std::unique_ptr<SqliteDatabase> database_;
  std::int64_t version_ = 0;
};

}  // namespace

std::unique_ptr<OutboxWakeup> wake_by_wal(std::string path) {
  return std::make_unique<WalWatch>(std::move(path));
}

}  // namespace leat::patterns
