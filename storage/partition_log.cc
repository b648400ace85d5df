#include "storage/partition_log.h"

#include <algorithm>
#include <array>

namespace leat::storage {
namespace {

using Head = std::array<std::byte, RecordsAppended::kHeadBytes>;

void put_head(std::byte* to, PartitionId partition, std::size_t behind) {
  store_le<std::uint32_t>(to, partition.value);
  store_le<std::uint32_t>(to + 4, static_cast<std::uint32_t>(behind));
}

// What the batch's own checksum covers, up to its end.
JournalEntry::Sum sum_of(Bytes batch) {
  return {static_cast<std::uint32_t>(batch.size() - batch_layout::kAttributes),
          load_be<std::uint32_t>(batch.data() + batch_layout::kCrc)};
}

}  // namespace

JournalEntry RecordsAppended::encode(PartitionId partition, Offset base, LeaderEpoch epoch,
                                     Bytes batch, EntryKind kind, Bytes behind) {
  const std::size_t bytes = kHeadBytes + batch.size() + behind.size();
  auto owner = std::make_shared_for_overwrite<std::byte[]>(bytes);
  std::byte* body = owner.get();
  put_head(body, partition, behind.size());
  std::ranges::copy(batch, body + kHeadBytes);
  std::ranges::copy(behind, body + kHeadBytes + batch.size());
  assign_offset(MutableBytes(body + kHeadBytes, batch.size()), base, epoch);
  JournalEntry entry{.kind = static_cast<std::uint16_t>(kind),
                     .owner = std::move(owner),
                     .body = Bytes(body, bytes)};
  if (behind.empty()) entry.sum = sum_of(batch);
  return entry;
}

JournalEntry RecordsAppended::adopt(PartitionId partition, Offset base, LeaderEpoch epoch,
                                    MutableBytes batch, std::shared_ptr<const void> owner) {
  struct Adopted {
    Head head;
    std::shared_ptr<const void> batch;
  };
  auto adopted = std::make_shared<Adopted>(Adopted{{}, std::move(owner)});
  put_head(adopted->head.data(), partition, 0);
  assign_offset(batch, base, epoch);
  const Bytes head(adopted->head);
  return {.kind = static_cast<std::uint16_t>(EntryKind::kRecords),
          .owner = std::move(adopted),
          .head = head,
          .body = batch,
          .sum = sum_of(batch)};
}

Result<RecordsAppended> RecordsAppended::decode(const JournalEntry& entry) {
  ByteReader reader(entry.head.empty() ? entry.body : entry.head);
  RecordsAppended records;
  records.partition = PartitionId(reader.le<std::uint32_t>());
  const auto behind = reader.le<std::uint32_t>();
  if (!entry.head.empty()) reader = ByteReader(entry.body);
  if (reader.failed() || behind > reader.remaining())
    return fail(ErrorCode::kCorruptStorage, "malformed 'records'");
  records.batch = reader.bytes(reader.remaining() - behind);
  records.behind = reader.bytes(behind);
  return records;
}

std::optional<Offset> PartitionLog::first_cached() const {
  if (tail_.empty()) return std::nullopt;
  return tail_.front().base;
}

Result<> PartitionLog::check_adjoins(const RecordBatchView& batch) const {
  if (batch.base_offset() == next_) return {};
  // A replay whose end has forgotten what lies between, and may have dropped it from the disk.
  if (batch.base_offset() > next_ && batch.base_offset() <= log_start_) return {};
  return fail(ErrorCode::kCorruptStorage, "a batch begins at offset " +
                                              std::to_string(batch.base_offset().value) +
                                              " where " + std::to_string(next_.value) + " is next");
}

void PartitionLog::apply(const RecordBatchView& batch, std::shared_ptr<const void> owner) {
  LEAT_ASSERT(check_adjoins(batch));
  next_ = batch.base_offset();
  const Offset last = batch.last_offset();
  if (owner) tail_.push_back({next_, last, {std::move(owner), batch.bytes()}});
  if (last >= log_start_)  // else replay of what was forgotten later
    extents_.add({.first = next_,
                  .next = last + 1,
                  .bytes = batch.bytes().size(),
                  .max_timestamp_ms = batch.max_timestamp_ms()});
  next_ = last + 1;
}

void PartitionLog::replayed() {
  next_ = high_watermark_ = std::max(next_, log_start_);
}

std::uint64_t PartitionLog::move_start(Offset start) {
  if (start <= log_start_) return 0;
  log_start_ = start;
  std::uint64_t gone = 0;
  extents_.trim(start, [&](std::uint32_t, std::uint64_t bytes, bool) { gone += bytes; });
  return gone;
}

std::uint64_t PartitionLog::shrink(Offset first, Offset next, std::uint64_t gone) {
  std::uint64_t forgotten = 0;
  extents_.shrink(first, next, gone,
                  [&](std::uint32_t, std::uint64_t bytes, bool) { forgotten += bytes; });
  return forgotten;
}

Offset PartitionLog::look_from(std::int64_t timestamp_ms) const {
  const auto& all = extents_.all();
  const auto found = std::ranges::find_if(
      all, [&](const Extent& extent) { return extent.max_timestamp_ms >= timestamp_ms; });
  const Offset from = found == all.end() ? high_watermark_ : found->first;
  return std::clamp(from, log_start_, std::max(log_start_, high_watermark_));
}

std::optional<TimedRun> PartitionLog::newest_run(const std::optional<TimedRun>& behind) const {
  const auto follows = [](const TimedRun& run, const TimedRun& other) {
    return run.newest_ms < other.newest_ms ||
           (run.newest_ms == other.newest_ms && run.first > other.first);
  };
  std::optional<TimedRun> best;
  for (const Extent& extent : extents_.all()) {
    const TimedRun run{std::max(extent.first, log_start_), std::min(extent.next, high_watermark_),
                       extent.max_timestamp_ms};
    if (run.first >= run.next || (behind && !follows(run, *behind))) continue;
    if (!best || follows(*best, run)) best = run;
  }
  return best;
}

void PartitionLog::drop_oldest_cached() {
  LEAT_ASSERT(!tail_.empty());
  tail_.pop_front();
}

std::optional<ReadResult> PartitionLog::read(Offset from, std::size_t max_bytes) const {
  if (tail_.empty() || from < tail_.front().base) return std::nullopt;
  auto it = std::lower_bound(tail_.begin(), tail_.end(), from,
                             [](const Cached& cached, Offset at) { return cached.last < at; });
  ReadResult result;
  std::size_t bytes = 0;
  for (; it != tail_.end() && it->base < high_watermark_; ++it) {
    bytes += it->batch.bytes.size();
    if (bytes > max_bytes && !result.batches.empty()) break;
    result.batches.push_back(it->batch);
  }
  return result;
}

}  // namespace leat::storage
