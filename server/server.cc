#include "server/server.h"

#include <atomic>
#include <future>
#include <set>
#include <unordered_map>

#include "protocol/names.h"
#include "server/broker/broker.h"
#include "server/listen_url.h"
#include "server/reactor/open_reactor.h"
#include "server/session/native_session.h"
#include "storage/disk_storage.h"
#include "storage/thread.h"

namespace leat {
namespace {

constexpr auto kDrainTime = std::chrono::seconds(5);
constexpr auto kComplaintInterval = std::chrono::seconds(1);

// The shard: reactor, sessions and broker on one thread, which owns all their state.
class Shard final : public Server,
                    public reactor::ReactorHandler,
                    public session::SessionOutput,
                    public broker::ReplySink {
 public:
  explicit Shard(ServerOptions options) : options_(std::move(options)) {}
  ~Shard() override { close(); }

  Result<> start() {
    if (auto ok = check_limits(options_.limits); !ok) return ok;
    options_.limits.session.server_name = "leatd " + std::string(version());
    if (auto ok = open_reactor(); !ok) return ok;
    if (auto ok = check_addresses(); !ok) return ok;
    const ReplayLimits& replay = options_.limits.replay;
    auto opened = storage::DiskStorage::open({.data_dir = options_.data_dir,
                                              .memory_bytes = options_.memory_bytes,
                                              .max_unpersisted_bytes = replay.unpersisted_bytes,
                                              .max_unpersisted_entries = replay.unpersisted_entries,
                                              .journal_segment_bytes = replay.journal_segment_bytes,
                                              .producers = options_.limits.producers,
                                              .at_point = options_.at_point},
                                             storage::real_file_io(), [this] { reactor_->wake(); });
    if (!opened) return fail(opened.error());
    storage_ = std::move(*opened);
    log_recovery();
    broker_ = std::make_unique<broker::Broker>(options_.limits.broker, *storage_,
                                               Random::from_system(), *this, clock_.now());
    if (auto ok = listen(); !ok) return ok;
    thread_ = storage::start_thread("leat-shard", [this] { reactor_->run(*this); });
    return {};
  }

  std::vector<std::string> listeners() const override { return urls_; }
  std::string reactor() const override { return reactor_->name(); }
  std::uint64_t journal_syncs() const override { return storage_->stats().journal.syncs; }

  void close() override {
    if (!thread_.joinable()) return;
    closing_ = true;
    reactor_->wake();
    thread_.join();
    sessions_.clear();
    broker_.reset();
    storage_.reset();
    log(LogLevel::kInfo, "event=stopped");
  }

 private:
  Result<> open_reactor() {
    const auto kind = reactor::parse_reactor_kind(options_.reactor);
    if (!kind) return fail(kind.error());
    auto opened = reactor::open_reactor(*kind, options_.limits.reactor, clock_);
    if (!opened) return fail(opened.error());
    reactor_ = std::move(opened->reactor);
    if (!opened->fallback.empty())
      log(LogLevel::kInfo, "event=reactor name=" + std::string(reactor_->name()) + " reason='" +
                               escaped(opened->fallback, 400) + "'");
    return {};
  }

  Result<> check_addresses() {
    if (options_.listen.empty()) options_.listen = ServerOptions().listen;
    for (const std::string& url : options_.listen) {
      auto address = parse_listen_url(url);
      if (!address) return fail(address.error());
      if (!is_loopback(*address) && !options_.insecure)
        return fail(ErrorCode::kNotAllowed,
                    url +
                        " is not a loopback address and there is no authentication; "
                        "say --insecure if that is wanted");
      addresses_.push_back(*address);
    }
    return {};
  }

  Result<> listen() {
    for (const reactor::Address& address : addresses_) {
      auto bound = reactor_->listen(address);
      if (!bound) return fail(bound.error());
      urls_.push_back(listen_url(*bound));
    }
    return {};
  }

  void log(LogLevel level, std::string_view line) const {
    if (options_.log) options_.log(level, line);
  }

  void log_recovery() const {
    const auto found = storage_->stats().recovery;
    log(found.torn_bytes > 0 ? LogLevel::kWarning : LogLevel::kInfo,
        "event=opened data_dir='" + escaped(options_.data_dir) + "' incarnation=" +
            std::to_string(found.incarnation) + " last_entry=" + std::to_string(found.last.value) +
            " replayed=" + std::to_string(found.replayed) +
            " torn_bytes=" + std::to_string(found.torn_bytes));
  }

  // ---- reactor ----
  void on_accept(ConnectionId id, std::size_t) override {
    auto session = std::make_unique<session::NativeSession>(id, *broker_, *this,
                                                            options_.limits.session, clock_);
    touch(id, *sessions_.emplace(id, std::move(session)).first->second);
    settle();
  }
  void on_receive(ConnectionId id, Bytes bytes) override {
    const auto it = sessions_.find(id);
    if (it == sessions_.end()) return;
    it->second->on_receive(bytes);
    touch(id, *it->second);
    settle();
  }
  void on_drained(ConnectionId id) override {
    const auto it = sessions_.find(id);
    if (it == sessions_.end()) return;
    it->second->proceed();
    touch(id, *it->second);
    settle();
  }
  void on_closed(ConnectionId id) override {
    forget(id);
    settle();
  }
  void on_wake() override {
    storage_->poll(*broker_);
    settle();
    if (closing_) drain();
  }
  void on_timer() override {
    const MonotonicTime now = clock_.now();
    broker_->on_time(now);
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
      const ConnectionId id = deadlines_.begin()->second;
      session::NativeSession& session = *sessions_.at(id);
      session.on_deadline();
      touch(id, session);
    }
    settle();
    if (closing_) drain();
  }

  // ---- session output ----
  void send(ConnectionId id, std::shared_ptr<const void> owner, Bytes bytes) override {
    reactor_->send(id, {std::move(owner), bytes});
  }
  std::size_t queued_bytes(ConnectionId id) const override { return reactor_->queued_bytes(id); }
  void pause(ConnectionId id) override { reactor_->pause(id); }
  void resume(ConnectionId id) override { reactor_->resume(id); }
  void close_when_drained(ConnectionId id) override {
    broker_->on_connection_closed(id, clock_.now());
    closed_.push_back(id);
  }
  void complain(ConnectionId id, const std::string& what) override {
    const MonotonicTime now = clock_.now();
    if (now - last_complaint_ < kComplaintInterval) return;
    last_complaint_ = now;
    log(LogLevel::kWarning, "event=refused connection=" + std::to_string(id.value) + " reason='" +
                                escaped(what, 400) + "'");
  }

  // ---- broker ----
  void on_reply(const broker::RequestId& request, broker::Reply reply) override {
    const auto it = sessions_.find(request.connection);
    if (it == sessions_.end()) return;
    it->second->on_reply(request.correlation, std::move(reply));
    replied_.insert(request.connection);
  }
  void on_push_ready(ConnectionId id) override { replied_.insert(id); }
  void on_subscription_ended(ConnectionId id, std::uint32_t subscription,
                             const Error& why) override {
    const auto it = sessions_.find(id);
    if (it == sessions_.end()) return;
    it->second->on_subscription_ended(subscription, why);
    replied_.insert(id);
  }
  void on_room() override {
    for (auto& [id, session] : sessions_) replied_.insert(id);
  }

  void on_storage_failed(const Error& error) override {
    log(LogLevel::kError, "event=storage_failed reason='" + escaped(error.message(), 400) +
                              "' action='writes are refused; mend the cause and restart'");
  }

  // ---- the shard's own ----
  void touch(ConnectionId id, const session::NativeSession& session) {
    replied_.insert(id);
    std::optional<MonotonicTime>& known = known_deadlines_[id];
    if (known == session.deadline()) return;
    if (known) deadlines_.erase({*known, id});
    known = session.deadline();
    if (known) deadlines_.insert({*known, id});
  }

  void forget(ConnectionId id) {
    if (const auto known = known_deadlines_.find(id); known != known_deadlines_.end()) {
      if (known->second) deadlines_.erase({*known->second, id});
      known_deadlines_.erase(known);
    }
    broker_->on_connection_closed(id, clock_.now());
    sessions_.erase(id);
  }

  // After each event: replies leave together, sessions that wait are let on, the timer is set.
  void settle() {
    while (!replied_.empty()) {
      const auto ids = std::exchange(replied_, {});
      for (const ConnectionId id : ids) {
        const auto it = sessions_.find(id);
        if (it == sessions_.end()) continue;
        it->second->flush();
        it->second->proceed();
        it->second->flush();
      }
    }
    for (const ConnectionId id : std::exchange(closed_, {})) {
      forget(id);
      reactor_->close_when_drained(id);
    }
    set_timer();
  }

  void set_timer() {
    std::optional<MonotonicTime> next = broker_->next_deadline();
    const auto earlier = [&](MonotonicTime when) { next = next ? std::min(*next, when) : when; };
    if (!deadlines_.empty()) earlier(deadlines_.begin()->first);
    if (drain_until_) earlier(*drain_until_);
    reactor_->set_timer(next);
  }

  // Until what was appended is durable and its replies have left, or the time is up.
  void drain() {
    if (!drain_until_) {
      drain_until_ = clock_.now() + kDrainTime;
      reactor_->stop_listening();
      log(LogLevel::kInfo, "event=stopping");
    }
    const bool durable = storage_->durable() >= storage_->reply_position();
    if (!durable && clock_.now() < *drain_until_) return set_timer();
    for (const auto& [id, session] : sessions_) reactor_->close_when_drained(id);
    reactor_->stop();
  }

  ServerOptions options_;
  SystemClock clock_;
  std::vector<reactor::Address> addresses_;
  std::vector<std::string> urls_;
  std::atomic<bool> closing_{false};

  // The shard's thread, once it runs.
  std::unique_ptr<reactor::Reactor> reactor_;
  std::unique_ptr<storage::DiskStorage> storage_;
  std::unique_ptr<broker::Broker> broker_;
  std::unordered_map<ConnectionId, std::unique_ptr<session::NativeSession>> sessions_;
  std::set<std::pair<MonotonicTime, ConnectionId>> deadlines_;
  std::unordered_map<ConnectionId, std::optional<MonotonicTime>> known_deadlines_;
  std::set<ConnectionId> replied_;
  std::vector<ConnectionId> closed_;
  std::optional<MonotonicTime> drain_until_;
  MonotonicTime last_complaint_;

  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::open(ServerOptions options) {
  auto shard = std::make_unique<Shard>(std::move(options));
  if (auto ok = shard->start(); !ok) return fail(ok.error());
  return std::unique_ptr<Server>(std::move(shard));
}

std::string_view version() {
  return LEAT_VERSION;
}

}  // namespace leat
