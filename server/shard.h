// The shard: reactor, sessions and broker on one thread, which owns all their state.
#pragma once

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "server/append_spans.h"
#include "server/broker/broker.h"
#include "server/check_thread.h"
#include "server/listen_url.h"
#include "server/local_connections.h"
#include "server/reactor/reactor.h"
#include "server/read_watch.h"
#include "server/server.h"
#include "server/session/connection_memory.h"
#include "server/session/kafka/kafka_facts.h"
#include "server/session/session.h"
#include "storage/disk_storage.h"

namespace leat {

class Shard final : public reactor::ReactorHandler,
                    public LocalHandler,
                    public session::SessionOutput,
                    public broker::ReplySink {
 public:
  explicit Shard(ServerOptions options) : options_(std::move(options)) {}
  ~Shard() override { close(); }
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  Result<> start();
  // Any thread, any number of times.
  void close();

  const std::vector<std::string>& listeners() const { return urls_; }
  std::string reactor() const { return reactor_->name(); }
  std::string journal() const { return storage_->stats().journal.writes; }
  std::uint64_t system_calls() const {
    return reactor_->system_calls() + storage_->stats().journal.system_calls;
  }
  std::uint64_t journal_syncs() const { return storage_->stats().journal.syncs; }
  // Any thread, also after close(): then it leads nowhere and says so.
  std::unique_ptr<Connector> connector() const { return local_->connector(); }

 private:
  Result<> open_reactor();
  Result<> open_tracer();
  Result<> check_addresses();
  Result<> listen();
  session::KafkaFacts facts_of(const ListenUrl& url, const reactor::Address& bound) const;
  void stop();
  void log(LogLevel level, std::string_view line) const;
  void log_recovery() const;
  void log_traces() const;
  void log_repairs() const;

  void on_accept(ConnectionId id, std::size_t listener) override;
  void on_refused(std::size_t listener) override;
  void on_receive(ConnectionId id, Bytes bytes) override;
  reactor::Landing landing(ConnectionId id) override;
  void on_landed(ConnectionId id, std::size_t bytes) override;
  void on_drained(ConnectionId id) override;
  void on_closed(ConnectionId id) override;
  void on_wake() override;
  void on_timer() override;

  void on_local_accept(ConnectionId id) override;
  void on_local_receive(ConnectionId id, Bytes bytes) override;
  void on_local_drained(ConnectionId id) override;
  void on_local_closed(ConnectionId id) override { forget(id); }

  void send(ConnectionId id, std::shared_ptr<const void> owner, Bytes bytes) override;
  std::size_t queued_bytes(ConnectionId id) const override;
  void pause(ConnectionId id) override;
  void resume(ConnectionId id) override;
  void close_when_drained(ConnectionId id) override;
  void complain(ConnectionId id, const std::string& what) override;
  void trace(ConnectionId id, const std::string& what) override;

  void on_reply(const broker::RequestId& request, broker::Reply reply) override;
  void on_push_ready(ConnectionId id) override;
  void on_subscription_ended(ConnectionId id, std::uint32_t subscription,
                             const Error& why) override;
  void on_room() override;
  void on_storage_failed(const Error& error) override;
  void on_storage_damaged(const Error& error) override;
  void on_storage_space(const Result<>& taken) override;

  Now now() const { return {clock_.now(), clock_.wall_now()}; }
  void add(ConnectionId id, std::unique_ptr<session::Session> session);
  void touch(ConnectionId id, const session::Session& session);
  void forget(ConnectionId id);
  void settle();
  void let_replies_leave();
  void close_finished();
  void set_timer();
  void drain();
  void watch_reads();

  ServerOptions options_;
  SystemClock clock_;
  std::vector<ListenUrl> listeners_;
  std::vector<session::KafkaFacts> facts_;  // by listener, of those that speak Kafka's protocol
  std::vector<std::string> urls_;
  std::atomic<bool> closing_{false};
  std::once_flag closed_once_;

  // The shard's thread, once it runs.
  std::unique_ptr<reactor::Reactor> reactor_;
  std::unique_ptr<LocalConnections> local_;
  std::unique_ptr<storage::DiskStorage> storage_;
  std::unique_ptr<CheckThread> checks_;
  std::unique_ptr<broker::Broker> broker_;
  std::optional<AppendSpans> spans_;  // where they are exported
  std::shared_ptr<session::ConnectionMemory> memory_;
  std::unordered_map<ConnectionId, std::unique_ptr<session::Session>> sessions_;
  std::set<std::pair<MonotonicTime, ConnectionId>> deadlines_;
  std::unordered_map<ConnectionId, std::optional<MonotonicTime>> known_deadlines_;
  std::set<ConnectionId> replied_;
  std::vector<ConnectionId> closed_;
  std::optional<MonotonicTime> drain_until_;
  MonotonicTime last_complaint_, last_refusal_;  // that were logged
  std::uint64_t refused_ = 0;                    // connections beyond the limit
  ReadWatch read_watch_;

  std::thread thread_;
};

}  // namespace leat
