#include "server/broker/broker.h"

#include <algorithm>

#include "protocol/base/assert.h"
#include "protocol/names.h"
#include "server/broker/partitions.h"

namespace leat::broker {
namespace {

constexpr auto kStoodStill = std::chrono::seconds(1);

}  // namespace

Broker::Broker(BrokerOptions options, storage::Storage& storage, BatchChecker& checker,
               Random random, ReplySink& sink, Now now)
    : options_(options),
      storage_(storage),
      random_(random),
      sink_(sink),
      replies_(storage, sink),
      fetches_(options_, storage, replies_),
      offset_finder_(options_, storage, replies_),
      subscriptions_(options_, storage, replies_, sink),
      produces_(
          options_, storage, replies_, checker, sink,
          [this](PartitionId partition) { on_high_watermark(partition); }, now),
      group_ids_(options_, storage, deliveries_, classic_groups_),
      deliveries_(
          options_, storage, replies_, sink, group_ids_, Random(random_.next()),
          [this](const std::string& name, Now when) {
            return make_topic({.name = name, .if_not_exists = true}, when);
          },
          [this](std::string_view group, MonotonicTime when) {
            offset_expiry_.touch(group, when);
          }),
      classic_groups_(options_, storage, replies_, group_ids_, Random(random_.next()),
                      [this](std::string_view group, MonotonicTime when) {
                        offset_expiry_.touch(group, when);
                      }),
      offset_expiry_(options_, storage, group_ids_, classic_groups_),
      groups_(options_, storage, replies_, deliveries_, group_ids_, classic_groups_,
              [this](std::string_view group, MonotonicTime when) {
                offset_expiry_.touch(group, when);
              }),
      commits_(options_, storage, replies_, group_ids_, classic_groups_,
               [this](std::string_view group, MonotonicTime when) {
                 offset_expiry_.touch(group, when);
               }),
      retention_(options_, storage, now) {
  groups_.restore(now.monotonic);
  offset_expiry_.restore(now.monotonic);
}

// ---- topics ----

Result<> Broker::check_settings(const TopicConfig& config) const {
  if (auto ok = check_config(config); !ok) return ok;
  if (static_cast<std::uint64_t>(config.max_batch_bytes) <= options_.batch_bytes) return {};
  return fail(ErrorCode::kInvalidRequest,
              "max_batch_bytes " + std::to_string(config.max_batch_bytes) +
                  "; this broker takes at most " + std::to_string(options_.batch_bytes));
}

Result<> Broker::check_partition_count(std::int32_t partitions) const {
  if (partitions >= 1 && partitions <= options_.partitions_per_topic) return {};
  return fail(ErrorCode::kInvalidPartitionCount, std::to_string(partitions) + "; use 1 to " +
                                                     std::to_string(options_.partitions_per_topic));
}

Result<> Broker::check_room_for(std::int32_t more) const {
  std::size_t all = static_cast<std::size_t>(more);
  for (const storage::Topic* other : storage_.topics()) all += other->partitions.size();
  if (all <= options_.partitions) return {};
  return fail(ErrorCode::kLimitReached, std::to_string(options_.partitions) +
                                            " partitions in all; delete a topic or ask for fewer");
}

Result<> Broker::check_new_topic(const CreateTopicRequest& request) const {
  if (auto ok = validate_topic_name(request.name); !ok) return ok;
  if (auto ok = check_partition_count(request.partitions); !ok) return ok;
  if (auto ok = check_settings(request.config); !ok) return ok;
  if (storage_.find_topic(request.name))
    return request.if_not_exists ? Result<>() : fail(ErrorCode::kTopicExists, quoted(request.name));
  if (storage_.topics().size() >= options_.topics)
    return fail(ErrorCode::kLimitReached,
                std::to_string(options_.topics) + " topics; delete one first");
  return check_room_for(request.partitions);
}

Result<const storage::Topic*> Broker::make_topic(const CreateTopicRequest& request, Now now) {
  if (auto ok = check_new_topic(request); !ok) return fail(ok.error());
  if (const storage::Topic* topic = storage_.find_topic(request.name)) return topic;
  auto position = storage_.create_topic(random_.topic_id(), request.name, request.partitions,
                                        request.config, now.wall);
  if (!position) return fail(position.error());
  tell_topics_changed(now);
  return storage_.find_topic(request.name);
}

void Broker::tell_topics_changed(Now now) {
  groups_.on_topics_changed(now.monotonic);
  deliveries_.on_topics_changed(now);
  retention_.on_topics_changed(now.monotonic);
}

void Broker::create_topic(const RequestId& id, const CreateTopicRequest& request, Now now) {
  const auto topic = make_topic(request, now);
  reply(id, topic ? Reply(describe(**topic)) : Reply(topic.error()));
}

void Broker::delete_topic(const RequestId& id, std::string_view name, Now now) {
  auto topic = find_topic(storage_, name);
  if (!topic) return reply(id, topic.error());
  if (auto ok = remove_topic(**topic); !ok) return reply(id, ok.error());
  tell_topics_changed(now);
  reply(id, TopicDeleted{});
}

Result<> Broker::remove_topic(const storage::Topic& topic) {
  const std::vector<PartitionId> partitions = topic.partitions;
  const std::string name = topic.name;
  auto position = storage_.delete_topic(topic.id);
  if (!position) return fail(position.error());
  fetches_.on_topic_deleted(partitions, name);
  offset_finder_.on_topic_deleted(partitions, name);
  subscriptions_.on_topic_deleted(partitions, name);
  return {};
}

Result<> Broker::check_more_partitions(std::string_view name, std::int32_t total) const {
  const auto topic = find_topic(storage_, name);
  if (!topic) return fail(topic.error());
  const auto there = static_cast<std::int32_t>((*topic)->partitions.size());
  if (total <= there)
    return fail(ErrorCode::kInvalidPartitionCount,
                std::to_string(total) + "; topic " + quoted(name) + " has " +
                    std::to_string(there) +
                    " partitions, and can only get more: what lies in one stays there");
  if (auto ok = check_partition_count(total); !ok) return ok;
  return check_room_for(total - there);
}

void Broker::add_partitions(const RequestId& id, std::string_view name, std::int32_t total,
                            Now now) {
  const auto topic = find_topic(storage_, name);
  if (!topic) return reply(id, topic.error());
  const auto there = static_cast<std::int32_t>((*topic)->partitions.size());
  if (total != there) {
    if (auto ok = check_more_partitions(name, total); !ok) return reply(id, ok.error());
    const auto position =
        storage_.add_partitions((*topic)->id, static_cast<std::uint32_t>(total - there));
    if (!position) return reply(id, position.error());
    tell_topics_changed(now);
  }
  reply(id, describe(**topic));
}

void Broker::configure_topic(const RequestId& id, std::string_view name, const TopicConfig& config,
                             MonotonicTime now) {
  auto topic = find_topic(storage_, name);
  if (!topic) return reply(id, topic.error());
  // The broker may have taken larger batches when the topic got its limit.
  const bool same_limit = config.max_batch_bytes == (*topic)->config.max_batch_bytes;
  if (auto ok = same_limit ? check_config(config) : check_settings(config); !ok)
    return reply(id, ok.error());
  TopicConfig changed = config;
  changed.timed_records = (*topic)->config.timed_records;
  if (changed != (*topic)->config) {
    auto position = storage_.configure_topic((*topic)->id, changed);
    if (!position) return reply(id, position.error());
    retention_.on_topics_changed(now);
  }
  reply(id, describe(*storage_.find_topic(name)));
}

// Answered like a change of any kind: when it is durable, and with what has become of it.
void Broker::delete_records(const RequestId& id, const DeleteRecordsRequest& request) {
  auto found = find_partition(storage_, request.topic, request.partition);
  if (!found) return reply(id, found.error());
  const auto bounds = storage_.bounds(found->id);
  const Offset before = request.before.value_or(bounds.high_watermark);
  if (before.value < 0 || before > bounds.high_watermark)
    return reply(id, Error(ErrorCode::kOffsetOutOfRange,
                           out_of_range(*found, request.partition, before, bounds)));
  if (before > bounds.log_start) {
    auto position = storage_.move_log_start(found->id, before);
    if (!position) return reply(id, position.error());
  }
  reply(id, RecordsDeleted{storage_.bounds(found->id).log_start});
}

void Broker::create_snapshot(const RequestId& id, std::string_view name) {
  auto ok = validate_snapshot_name(name);
  if (ok && snapshot_)
    ok = fail(ErrorCode::kQueueFull, "another snapshot is being made; try again");
  if (ok) ok = storage_.snapshot(name);
  if (!ok) return replies_.reply_now(id, ok.error());
  snapshot_ = id;
}

void Broker::on_snapshot(Result<std::string> path) {
  const auto request = std::exchange(snapshot_, std::nullopt);
  LEAT_ASSERT(request);
  replies_.reply_now(*request, path ? Reply(SnapshotMade{std::move(*path)}) : Reply(path.error()));
}

void Broker::list_topics(const RequestId& id) {
  std::vector<TopicDescription> all;
  for (const storage::Topic* topic : storage_.topics()) all.push_back(describe(*topic));
  reply(id, std::move(all));
}

void Broker::describe_topic(const RequestId& id, std::string_view name, bool auto_create, Now now) {
  if (auto_create && options_.auto_create_topics)
    return create_topic(
        id, {.name = name, .partitions = options_.auto_create_partitions, .if_not_exists = true},
        now);
  auto topic = find_topic(storage_, name);
  if (!topic) return reply(id, topic.error());
  reply(id, describe(**topic));
}

TopicDescription Broker::describe(const storage::Topic& topic) const {
  TopicDescription description{topic.id, topic.name, topic.created, {}, topic.config, {}};
  for (const PartitionId partition : topic.partitions) {
    description.partitions.push_back(storage_.bounds(partition));
    description.bytes.push_back(storage_.stored_bytes(partition));
  }
  return description;
}

// ---- records ----

void Broker::init_producer(const RequestId& id, std::optional<std::int64_t> producer,
                           std::int16_t epoch) {
  auto issued = storage_.init_producer(producer, epoch);
  if (!issued) return reply(id, issued.error());
  reply(id, *issued);
}

void Broker::on_high_watermark(PartitionId partition) {
  fetches_.on_high_watermark(partition);
  subscriptions_.on_high_watermark(partition);
  deliveries_.on_high_watermark(partition);
}

void Broker::on_read(storage::ReadToken token, Result<storage::ReadResult> result) {
  if (Subscriptions::owns(token)) return subscriptions_.on_read(token, std::move(result));
  if (Deliveries::owns(token)) return deliveries_.on_read(token, std::move(result));
  if (OffsetFinder::owns(token)) return offset_finder_.on_read(token, std::move(result));
  fetches_.on_read(token, std::move(result));
}

// ---- committed offsets ----

Result<> Broker::check_commits(const CommitRequest& request) const {
  if (auto ok = validate_group_name(request.group); !ok) return ok;
  if (auto ok = group_ids_.check_room_for(request.group); !ok) return ok;
  if (request.offsets.empty() || request.offsets.size() > options_.commits_per_request)
    return fail(ErrorCode::kInvalidRequest, std::to_string(request.offsets.size()) +
                                                " offsets in a commit; use 1 to " +
                                                std::to_string(options_.commits_per_request));
  for (const storage::OffsetCommit& commit : request.offsets) {
    if (auto found = find_partition(storage_, commit.topic, commit.partition); !found)
      return fail(found.error());
    if (commit.metadata.size() > options_.metadata_bytes)
      return fail(ErrorCode::kMetadataTooLarge, std::to_string(commit.metadata.size()) +
                                                    " bytes; at most " +
                                                    std::to_string(options_.metadata_bytes));
  }
  return groups_.check_commit(request.group, request.member, request.epoch, request.offsets);
}

void Broker::commit_offsets(const RequestId& id, const CommitRequest& request, MonotonicTime now) {
  if (auto ok = check_commits(request); !ok) return reply(id, ok.error());
  auto position = storage_.commit_offsets(request.group, request.offsets);
  if (!position) return reply(id, position.error());
  offset_expiry_.touch(request.group, now);
  reply(id, OffsetsCommitted{});
}

void Broker::fetch_offsets(const RequestId& id, std::string_view group,
                           std::span<const std::pair<TopicId, PartitionIndex>> partitions) {
  if (auto ok = validate_group_name(group); !ok) return reply(id, ok.error());
  GroupOffsets offsets;
  for (const auto& [topic, partition] : partitions)
    if (const auto found = storage_.committed(group, topic, partition))
      offsets.offsets.push_back(
          {topic, partition, found->offset, std::string(found->metadata), found->epoch});
  reply(id, std::move(offsets));
}

// ---- time, connections, failure ----

std::optional<MonotonicTime> Broker::next_deadline() const {
  std::optional<MonotonicTime> next;
  for (const auto& due :
       {fetches_.next_deadline(), groups_.next_deadline(), classic_groups_.next_deadline(),
        offset_expiry_.next_deadline(), deliveries_.next_deadline(), retention_.next_deadline()})
    if (due) next = next ? std::min(*next, *due) : due;
  return next;
}

void Broker::on_time(Now now) {
  const auto due = groups_.next_deadline();
  if (due && now.monotonic - *due > kStoodStill) groups_.shift(now.monotonic - *due);
  const auto session = classic_groups_.next_deadline();
  if (session && now.monotonic - *session > kStoodStill)
    classic_groups_.shift(now.monotonic - *session, now.monotonic);
  const auto lease = deliveries_.next_deadline();
  if (lease && now.monotonic - *lease > kStoodStill) deliveries_.shift(now.monotonic - *lease);
  fetches_.on_time(now.monotonic);
  groups_.on_time(now.monotonic);
  classic_groups_.on_time(now.monotonic);
  offset_expiry_.on_time(now.monotonic);
  deliveries_.on_time(now);
  retention_.on_time(now);
}

void Broker::on_connection_closed(ConnectionId connection, Now now) {
  fetches_.on_connection_closed(connection);
  offset_finder_.on_connection_closed(connection);
  subscriptions_.on_connection_closed(connection);
  produces_.on_connection_closed(connection);
  groups_.on_connection_closed(connection, now.monotonic);
  deliveries_.on_connection_closed(connection, now);
}

void Broker::on_room() {
  produces_.on_room();
  sink_.on_room();
}

void Broker::on_failed(const Error& error) {
  sink_.on_storage_failed(error);
  produces_.on_failed(error);
  replies_.on_failed(error);
}

}  // namespace leat::broker
