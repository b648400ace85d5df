#include "server/broker/broker.h"

#include <algorithm>

#include "protocol/names.h"
#include "protocol/record_batch.h"

namespace leat::broker {
namespace {

std::string quoted(std::string_view text) {
  return "'" + escaped(text) + "'";
}

Error unknown_topic(std::string_view what) {
  return {ErrorCode::kUnknownTopic, std::string(what)};
}

}  // namespace

// ---- topics ----

Result<const storage::Topic*> Broker::find_topic(std::string_view name) const {
  if (auto ok = validate_topic_name(name); !ok) return fail(ok.error());
  if (const storage::Topic* topic = storage_.find_topic(name)) return topic;
  return fail(
      unknown_topic(quoted(name) + "; create it first: leat topic create " + escaped(name)));
}

Result<> Broker::check_new_topic(std::string_view name, std::int32_t partitions) const {
  if (auto ok = validate_topic_name(name); !ok) return ok;
  if (partitions < 1 || partitions > options_.partitions_per_topic)
    return fail(
        ErrorCode::kInvalidPartitionCount,
        std::to_string(partitions) + "; use 1 to " + std::to_string(options_.partitions_per_topic));
  return {};
}

void Broker::create_topic(const RequestId& id, std::string_view name, std::int32_t partitions,
                          bool if_not_exists, WallTime now) {
  if (auto ok = check_new_topic(name, partitions); !ok) return reply(id, ok.error());
  if (const storage::Topic* topic = storage_.find_topic(name)) {
    if (if_not_exists) return reply(id, describe(*topic));
    return reply(id, Error(ErrorCode::kTopicExists, quoted(name)));
  }
  if (storage_.topics().size() >= options_.topics)
    return reply(id, Error(ErrorCode::kLimitReached,
                           std::to_string(options_.topics) + " topics; delete one first"));
  std::size_t all = static_cast<std::size_t>(partitions);
  for (const storage::Topic* topic : storage_.topics()) all += topic->partitions.size();
  if (all > options_.partitions)
    return reply(id, Error(ErrorCode::kLimitReached,
                           std::to_string(options_.partitions) +
                               " partitions in all; delete a topic or ask for fewer"));
  auto position = storage_.create_topic(random_.topic_id(), name, partitions, now);
  if (!position) return reply(id, position.error());
  reply(id, describe(*storage_.find_topic(name)));
}

void Broker::delete_topic(const RequestId& id, std::string_view name) {
  auto topic = find_topic(name);
  if (!topic) return reply(id, topic.error());
  const std::vector<PartitionId> partitions = (*topic)->partitions;
  auto position = storage_.delete_topic((*topic)->id);
  if (!position) return reply(id, position.error());
  for (const PartitionId partition : partitions)
    for (const auto token : fetches_.tokens(partition))
      if (auto fetch = fetches_.take(token))
        reply(fetch->request, unknown_topic(quoted(name) + " was deleted"));
  reply(id, TopicDeleted{});
}

void Broker::list_topics(const RequestId& id) {
  std::vector<TopicDescription> all;
  for (const storage::Topic* topic : storage_.topics()) all.push_back(describe(*topic));
  reply(id, std::move(all));
}

void Broker::describe_topic(const RequestId& id, std::string_view name, bool auto_create,
                            WallTime now) {
  if (auto_create && options_.auto_create_topics)
    return create_topic(id, name, options_.auto_create_partitions, true, now);
  auto topic = find_topic(name);
  if (!topic) return reply(id, topic.error());
  reply(id, describe(**topic));
}

TopicDescription Broker::describe(const storage::Topic& topic) const {
  TopicDescription description{topic.id, topic.name, topic.created, {}};
  for (const PartitionId partition : topic.partitions)
    description.partitions.push_back(storage_.bounds(partition));
  return description;
}

Result<Broker::Partition> Broker::find_partition(const TopicId& id, PartitionIndex index) const {
  const storage::Topic* topic = storage_.find_topic(id);
  if (!topic) return fail(unknown_topic("topic id " + id.to_string() + "; it was deleted"));
  if (index.value < 0 || static_cast<std::size_t>(index.value) >= topic->partitions.size())
    return fail(ErrorCode::kUnknownPartition, std::to_string(index.value) + "; topic " +
                                                  quoted(topic->name) + " has partitions 0 to " +
                                                  std::to_string(topic->partitions.size() - 1));
  return Partition{topic, topic->partitions[static_cast<std::size_t>(index.value)]};
}

// ---- records ----

Result<> Broker::check_batch(Bytes bytes) const {
  if (bytes.size() > options_.batch_bytes)
    return fail(ErrorCode::kBatchTooLarge, std::to_string(bytes.size()) + " bytes; at most " +
                                               std::to_string(options_.batch_bytes));
  auto batch = RecordBatchView::parse(bytes);
  if (!batch) return fail(batch.error());
  if (batch->bytes().size() != bytes.size())
    return fail(ErrorCode::kInvalidBatch, "more than one batch in a produce request");
  return batch->validate();
}

void Broker::produce(const RequestId& id, const TopicId& topic, PartitionIndex partition,
                     Bytes batch) {
  auto found = find_partition(topic, partition);
  if (!found) return reply(id, found.error());
  if (auto ok = check_batch(batch); !ok) return reply(id, ok.error());
  auto appended = storage_.append(found->id, batch);
  if (!appended) return reply(id, appended.error());
  reply(id, Produced{appended->base});
}

void Broker::fetch(const RequestId& id, const FetchRequest& request, MonotonicTime now) {
  auto found = find_partition(request.topic, request.partition);
  if (!found) return reply(id, found.error());
  const auto bounds = storage_.bounds(found->id);
  if (request.offset < bounds.log_start || request.offset > bounds.high_watermark)
    return reply(id, Error(ErrorCode::kOffsetOutOfRange,
                           std::to_string(request.offset.value) + "; partition " +
                               std::to_string(request.partition.value) + " of " +
                               quoted(found->topic->name) + " holds " +
                               std::to_string(bounds.log_start.value) + " to " +
                               std::to_string(bounds.high_watermark.value)));
  if (fetches_.of_connection(id.connection) >= options_.waiting_fetches_per_connection)
    return reply(id, Error(ErrorCode::kLimitReached, "too many fetches wait on this connection"));
  WaitingFetch fetch{.request = id,
                     .partition = found->id,
                     .offset = request.offset,
                     .max_bytes = std::min(request.max_bytes, options_.fetch_bytes),
                     .deadline = now + std::min(request.max_wait, options_.fetch_wait)};
  if (request.offset < bounds.high_watermark) return read(std::move(fetch));
  if (request.max_wait.count() <= 0) return reply_empty(fetch);
  fetches_.add(std::move(fetch));
}

void Broker::read(WaitingFetch fetch) {
  fetch.reading = true;
  const auto token = fetches_.add(fetch);
  auto outcome = storage_.read(fetch.partition, fetch.offset, fetch.max_bytes, token);
  if (auto* result = std::get_if<storage::ReadResult>(&outcome)) {
    fetches_.take(token);
    answer(fetch, std::move(*result));
  }
}

// Records below the high watermark are durable: nothing to wait for.
void Broker::answer(const WaitingFetch& fetch, storage::ReadResult result) {
  sink_.on_reply(fetch.request,
                 Fetched{storage_.bounds(fetch.partition), std::move(result.batches)});
}

void Broker::reply_empty(const WaitingFetch& fetch) {
  sink_.on_reply(fetch.request, Fetched{storage_.bounds(fetch.partition), {}});
}

void Broker::on_high_watermark(PartitionId partition) {
  const Offset high_watermark = storage_.bounds(partition).high_watermark;
  for (const auto token : fetches_.tokens(partition)) {
    if (fetches_.is_reading(token)) continue;
    auto fetch = fetches_.take(token);
    if (fetch->offset < high_watermark)
      read(std::move(*fetch));
    else
      fetches_.add(std::move(*fetch));
  }
}

void Broker::on_read(storage::ReadToken token, Result<storage::ReadResult> result) {
  const auto fetch = fetches_.take(token);
  if (!fetch) return;  // the connection or the topic is gone
  if (!result) return reply(fetch->request, result.error());
  answer(*fetch, std::move(*result));
}

void Broker::on_time(MonotonicTime now) {
  for (const auto token : fetches_.due(now))
    if (const auto fetch = fetches_.take(token)) reply_empty(*fetch);
}

void Broker::on_connection_closed(ConnectionId connection) {
  for (const auto token : fetches_.tokens(connection)) fetches_.take(token);
}

// ---- committed offsets ----

Result<> Broker::check_commits(std::string_view group,
                               std::span<const storage::OffsetCommit> offsets) const {
  if (auto ok = validate_group_name(group); !ok) return ok;
  if (!storage_.has_group(group) && storage_.group_count() >= options_.groups)
    return fail(ErrorCode::kLimitReached, std::to_string(options_.groups) + " groups");
  if (offsets.empty() || offsets.size() > options_.commits_per_request)
    return fail(ErrorCode::kInvalidRequest, std::to_string(offsets.size()) +
                                                " offsets in a commit; use 1 to " +
                                                std::to_string(options_.commits_per_request));
  for (const storage::OffsetCommit& commit : offsets) {
    if (auto found = find_partition(commit.topic, commit.partition); !found)
      return fail(found.error());
    if (commit.metadata.size() > options_.metadata_bytes)
      return fail(ErrorCode::kMetadataTooLarge, std::to_string(commit.metadata.size()) +
                                                    " bytes; at most " +
                                                    std::to_string(options_.metadata_bytes));
  }
  return {};
}

void Broker::commit_offsets(const RequestId& id, std::string_view group,
                            std::span<const storage::OffsetCommit> offsets) {
  if (auto ok = check_commits(group, offsets); !ok) return reply(id, ok.error());
  auto position = storage_.commit_offsets(group, offsets);
  if (!position) return reply(id, position.error());
  reply(id, OffsetsCommitted{});
}

void Broker::fetch_offsets(const RequestId& id, std::string_view group,
                           std::span<const std::pair<TopicId, PartitionIndex>> partitions) {
  if (auto ok = validate_group_name(group); !ok) return reply(id, ok.error());
  GroupOffsets offsets;
  for (const auto& [topic, partition] : partitions)
    if (const auto found = storage_.committed(group, topic, partition))
      offsets.offsets.push_back({topic, partition, found->offset, std::string(found->metadata)});
  reply(id, std::move(offsets));
}

// ---- rule 2 ----

void Broker::reply(const RequestId& id, Reply reply) {
  const JournalPosition position = storage_.last_appended();
  if (failed_ || position <= storage_.durable()) return sink_.on_reply(id, std::move(reply));
  pending_.push_back({position, id, std::move(reply)});
}

void Broker::on_durable(JournalPosition position) {
  while (!pending_.empty() && pending_.front().position <= position) {
    Pending ready = std::move(pending_.front());
    pending_.pop_front();
    sink_.on_reply(ready.request, std::move(ready.reply));
  }
}

void Broker::on_failed(const Error& error) {
  failed_ = true;
  sink_.on_storage_failed(error);
  while (!pending_.empty()) {
    const Pending lost = std::move(pending_.front());
    pending_.pop_front();
    sink_.on_reply(lost.request, Error(ErrorCode::kOutcomeUnknown, error.detail));
  }
}

}  // namespace leat::broker
