#include "server/session/native_requests.h"

namespace leat::session {
namespace {

class CarryOut {
 public:
  CarryOut(const broker::RequestId& id, broker::Broker& broker, const ReceivedBytes& received,
           const Clock& clock)
      : id_(id), broker_(broker), received_(received), clock_(clock) {}

  // ---- topics and records ----
  void operator()(const native::Hello&) {}
  void operator()(const native::Ping&) {}
  void operator()(const native::CreateTopic& r) {
    broker_.create_topic(id_, {r.name, r.partitions, r.if_not_exists, r.config}, now());
  }
  void operator()(const native::DeleteTopic& r) { broker_.delete_topic(id_, r.name, now()); }
  void operator()(const native::AddPartitions& r) {
    broker_.add_partitions(id_, r.name, r.partitions, now());
  }
  void operator()(const native::ConfigureTopic& r) {
    broker_.configure_topic(id_, r.name, r.config, clock_.now());
  }
  void operator()(const native::DeleteRecords& r) {
    broker::DeleteRecordsRequest request{r.partition.topic, r.partition.partition, r.before};
    if (r.before == native::DeleteRecords::kAll) request.before.reset();
    broker_.delete_records(id_, request);
  }
  void operator()(const native::Reset&) { broker_.reset(id_, now()); }
  void operator()(const native::CreateSnapshot& r) { broker_.create_snapshot(id_, r.name); }
  void operator()(const native::ListTopics&) { broker_.list_topics(id_); }
  void operator()(const native::DescribeTopic& r) {
    broker_.describe_topic(id_, r.name, r.auto_create, now());
  }
  void operator()(const native::Produce& r) {
    broker_.produces().produce(id_, r.topic, r.partition, received_.batch(r.batch), now(),
                               r.source);
  }
  void operator()(const native::SourcePositions& r) {
    broker_.produces().source_positions(id_, r.topic, r.source);
  }
  void operator()(const native::InitProducer& r) {
    std::optional<std::int64_t> producer;
    if (r.producer_id >= 0) producer = r.producer_id;
    broker_.init_producer(id_, producer, r.epoch);
  }
  void operator()(const native::Fetch& r) {
    const broker::PartitionFetch one{.topic = r.topic,
                                     .partition = r.partition,
                                     .offset = r.offset,
                                     .max_bytes = r.max_bytes,
                                     .epoch = LeaderEpoch(r.leader_epoch)};
    broker_.fetches().fetch(
        id_, {.partitions = {&one, 1}, .max_wait = std::chrono::milliseconds(r.max_wait_ms)},
        clock_.now());
  }
  void operator()(const native::FindOffset& r) {
    broker_.offset_finder().find(id_, {.topic = r.partition.topic,
                                       .partition = r.partition.partition,
                                       .timestamp_ms = r.timestamp_ms});
  }

  // ---- groups ----
  void operator()(const native::CommitOffsets& r) {
    std::vector<storage::OffsetCommit> offsets;
    offsets.reserve(r.offsets.size());
    for (const auto& o : r.offsets)
      offsets.push_back({o.topic, o.partition, o.offset, o.metadata, LeaderEpoch(o.leader_epoch)});
    broker_.commit_offsets(id_, {r.group, offsets, r.member, r.epoch}, clock_.now());
  }
  void operator()(const native::FetchOffsets& r) {
    std::vector<std::pair<TopicId, PartitionIndex>> partitions;
    partitions.reserve(r.partitions.size());
    for (const auto& p : r.partitions) partitions.emplace_back(p.topic, p.partition);
    broker_.fetch_offsets(id_, r.group, partitions);
  }
  void operator()(const native::JoinGroup& r) {
    broker::JoinRequest request{.group = r.group, .kind = r.kind, .member = {}};
    request.member.id = r.member;
    request.member.client_name = r.client_name;
    request.member.topics.assign(r.topics.begin(), r.topics.end());
    request.member.session_timeout = std::chrono::milliseconds(r.session_timeout_ms);
    request.member.rebalance_timeout = std::chrono::milliseconds(r.rebalance_timeout_ms);
    broker_.groups().join(id_, std::move(request), clock_.now());
  }
  void operator()(const native::SyncGroup& r) {
    broker::SyncRequest request{.group = r.group,
                                .member = r.member,
                                .epoch = r.epoch,
                                .owned = {},
                                .max_wait = std::chrono::milliseconds(r.max_wait_ms)};
    for (const auto& p : r.owned) request.owned.push_back({p.topic, p.partition});
    broker_.groups().sync(id_, std::move(request), clock_.now());
  }
  void operator()(const native::LeaveGroup& r) {
    broker_.groups().leave(id_, r.group, r.member, clock_.now());
  }
  void operator()(const native::ListGroups&) { broker_.groups().list(id_); }
  void operator()(const native::DescribeGroup& r) { broker_.groups().describe(id_, r.group); }
  void operator()(const native::DeleteGroup& r) { broker_.groups().remove(id_, r.group); }

  // ---- delivery ----
  void operator()(const native::Attach& r) {
    using std::chrono::milliseconds;
    broker::AttachRequest request{.subscription = r.subscription,
                                  .group = r.group,
                                  .kind = r.kind,
                                  .topics = {r.topics.begin(), r.topics.end()},
                                  .client_name = r.client_name,
                                  .grants = {r.records, r.bytes},
                                  .max_bytes = r.max_bytes,
                                  .latest = r.latest,
                                  .ack_timeout = milliseconds(r.ack_timeout_ms),
                                  .settings = {}};
    request.settings = {.max_deliveries = r.max_deliveries,
                        .dead_letter = std::string(r.dead_letter),
                        .min_backoff = milliseconds(r.min_backoff_ms),
                        .max_backoff = milliseconds(r.max_backoff_ms),
                        .dead_letter_expired = r.dead_letter_expired};
    broker_.deliveries().attach(id_, request, now());
  }
  void operator()(const native::Settle& r) {
    broker::SettleRequest request{r.subscription, {}, r.reason};
    request.settlements.reserve(r.ranges.size());
    for (const native::SettledRange& range : r.ranges) {
      broker::Settlement& settlement = request.settlements.emplace_back();
      settlement.partition = {range.partition.topic, range.partition.partition};
      settlement.range = {range.first, range.last};
      settlement.delivery = range.delivery;
      settlement.outcome = static_cast<broker::Outcome>(range.outcome);
      if (range.delay_ms != native::SettledRange::kBackoff)
        settlement.delay = std::chrono::milliseconds(range.delay_ms);
    }
    broker_.deliveries().settle(id_, request, now());
  }

  // ---- push ----
  void operator()(const native::Subscribe& r) {
    broker_.subscriptions().subscribe(id_, {.subscription = r.subscription,
                                            .topic = r.partition.topic,
                                            .partition = r.partition.partition,
                                            .offset = r.offset,
                                            .epoch = LeaderEpoch(r.leader_epoch),
                                            .grants = {r.records, r.bytes},
                                            .max_bytes = r.max_bytes});
  }
  void operator()(const native::Grant& r) {
    const broker::Grants grants{r.records, r.bytes};
    if (!broker_.deliveries().grant(id_.connection, r.subscription, grants))
      broker_.subscriptions().grant(id_.connection, r.subscription, grants);
  }
  void operator()(const native::Unsubscribe& r) {
    if (!broker_.deliveries().detach(id_, r.subscription, now()))
      broker_.subscriptions().unsubscribe(id_, r.subscription);
  }

 private:
  Now now() const { return {clock_.now(), clock_.wall_now()}; }

  const broker::RequestId& id_;
  broker::Broker& broker_;
  const ReceivedBytes& received_;
  const Clock& clock_;
};

}  // namespace

bool carry_out(const native::Request& request, const broker::RequestId& id, broker::Broker& broker,
               const ReceivedBytes& received, const Clock& clock) {
  std::visit(CarryOut(id, broker, received, clock), request);
  return !std::holds_alternative<native::Grant>(request);
}

// Records are seen when they are durable, so reading goes on, and so do a member's heartbeats.
bool may_overtake_produces(const native::Request& request) {
  return std::holds_alternative<native::Produce>(request) ||
         std::holds_alternative<native::Fetch>(request) ||
         std::holds_alternative<native::SyncGroup>(request) ||
         std::holds_alternative<native::Grant>(request);
}

}  // namespace leat::session
