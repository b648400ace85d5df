#include "server/shard.h"

#include "protocol/names.h"
#include "server/cluster_id.h"
#include "server/reactor/open_reactor.h"
#include "server/session/kafka/kafka_session.h"
#include "server/session/native_replies.h"
#include "server/session/native_session.h"
#include "storage/thread.h"

namespace leat {
namespace {

constexpr auto kDrainTime = std::chrono::seconds(5);

// Kafka's protocol has no words for who was not asked.
std::vector<std::byte> refusal_for(Protocol protocol, std::size_t connections) {
  if (protocol == Protocol::kKafka) return {};
  return session::refusal_frame(
      {ErrorCode::kLimitReached, "this broker takes " + std::to_string(connections) +
                                     " connections (limits.connections) and has them; try again "
                                     "later, or raise the limit"});
}

// As Java writes an address of which it has no name.
std::string kafka_host(const std::string& address) {
  return address.empty() ? address : "/" + address;
}

}  // namespace

// ---- coming up and going down ----

Result<> Shard::start() {
  if (auto ok = check_limits(options_.limits); !ok) return ok;
  options_.limits.session.server_name = "leatd " + std::string(version());
  if (auto ok = open_tracer(); !ok) return ok;
  if (auto ok = open_reactor(); !ok) return ok;
  local_ = std::make_unique<LocalConnections>([this] { reactor_->wake(); }, options_.limits.reactor,
                                              clock_);
  if (auto ok = check_addresses(); !ok) return ok;
  const auto writes = storage::parse_write_mode(options_.journal);
  if (!writes) return fail(writes.error());
  const ReplayLimits& replay = options_.limits.replay;
  std::optional<std::uint64_t> reserve;
  if (options_.limits.disk_reserve > 0) reserve = options_.limits.disk_reserve;
  std::optional<std::uint64_t> dedup_ids;
  if (options_.limits.dedup_ids > 0) dedup_ids = options_.limits.dedup_ids;
  auto opened = storage::DiskStorage::open({.data_dir = options_.data_dir,
                                            .memory_bytes = options_.memory_bytes,
                                            .max_unpersisted_bytes = replay.unpersisted_bytes,
                                            .max_unpersisted_entries = replay.unpersisted_entries,
                                            .journal_segment_bytes = replay.journal_segment_bytes,
                                            .journal_writes = *writes,
                                            .reserve_bytes = reserve,
                                            .scrub_rate = options_.limits.scrub.rate,
                                            .scrub_interval = options_.limits.scrub.interval,
                                            .snapshots = options_.limits.snapshots,
                                            .producers = options_.limits.producers,
                                            .sources = options_.limits.sources,
                                            .dedup_ids = dedup_ids,
                                            .at_point = options_.at_point},
                                           storage::real_file_io(), [this] { reactor_->wake(); });
  if (!opened) return fail(opened.error());
  storage_ = std::move(*opened);
  log_recovery();
  log_repairs();
  // Whatever the budget, the largest frame must get through, beside what others have begun.
  const auto& limits = options_.limits.session.limits;
  const std::size_t frame = limits.payload_bytes + limits.envelope_bytes;
  const std::size_t held =
      std::max(storage::shares_of(options_.memory_bytes).connections, 2 * frame);
  options_.limits.session.kafka_frame_bytes = held / 2;
  memory_ =
      std::make_shared<session::ConnectionMemory>(held, held / 2, [this] { reactor_->wake(); });
  if (auto ok = listen(); !ok) return ok;
  checks_ = std::make_unique<CheckThread>([this] { reactor_->wake(); });
  broker_ = std::make_unique<broker::Broker>(options_.limits.broker, *storage_, *checks_,
                                             Random::from_system(), *this,
                                             Now{clock_.now(), clock_.wall_now()});
  if (spans_) broker_->produces().note_traces();
  if (auto ok = broker_->declare(options_.topics, now()); !ok) return ok;
  thread_ = storage::start_thread("leat-shard", [this] { reactor_->run(*this); });
  return {};
}

void Shard::close() {
  std::call_once(closed_once_, [this] {
    if (thread_.joinable()) stop();
  });
}

void Shard::stop() {
  closing_ = true;
  reactor_->wake();
  thread_.join();
  memory_->close();
  local_->close();
  checks_.reset();
  sessions_.clear();
  broker_.reset();
  storage_.reset();
  log_traces();
  spans_.reset();
  log(LogLevel::kInfo, "event=stopped");
}

Result<> Shard::open_tracer() {
  TraceOptions trace = options_.trace;
  if (!trace.on_failure)
    trace.on_failure = [log = options_.log](const std::string& why) {
      if (log && why.empty()) log(LogLevel::kInfo, "event=traces_exported_again");
      if (log && !why.empty())
        log(LogLevel::kWarning, "event=traces_fail reason='" + escaped(why, 400) +
                                    "' action='spans are dropped until it is mended'");
    };
  auto tracer = Tracer::open(std::move(trace), "leatd");
  if (!tracer) return fail(tracer.error());
  if (*tracer) spans_.emplace(std::move(*tracer));
  return {};
}

Result<> Shard::open_reactor() {
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

Result<> Shard::check_addresses() {
  for (const std::string& url : options_.listen) {
    auto parsed = parse_listen_url(url);
    if (!parsed) return fail(parsed.error());
    if (!is_loopback(parsed->address) && !options_.insecure)
      return fail(ErrorCode::kNotAllowed,
                  url +
                      " is not a loopback address and there is no authentication; "
                      "say --insecure if that is wanted");
    listeners_.push_back(std::move(*parsed));
  }
  return {};
}

Result<> Shard::listen() {
  for (const ListenUrl& url : listeners_) {
    auto bound = reactor_->listen(url.address,
                                  refusal_for(url.protocol, options_.limits.reactor.connections));
    if (!bound) return fail(bound.error());
    urls_.push_back(listen_url(url.protocol, *bound));
    facts_.push_back(facts_of(url, *bound));
  }
  return {};
}

session::KafkaFacts Shard::facts_of(const ListenUrl& url, const reactor::Address& bound) const {
  session::KafkaFacts facts{.host = url.advertised_host,
                            .port = url.advertised_port > 0 ? url.advertised_port : bound.port,
                            .cluster_id = cluster_id(options_.data_dir),
                            .data_dir = options_.data_dir};
  if (!facts.host.empty() || url.protocol != Protocol::kKafka) return facts;
  facts.host = is_wildcard(bound) ? "localhost" : bound.host;
  if (is_wildcard(bound))
    log(LogLevel::kWarning, "event=advertised listener=" + listen_url(url.protocol, bound) +
                                " address=" + facts.host + ":" + std::to_string(facts.port) +
                                " action='Kafka clients on other machines need --listen kafka://" +
                                bound.host + ":" + std::to_string(bound.port) +
                                "?advertised=HOST:PORT'");
  return facts;
}

// Until what was appended is durable and its replies have left, or the time is up.
void Shard::drain() {
  if (!drain_until_) {
    drain_until_ = clock_.now() + kDrainTime;
    reactor_->stop_listening();
    local_->stop_accepting();
    log(LogLevel::kInfo, "event=stopping");
  }
  const bool answered =
      broker_->produces().idle() && storage_->durable() >= storage_->reply_position();
  if (!answered && clock_.now() < *drain_until_) return set_timer();
  for (const auto& [id, session] : sessions_)
    if (!LocalConnections::owns(id)) reactor_->close_when_drained(id);
  reactor_->stop();
}

// ---- reactor ----

void Shard::on_accept(ConnectionId id, std::size_t listener) {
  if (listeners_[listener].protocol == Protocol::kKafka)
    add(id, std::make_unique<session::KafkaSession>(id, *broker_, *this, *memory_,
                                                    options_.limits.session, facts_[listener],
                                                    clock_, kafka_host(reactor_->peer(id))));
  else
    on_local_accept(id);
  settle();
}

void Shard::on_receive(ConnectionId id, Bytes bytes) {
  on_local_receive(id, bytes);
  settle();
}

reactor::Landing Shard::landing(ConnectionId id) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return {};
  session::Session::Room room = it->second->room();
  return {std::move(room.owner), room.place};
}

void Shard::on_landed(ConnectionId id, std::size_t bytes) {
  if (const auto it = sessions_.find(id); it != sessions_.end()) {
    it->second->filled(bytes);
    touch(id, *it->second);
  }
  settle();
}

void Shard::on_drained(ConnectionId id) {
  on_local_drained(id);
  settle();
}

void Shard::on_closed(ConnectionId id) {
  forget(id);
  settle();
}

void Shard::on_wake() {
  storage_->poll(*broker_);
  checks_->poll(*broker_);
  local_->poll(*this);
  if (memory_->take_room()) on_room();
  settle();
  if (closing_) drain();
}

void Shard::on_timer() {
  const MonotonicTime now = clock_.now();
  broker_->on_time({now, clock_.wall_now()});
  local_->on_time(now, *this);
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const ConnectionId id = deadlines_.begin()->second;
    session::Session& session = *sessions_.at(id);
    session.on_deadline();
    touch(id, session);
  }
  settle();
  if (closing_) drain();
}

// ---- connections within the process; what leaves settle() to the caller ----

void Shard::on_local_accept(ConnectionId id) {
  add(id, std::make_unique<session::NativeSession>(id, *broker_, *this, *memory_,
                                                   options_.limits.session, clock_));
}

void Shard::on_local_receive(ConnectionId id, Bytes bytes) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return;
  it->second->on_receive(bytes);
  touch(id, *it->second);
}

void Shard::on_local_drained(ConnectionId id) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return;
  it->second->proceed();
  touch(id, *it->second);
}

// ---- session output ----

void Shard::send(ConnectionId id, std::shared_ptr<const void> owner, Bytes bytes) {
  owner = session::ConnectionMemory::count_output(memory_, std::move(owner), bytes.size());
  if (LocalConnections::owns(id)) return local_->send(id, {std::move(owner), bytes});
  reactor_->send(id, {std::move(owner), bytes});
}

std::size_t Shard::queued_bytes(ConnectionId id) const {
  return LocalConnections::owns(id) ? local_->queued_bytes(id) : reactor_->queued_bytes(id);
}

void Shard::pause(ConnectionId id) {
  LocalConnections::owns(id) ? local_->pause(id) : reactor_->pause(id);
}

void Shard::resume(ConnectionId id) {
  LocalConnections::owns(id) ? local_->resume(id) : reactor_->resume(id);
}

void Shard::close_when_drained(ConnectionId id) {
  broker_->on_connection_closed(id, now());
  closed_.push_back(id);
}

// ---- broker ----

void Shard::on_reply(const broker::RequestId& request, broker::Reply reply) {
  if (const auto* produced = spans_ ? std::get_if<broker::Produced>(&reply) : nullptr)
    spans_->answered(*produced, clock_.now());
  const auto it = sessions_.find(request.connection);
  if (it == sessions_.end()) return;
  it->second->on_reply(request.correlation, std::move(reply));
  replied_.insert(request.connection);
}

void Shard::on_push_ready(ConnectionId id) {
  replied_.insert(id);
}

void Shard::on_subscription_ended(ConnectionId id, std::uint32_t subscription, const Error& why) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return;
  it->second->on_subscription_ended(subscription, why);
  replied_.insert(id);
}

void Shard::on_room() {
  for (auto& [id, session] : sessions_) replied_.insert(id);
}

// ---- the shard's own ----

void Shard::add(ConnectionId id, std::unique_ptr<session::Session> session) {
  touch(id, *sessions_.emplace(id, std::move(session)).first->second);
}

void Shard::touch(ConnectionId id, const session::Session& session) {
  replied_.insert(id);
  std::optional<MonotonicTime>& known = known_deadlines_[id];
  if (known == session.deadline()) return;
  if (known) deadlines_.erase({*known, id});
  known = session.deadline();
  if (known) deadlines_.insert({*known, id});
}

void Shard::forget(ConnectionId id) {
  if (const auto known = known_deadlines_.find(id); known != known_deadlines_.end()) {
    if (known->second) deadlines_.erase({*known->second, id});
    known_deadlines_.erase(known);
  }
  broker_->on_connection_closed(id, now());
  sessions_.erase(id);
}

// After each event: replies leave together, sessions that wait are let on, the timer is set.
void Shard::settle() {
  do {
    let_replies_leave();
    close_finished();
  } while (local_->flush(*this));
  watch_reads();
  set_timer();
}

void Shard::let_replies_leave() {
  for (;;) {
    if (broker_->deliveries().any()) broker_->deliveries().dispatch(now());
    if (replied_.empty()) return;
    const auto ids = std::exchange(replied_, {});
    for (const ConnectionId id : ids) {
      const auto it = sessions_.find(id);
      if (it == sessions_.end()) continue;
      it->second->flush();
      it->second->proceed();
      it->second->flush();
    }
  }
}

void Shard::close_finished() {
  for (const ConnectionId id : std::exchange(closed_, {})) {
    forget(id);
    LocalConnections::owns(id) ? local_->close_when_drained(id) : reactor_->close_when_drained(id);
  }
}

void Shard::set_timer() {
  std::optional<MonotonicTime> next = broker_->next_deadline();
  const auto earlier = [&](std::optional<MonotonicTime> when) {
    if (when) next = next ? std::min(*next, *when) : when;
  };
  if (!deadlines_.empty()) earlier(deadlines_.begin()->first);
  earlier(local_->next_deadline());
  earlier(read_watch_.due());
  earlier(drain_until_);
  reactor_->set_timer(next);
}

}  // namespace leat
