#include "server/broker/fetches.h"

#include <algorithm>

#include "protocol/record_batch.h"
#include "server/broker/partitions.h"

namespace leat::broker {
namespace {
constexpr std::size_t kSearchBytes = 4 << 20;  // read at a time when looking for a time

// The first record of a batch at or after a time, from `log_start` on. A batch that is compressed
// stands for its first record.
std::optional<OffsetFound> first_record(const RecordBatchView& batch, std::int64_t timestamp_ms,
                                        Offset log_start) {
  if (batch.max_timestamp_ms() < timestamp_ms || batch.last_offset() < log_start)
    return std::nullopt;
  if (batch.compression() != Compression::kNone)
    return OffsetFound{std::max(batch.base_offset(), log_start), batch.max_timestamp_ms()};
  for (const RecordView& record : batch)
    if (record.timestamp_ms >= timestamp_ms && record.offset >= log_start)
      return OffsetFound{record.offset, record.timestamp_ms};
  return std::nullopt;
}

}  // namespace

void Fetches::fetch(const RequestId& id, const FetchRequest& request, MonotonicTime now) {
  auto found = find_partition(storage_, request.topic, request.partition);
  if (!found) return replies_.reply(id, found.error());
  if (auto ok = check_position(storage_, *found, request.partition, request.offset, request.epoch);
      !ok)
    return replies_.reply(id, ok.error());
  if (waiting_.of_connection(id.connection) >= options_.waiting_fetches_per_connection)
    return replies_.reply(
        id, Error(ErrorCode::kLimitReached, "too many fetches wait on this connection"));
  const auto wait = std::clamp(request.max_wait, std::chrono::milliseconds(0), options_.fetch_wait);
  WaitingFetch fetch{.request = id,
                     .partition = found->id,
                     .offset = request.offset,
                     .max_bytes = std::min(request.max_bytes, options_.fetch_bytes),
                     .deadline = now + wait};
  if (request.offset < storage_.bounds(found->id).high_watermark) return read(std::move(fetch));
  if (wait.count() == 0) return reply_empty(fetch);
  waiting_.add(std::move(fetch));
}

void Fetches::find_offset(const RequestId& id, const TopicId& topic, PartitionIndex partition,
                          std::int64_t timestamp_ms) {
  auto found = find_partition(storage_, topic, partition);
  if (!found) return replies_.reply(id, found.error());
  const auto bounds = storage_.bounds(found->id);
  if (bounds.log_start >= bounds.high_watermark)
    return replies_.reply(id, OffsetFound{bounds.high_watermark, -1});
  if (waiting_.of_connection(id.connection) >= options_.waiting_fetches_per_connection)
    return replies_.reply(
        id, Error(ErrorCode::kLimitReached, "too many fetches wait on this connection"));
  read({.request = id,
        .partition = found->id,
        .offset = storage_.look_from(found->id, timestamp_ms),
        .max_bytes = kSearchBytes,
        .searched_ms = timestamp_ms});
}

void Fetches::read(WaitingFetch fetch) {
  fetch.reading = true;
  std::optional<WaitingFetch> next = std::move(fetch);
  // A search goes on here as long as memory answers.
  while (next) {
    // A search may have been overtaken by the log start since it began; what else is here has not.
    next->offset = std::max(next->offset, storage_.bounds(next->partition).log_start);
    const auto token = waiting_.add(*next);
    auto outcome = storage_.read(next->partition, next->offset, next->max_bytes, token);
    auto* result = std::get_if<storage::ReadResult>(&outcome);
    if (!result) return;
    waiting_.take(token);
    if (!next->searched_ms) return answer(std::move(*next), std::move(*result));
    next = search(std::move(*next), *result);
  }
}

// Records below the high watermark may be told: nothing to wait for.
void Fetches::answer(WaitingFetch fetch, storage::ReadResult result) {
  if (fetch.searched_ms) {
    if (auto next = search(std::move(fetch), result)) read(std::move(*next));
    return;
  }
  replies_.reply_now(fetch.request,
                     Fetched{storage_.bounds(fetch.partition), std::move(result.batches)});
}

// Answers, or says where to look next.
std::optional<WaitingFetch> Fetches::search(WaitingFetch fetch, const storage::ReadResult& result) {
  const auto bounds = storage_.bounds(fetch.partition);
  for (const storage::StoredBatches& stored : result.batches)
    for (Bytes rest = stored.bytes; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      if (!batch) {
        replies_.reply(fetch.request, batch.error());
        return std::nullopt;
      }
      rest = rest.subspan(batch->bytes().size());
      fetch.offset = batch->last_offset() + 1;
      const auto found = first_record(*batch, *fetch.searched_ms, bounds.log_start);
      if (!found) continue;
      replies_.reply_now(fetch.request, *found);
      return std::nullopt;
    }
  const Offset end = bounds.high_watermark;
  if (!result.batches.empty() && fetch.offset < end) return fetch;
  replies_.reply_now(fetch.request, OffsetFound{end, -1});
  return std::nullopt;
}

void Fetches::reply_empty(const WaitingFetch& fetch) {
  replies_.reply_now(fetch.request, Fetched{storage_.bounds(fetch.partition), {}});
}

void Fetches::on_high_watermark(PartitionId partition) {
  const Offset high_watermark = storage_.bounds(partition).high_watermark;
  for (const auto token : waiting_.tokens(partition)) {
    if (waiting_.is_reading(token)) continue;
    auto fetch = waiting_.take(token);
    if (fetch->offset < high_watermark)
      read(std::move(*fetch));
    else
      waiting_.add(std::move(*fetch));
  }
}

void Fetches::on_read(storage::ReadToken token, Result<storage::ReadResult> result) {
  auto fetch = waiting_.take(token);
  if (!fetch) return;  // the connection or the topic is gone
  // A search that the log start has overtaken goes on there.
  if (!result && result.error() == ErrorCode::kOffsetOutOfRange && fetch->searched_ms)
    return read(std::move(*fetch));
  if (!result) return replies_.reply(fetch->request, result.error());
  answer(std::move(*fetch), std::move(*result));
}

void Fetches::on_time(MonotonicTime now) {
  for (const auto token : waiting_.due(now))
    if (const auto fetch = waiting_.take(token)) reply_empty(*fetch);
}

void Fetches::on_connection_closed(ConnectionId connection) {
  for (const auto token : waiting_.tokens(connection)) waiting_.take(token);
}

void Fetches::on_topic_deleted(const std::vector<PartitionId>& partitions, std::string_view name) {
  for (const PartitionId partition : partitions)
    for (const auto token : waiting_.tokens(partition))
      if (auto fetch = waiting_.take(token))
        replies_.reply(fetch->request,
                       Error(ErrorCode::kUnknownTopic, quoted(name) + " was deleted"));
}

}  // namespace leat::broker
