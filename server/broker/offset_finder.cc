#include "server/broker/offset_finder.h"

#include <algorithm>

#include "protocol/batch_cursor.h"
#include "server/broker/partitions.h"

namespace leat::broker {
namespace {

constexpr std::size_t kSearchBytes = 1 << 20;  // read at a time

// All batches of a read.
Result<std::vector<RecordBatchView>> batches_of(const storage::ReadResult& result) {
  std::vector<RecordBatchView> all;
  for (const storage::StoredBatches& stored : result.batches)
    for (Bytes rest = stored.bytes; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      if (!batch) return fail(batch.error());
      rest = rest.subspan(batch->bytes().size());
      all.push_back(*batch);
    }
  return all;
}

OffsetFound found(const RecordBatchView& batch, const RecordView& record) {
  return {record.offset, record.timestamp_ms, batch.leader_epoch()};
}

// The first record at or after a time, from `log_start` on.
Result<std::optional<OffsetFound>> first_record(const RecordBatchView& batch, std::int64_t since_ms,
                                                Offset log_start) {
  if (batch.max_timestamp_ms() < since_ms || batch.last_offset() < log_start) return std::nullopt;
  auto cursor = BatchCursor::open(batch);
  if (!cursor) return fail(cursor.error());
  for (cursor->seek(log_start); cursor->at_most(batch.last_offset()); cursor->next())
    if (const RecordView& record = *cursor->record(); record.timestamp_ms >= since_ms)
      return found(batch, record);
  return std::nullopt;
}

// Whether a record at `ms` and `offset` would take the place of `newest`.
bool is_newer(std::int64_t ms, Offset offset, const OffsetFound& newest) {
  return ms > newest.timestamp_ms ||
         (ms == newest.timestamp_ms && ms >= 0 && offset < newest.offset);
}

// Headers say which batches are worth it: mostly one.
Result<> look_for_newest(std::vector<RecordBatchView> batches, Offset log_start,
                         OffsetFound& newest) {
  std::ranges::stable_sort(batches, std::greater(), &RecordBatchView::max_timestamp_ms);
  for (const RecordBatchView& batch : batches) {
    if (batch.last_offset() < log_start) continue;
    if (!is_newer(batch.max_timestamp_ms(), batch.base_offset(), newest)) continue;
    auto cursor = BatchCursor::open(batch);
    if (!cursor) return fail(cursor.error());
    for (cursor->seek(log_start); cursor->at_most(batch.last_offset()); cursor->next())
      if (const RecordView& record = *cursor->record();
          is_newer(record.timestamp_ms, record.offset, newest))
        newest = found(batch, record);
  }
  return {};
}

}  // namespace

void OffsetFinder::find(const RequestId& id, const FindOffsetRequest& request) {
  auto found = find_partition(storage_, request.topic, request.partition);
  if (!found) return replies_.reply(id, found.error());
  if (auto ok = check_current_epoch(storage_, request.current_epoch); !ok)
    return replies_.reply(id, ok.error());
  const auto bounds = storage_.bounds(found->id);
  const OffsetFound end{.offset = bounds.high_watermark, .epoch = storage_.leader_epoch()};
  const bool empty = bounds.log_start >= bounds.high_watermark;
  if (request.what == OffsetOf::kEnd || (empty && request.what != OffsetOf::kStart))
    return replies_.reply_now(id, end);  // which is durable
  if (request.what == OffsetOf::kStart)
    return replies_.reply(
        id,
        OffsetFound{.offset = bounds.log_start,
                    .epoch = empty ? end.epoch : epoch_at(storage_, found->id, bounds.log_start)});
  const auto of_connection = of_connection_.find(id.connection);
  if (of_connection != of_connection_.end() &&
      of_connection->second >= options_.waiting_fetches_per_connection)
    return replies_.reply(
        id, Error(ErrorCode::kLimitReached, "too many searches for a time on this connection"));
  Search search{.request = id,
                .partition = found->id,
                .next = bounds.log_start,
                .since_ms = request.timestamp_ms,
                .newest = end};
  if (request.what == OffsetOf::kTime)
    search.next = storage_.look_from(found->id, request.timestamp_ms);
  else if ((search.run = storage_.newest_run(found->id)))
    search.next = search.run->first;
  else
    return replies_.reply_now(id, end);
  look_on(std::move(search));
}

// As long as memory answers.
void OffsetFinder::look_on(Search search) {
  while (true) {
    const auto bounds = storage_.bounds(search.partition);
    search.next = std::max(search.next, bounds.log_start);  // which may have overtaken it
    const Offset end =
        search.run ? std::min(search.run->next, bounds.high_watermark) : bounds.high_watermark;
    if (search.next >= end) {
      if (goes_on(search)) continue;
      return replies_.reply_now(search.request, search.newest);
    }
    const auto token = ++last_token_ | kTokenBit;
    auto outcome = storage_.read(search.partition, search.next, kSearchBytes, token);
    const auto* result = std::get_if<storage::ReadResult>(&outcome);
    if (!result) {
      ++of_connection_[search.request.connection];
      searches_.emplace(token, std::move(search));
      return;
    }
    if (look_at(search, *result)) return;
  }
}

// What was read: true when that was the answer.
bool OffsetFinder::look_at(Search& search, const storage::ReadResult& result) {
  auto batches = batches_of(result);
  const auto bounds = storage_.bounds(search.partition);
  Result<> ok;
  if (!batches) ok = fail(batches.error());
  if (ok && search.run) ok = look_for_newest(*batches, bounds.log_start, search.newest);
  if (ok && !search.run)
    for (const RecordBatchView& batch : *batches) {
      const auto record = first_record(batch, search.since_ms, bounds.log_start);
      if (!record) ok = fail(record.error());
      if (!ok) break;
      if (!*record) continue;
      replies_.reply_now(search.request, **record);
      return true;
    }
  if (!ok) replies_.reply(search.request, ok.error());
  if (!ok) return true;
  search.next = batches->empty() ? bounds.high_watermark : batches->back().last_offset() + 1;
  return false;
}

// Whether there is another place where the record may be.
bool OffsetFinder::goes_on(Search& search) {
  if (!search.run) {
    search.newest = {storage_.bounds(search.partition).high_watermark, -1, storage_.leader_epoch()};
    return false;
  }
  search.run = storage_.newest_run(search.partition, search.run);
  if (!search.run) return false;
  search.next = search.run->first;
  return is_newer(search.run->newest_ms, search.run->first, search.newest);
}

void OffsetFinder::end_of_epoch(const RequestId& id, const EpochEndRequest& request) {
  auto found = find_partition(storage_, request.topic, request.partition);
  if (!found) return replies_.reply(id, found.error());
  if (auto ok = check_current_epoch(storage_, request.current_epoch); !ok)
    return replies_.reply(id, ok.error());
  replies_.reply(id, epoch_end(storage_, found->id, request.epoch));
}

// ---- events ----

OffsetFinder::Searches::iterator OffsetFinder::forget(Searches::iterator it) {
  const auto connection = of_connection_.find(it->second.request.connection);
  if (--connection->second == 0) of_connection_.erase(connection);
  return searches_.erase(it);
}

void OffsetFinder::on_read(storage::ReadToken token, Result<storage::ReadResult> result) {
  const auto it = searches_.find(token);
  if (it == searches_.end()) return;  // the connection or the topic is gone
  Search search = std::move(it->second);
  forget(it);
  // The log start has overtaken it: it goes on there.
  if (!result && result.error() == ErrorCode::kOffsetOutOfRange) return look_on(std::move(search));
  if (!result) return replies_.reply(search.request, result.error());
  if (!look_at(search, *result)) look_on(std::move(search));
}

void OffsetFinder::on_connection_closed(ConnectionId connection) {
  if (!of_connection_.contains(connection)) return;
  for (auto it = searches_.begin(); it != searches_.end();)
    it = it->second.request.connection == connection ? forget(it) : std::next(it);
}

void OffsetFinder::on_topic_deleted(const std::vector<PartitionId>& partitions,
                                    std::string_view name) {
  std::vector<RequestId> asked;
  for (auto it = searches_.begin(); it != searches_.end();) {
    const bool gone = std::ranges::find(partitions, it->second.partition) != partitions.end();
    if (gone) asked.push_back(it->second.request);
    it = gone ? forget(it) : std::next(it);
  }
  for (const RequestId& id : asked)
    replies_.reply(id, Error(ErrorCode::kUnknownTopic, quoted(name) + " was deleted"));
}

}  // namespace leat::broker
