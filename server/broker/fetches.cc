#include "server/broker/fetches.h"

#include <algorithm>
#include <iterator>

#include "protocol/record_batch.h"
#include "server/broker/partitions.h"

namespace leat::broker {
namespace {

std::size_t size_of(const storage::ReadResult& result) {
  std::size_t bytes = 0;
  for (const storage::StoredBatches& stored : result.batches) bytes += stored.bytes.size();
  return bytes;
}

// One past the last offset of what was read.
Result<Offset> end_of(const storage::StoredBatches& stored) {
  Offset end;
  for (Bytes rest = stored.bytes; !rest.empty();) {
    const auto batch = RecordBatchView::parse(rest);
    if (!batch) return fail(batch.error());
    end = batch->last_offset() + 1;
    rest = rest.subspan(batch->bytes().size());
  }
  return end;
}

}  // namespace

// ---- asking ----

void Fetches::fetch(const RequestId& id, const FetchRequest& request, MonotonicTime now) {
  // Counted in partitions, for that is what they cost; one fetch may have any number.
  if (waiting_.parts_of(id.connection) >= options_.waiting_fetches_per_connection)
    return replies_.reply(
        id, Error(ErrorCode::kLimitReached, "too many fetches wait on this connection"));
  const auto wait = std::clamp(request.max_wait, std::chrono::milliseconds(0), options_.fetch_wait);
  WaitingFetch fetch{
      .request = id,
      .deadline = now + wait,
      .min_bytes = std::min({request.min_bytes, request.max_bytes, options_.fetch_bytes}),
      .room = std::min(request.max_bytes, options_.fetch_bytes),
      .over = wait.count() == 0,
      .parts = {}};
  fetch.parts.reserve(request.partitions.size());
  for (const PartitionFetch& asked : request.partitions) {
    const Part& part = fetch.parts.emplace_back(begin(asked));
    fetch.failed = fetch.failed || part.fetched.error;
    fetch.open += part.state != State::kClosed;
  }
  read_due(fetch);
  if (fetch.reading == 0 && is_complete(fetch)) return answer(std::move(fetch));
  waiting_.add(std::move(fetch));
}

WaitingFetch::Part Fetches::begin(const PartitionFetch& asked) const {
  Part part{.next = asked.offset,
            .max_bytes = std::min(asked.max_bytes, options_.fetch_bytes),
            .fetched = {}};
  auto found = find_partition(storage_, asked.topic, asked.partition);
  Result<> ok;
  if (!found) ok = fail(found.error());
  if (ok) ok = check_current_epoch(storage_, asked.current_epoch);
  if (ok) {
    part.partition = found->id;
    ok = check_position(storage_, *found, asked.partition, asked.offset, asked.epoch);
    if (!ok && ok.error() == ErrorCode::kLogTruncated)
      part.fetched.parted = epoch_end(storage_, found->id, asked.epoch);
  }
  if (ok) return part;
  part.fetched.error = std::move(ok.error());
  part.state = State::kClosed;
  return part;
}

// ---- gathering ----

// In order. The first batch passes whatever its size: while it is not known whose that is, nothing
// behind it is read.
void Fetches::read_due(WaitingFetch& fetch) {
  for (Part& part : fetch.parts) {
    if (part.state != State::kDue) continue;
    if (fetch.bytes == 0 ? fetch.reading > 0 : fetch.room == 0) return;
    read(fetch, part);
  }
}

void Fetches::read(WaitingFetch& fetch, Part& part) {
  const auto bounds = storage_.bounds(part.partition);
  part.state = State::kAtEnd;
  if (part.next >= bounds.high_watermark) return;
  if (part.next < bounds.log_start)  // it has risen since the fetch began
    return fail_part(fetch, part, {ErrorCode::kOffsetOutOfRange, "older records are gone"});
  const std::size_t bytes = std::min(part.max_bytes, fetch.room);
  part.read = ++last_token_;
  auto outcome = storage_.read(part.partition, part.next, bytes, part.read);
  if (auto* result = std::get_if<storage::ReadResult>(&outcome))
    return gather(fetch, part, std::move(*result));
  part.state = State::kReading;
  part.reserved = bytes;
  fetch.room -= bytes;
  ++fetch.reading;
  if (fetch.id != 0) waiting_.began_reading(part);
}

void Fetches::gather(WaitingFetch& fetch, Part& part, storage::ReadResult result) {
  const std::size_t bytes = size_of(result);
  if (bytes > fetch.room && fetch.bytes > 0) {
    fetch.full = true;
    return;
  }
  if (bytes > part.max_bytes && !part.fetched.batches.empty()) return close(fetch, part);
  fetch.bytes += bytes;
  fetch.room -= std::min(fetch.room, bytes);
  part.max_bytes -= std::min(part.max_bytes, bytes);
  if (fetch.id != 0) waiting_.gathered(bytes);
  if (part.fetched.batches.empty())
    part.fetched.batches = std::move(result.batches);
  else
    std::ranges::move(result.batches, std::back_inserter(part.fetched.batches));
  if (fetch.bytes < fetch.min_bytes && bytes > 0) move_on(fetch, part);
}

// To behind what was read of it, for more of it may be.
void Fetches::move_on(WaitingFetch& fetch, Part& part) {
  const auto end = end_of(part.fetched.batches.back());
  if (!end) return fail_part(fetch, part, end.error());
  part.next = *end;
  if (part.next >= storage_.bounds(part.partition).high_watermark) return;
  if (part.max_bytes > fetch.room)
    fetch.full = true;
  else
    close(fetch, part);
}

void Fetches::close(WaitingFetch& fetch, Part& part) {
  if (part.state != State::kClosed) --fetch.open;
  part.state = State::kClosed;
}

// What was read before is good.
void Fetches::fail_part(WaitingFetch& fetch, Part& part, Error why) {
  close(fetch, part);
  fetch.failed = true;
  if (part.fetched.batches.empty()) part.fetched.error = std::move(why);
}

// ---- answering ----

bool Fetches::is_complete(const WaitingFetch& fetch) const {
  if (fetch.over || fetch.failed || fetch.full || fetch.open == 0) return true;
  if (fetch.bytes >= fetch.min_bytes || (fetch.bytes > 0 && fetch.room == 0)) return true;
  // What waits keeps what it has in memory: all together no more than one may.
  const std::size_t more = fetch.id == 0 ? fetch.bytes : 0;
  return fetch.bytes > 0 && waiting_.held() + more > options_.fetch_bytes;
}

void Fetches::answer_if_complete(WaitingFetch& kept) {
  if (kept.reading == 0 && is_complete(kept)) answer(waiting_.take(kept.id));
}

void Fetches::answer(WaitingFetch fetch) {
  Fetched all;
  all.partitions.reserve(fetch.parts.size());
  for (Part& part : fetch.parts) {
    if (!part.fetched.error) part.fetched.bounds = storage_.bounds(part.partition);
    all.partitions.push_back(std::move(part.fetched));
  }
  // Records below the high watermark may be told: nothing to wait for.
  if (fetch.failed)
    replies_.reply(fetch.request, std::move(all));
  else
    replies_.reply_now(fetch.request, std::move(all));
}

// ---- events ----

// Whoever is answered may ask for more, or be gone: what waits is looked up one by one.
template <class Then>
void Fetches::each_waiter(PartitionId partition, Then then) {
  auto waiters = std::exchange(waiters_, {});
  waiting_.list(partition, waiters);
  for (const auto& waiter : waiters)
    if (WaitingFetch* const fetch = waiting_.find(waiter.fetch))
      then(*fetch, fetch->parts[waiter.part]);
  waiters_ = std::move(waiters);
}

void Fetches::on_high_watermark(PartitionId partition) {
  each_waiter(partition, [&](WaitingFetch& fetch, Part& part) {
    // With enough gathered it only waits for reads under way.
    if (part.state != State::kAtEnd || fetch.bytes >= fetch.min_bytes) return;
    part.state = State::kDue;
    if (fetch.reading > 0) return;  // read_due() follows
    read(fetch, part);
    answer_if_complete(fetch);
  });
}

void Fetches::on_read(storage::ReadToken token, Result<storage::ReadResult> result) {
  Part* const part = waiting_.ended_reading(token);
  if (!part) return;  // the connection or the topic is gone
  WaitingFetch& fetch = *part->fetch;
  part->state = State::kAtEnd;
  fetch.room += part->reserved;
  --fetch.reading;
  if (result)
    gather(fetch, *part, std::move(*result));
  else
    fail_part(fetch, *part, std::move(result.error()));
  read_due(fetch);
  answer_if_complete(fetch);
}

void Fetches::on_time(MonotonicTime now) {
  for (const auto id : waiting_.due(now)) {
    WaitingFetch* const fetch = waiting_.find(id);
    if (!fetch) continue;
    waiting_.is_over(*fetch);
    answer_if_complete(*fetch);
  }
}

void Fetches::on_connection_closed(ConnectionId connection) {
  for (const auto id : waiting_.of_connection(connection)) waiting_.take(id);
}

void Fetches::on_topic_deleted(const std::vector<PartitionId>& partitions, std::string_view name) {
  for (const PartitionId partition : partitions)
    each_waiter(partition, [&](WaitingFetch& fetch, Part& part) {
      if (part.state == State::kReading) {
        waiting_.ended_reading(part.read);
        fetch.room += part.reserved;
        --fetch.reading;
      }
      part.fetched.batches.clear();
      fail_part(fetch, part, Error(ErrorCode::kUnknownTopic, quoted(name) + " was deleted"));
    });
  for (const PartitionId partition : partitions)
    each_waiter(partition, [&](WaitingFetch& fetch, Part&) {
      read_due(fetch);
      answer_if_complete(fetch);
    });
}

}  // namespace leat::broker
