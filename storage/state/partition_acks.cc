#include "storage/state/partition_acks.h"

#include <algorithm>
#include <utility>

#include "storage/keys.h"

namespace leat::storage {
namespace {

constexpr std::int64_t kChunk = AckChunk::kOffsets;
constexpr std::size_t kNodeBytes = 48;  // of a map, with what malloc adds

std::int64_t chunk_of(Offset offset) {
  return offset.value >> 16;
}
std::uint32_t within(Offset offset) {
  return static_cast<std::uint32_t>(offset.value & (kChunk - 1));
}
Offset offset_at(std::int64_t chunk, std::uint32_t at) {
  return Offset(chunk * kChunk + at);
}
static_assert(kChunk == 1 << 16);

}  // namespace

// ---- what is done ----

bool PartitionAcks::is_done(Offset offset) const {
  if (offset < floor_) return true;
  const auto chunk = chunks_.find(chunk_of(offset));
  return chunk != chunks_.end() && chunk->second.done.is_done(within(offset));
}

Offset PartitionAcks::next_open(Offset from) const {
  from = std::max(from, floor_);
  for (auto it = chunks_.find(chunk_of(from)); it != chunks_.end(); ++it) {
    if (it->first != chunk_of(from)) break;
    const std::uint32_t open = it->second.done.next_open(within(from));
    if (open < kChunk) return offset_at(it->first, open);
    from = offset_at(it->first + 1, 0);
  }
  return from;
}

std::optional<Offset> PartitionAcks::next_done(Offset from) const {
  from = std::max(from, floor_);
  for (auto it = chunks_.lower_bound(chunk_of(from)); it != chunks_.end(); ++it) {
    const std::uint32_t begin = it->first == chunk_of(from) ? within(from) : 0;
    const std::uint32_t done = it->second.done.next_done(begin);
    if (done < kChunk) return offset_at(it->first, done);
  }
  return std::nullopt;
}

std::optional<Retry> PartitionAcks::retry(Offset offset) const {
  const auto behind = retries_.upper_bound(offset);
  if (behind == retries_.begin()) return std::nullopt;
  const Run& run = std::prev(behind)->second;
  return offset <= run.last ? std::optional(run.retry) : std::nullopt;
}

std::size_t PartitionAcks::memory_bytes() const {
  std::size_t bytes = retries_.size() * (kNodeBytes + sizeof *retries_.begin()) +
                      rows_.size() * (kNodeBytes + sizeof *rows_.begin());
  for (const auto& chunk : chunks_)
    bytes += kNodeBytes + sizeof chunk + chunk.second.done.memory_bytes();
  return bytes;
}

// ---- changes ----

void PartitionAcks::apply(const AcksChange& change) {
  for (const OffsetRange& range : change.done) mark(range);
  for (const auto& [range, retry] : change.retries) tried(range, retry);
  raise_floor();
  changed_ = true;
}

PartitionAcks::Chunk& PartitionAcks::changed_chunk(std::int64_t index) {
  const auto [it, fresh] = chunks_.try_emplace(index);
  if (fresh && index == chunk_of(floor_) && within(floor_) > 0)
    it->second.done.mark(0, within(floor_) - 1);
  it->second.changed = true;
  return it->second;
}

void PartitionAcks::mark(OffsetRange range) {
  range.first = std::max(range.first, floor_);
  for (Offset at = range.first; at <= range.last;) {
    const Offset last = std::min(range.last, offset_at(chunk_of(at), kChunk - 1));
    AckChunk& chunk = changed_chunk(chunk_of(at)).done;
    done_above_floor_ += chunk.mark(within(at), within(last));
    at = last + 1;
  }
  erase_retries(range);
}

void PartitionAcks::raise_floor() {
  const Offset floor = next_open(floor_);
  done_above_floor_ -= static_cast<std::uint64_t>(floor - std::exchange(floor_, floor));
  chunks_.erase(chunks_.begin(), chunks_.lower_bound(chunk_of(floor)));
  if (chunks_.empty() || chunks_.begin()->first != chunk_of(floor)) return;
  const bool none_done = chunks_.begin()->second.done.done() == within(floor);
  const bool none_tried =
      retries_.empty() || retries_.begin()->first >= offset_at(chunk_of(floor) + 1, 0);
  if (none_done && none_tried) chunks_.erase(chunks_.begin());
}

void PartitionAcks::tried(OffsetRange range, const Retry& retry) {
  for (Offset first = next_open(range.first); first <= range.last;) {
    const auto done = next_done(first);
    const Offset last = done ? std::min(range.last, *done + -1) : range.last;
    put_retry({first, last}, retry);
    for (std::int64_t i = chunk_of(first); i <= chunk_of(last); ++i) changed_chunk(i);
    first = next_open(last + 1);
  }
}

void PartitionAcks::put_retry(OffsetRange range, Retry retry) {
  erase_retries(range);
  const auto behind = retries_.lower_bound(range.first);
  if (behind != retries_.end() && behind->first == range.last + 1 &&
      behind->second.retry == retry) {
    range.last = behind->second.last;
    retries_.erase(behind);
  }
  const auto after = retries_.lower_bound(range.first);
  if (after != retries_.begin()) {
    Run& before = std::prev(after)->second;
    if (before.last + 1 == range.first && before.retry == retry) {
      before.last = range.last;
      return;
    }
  }
  retries_.emplace_hint(after, range.first, Run{range.last, retry});
}

void PartitionAcks::erase_retries(OffsetRange range) {
  auto it = retries_.upper_bound(range.first);
  if (it != retries_.begin() && std::prev(it)->second.last >= range.first) --it;
  while (it != retries_.end() && it->first <= range.last) {
    const auto [first, run] = *it;
    it = retries_.erase(it);
    if (first < range.first) retries_.emplace(first, Run{range.first + -1, run.retry});
    if (run.last > range.last) retries_.emplace(range.last + 1, run);
    if (run.last > range.last) return;
  }
}

// ---- rows ----

std::optional<PartitionAcks> PartitionAcks::load(std::string_view floor_row) {
  ByteReader reader(as_bytes(floor_row));
  const Offset floor(reader.le<std::int64_t>());
  if (!reader.finished()) return std::nullopt;
  PartitionAcks acks(floor);
  acks.has_row_ = true;
  return acks;
}

// Retries are cut where the chunk ends.
std::string PartitionAcks::encode(std::int64_t index, const Chunk& chunk) const {
  EntryWriter writer;
  chunk.done.encode(writer);
  Offset next = offset_at(index, 0);
  const Offset end = offset_at(index + 1, 0);
  auto run = retries_.upper_bound(next);
  if (run != retries_.begin() && std::prev(run)->second.last >= next) --run;
  for (; run != retries_.end() && run->first < end; ++run) {
    const auto& [last, retry] = run->second;
    const Offset from = std::max(run->first, next), to = std::min(last, end + -1);
    writer.varint(from - next).varint(to - from).varint(retry.attempts).varint(retry.due_ms);
    next = to + 1;
  }
  return std::string(as_text(writer.take()));
}

Result<> PartitionAcks::load_chunk(std::int64_t index, std::string_view row) {
  ByteReader reader(as_bytes(row));
  Chunk& chunk = chunks_.try_emplace(index, Chunk{AckChunk::decode(reader)}).first->second;
  const bool floors = index == chunk_of(floor_);
  const std::uint32_t below = floors ? within(floor_) : 0;
  if (index < chunk_of(floor_) || (floors && chunk.done.next_open(0) != below)) reader.fail();
  done_above_floor_ += chunk.done.done() - below;
  std::int64_t next = 0;
  while (reader.remaining() > 0) {
    const std::int64_t between = read_varint(reader), more = read_varint(reader);
    const std::int64_t attempts = read_varint(reader), due_ms = read_varint(reader);
    if (between < 0 || between >= kChunk || more < 0 || more >= kChunk ||
        next + between + more >= kChunk || attempts < 0 || attempts > UINT32_MAX)
      reader.fail();
    if (reader.failed()) break;
    const Offset first = offset_at(index, static_cast<std::uint32_t>(next + between));
    tried({first, first + more}, {static_cast<std::uint32_t>(attempts), due_ms});
    next += between + more + 1;
  }
  chunk.changed = false;
  rows_.insert(index);
  if (!reader.finished()) return leat::fail(ErrorCode::kCorruptStorage, "malformed acks");
  return {};
}

void PartitionAcks::persist_changes(const std::string& key, FamilyWriter& rows) {
  if (!std::exchange(changed_, false)) return;
  rows.put(key, as_text(EntryWriter().le(floor_.value).take()));
  has_row_ = true;
  std::erase_if(rows_, [&](std::int64_t index) {
    const bool gone = !chunks_.contains(index);
    if (gone) rows.remove(keys::acks_chunk(key, index));
    return gone;
  });
  for (auto& [index, chunk] : chunks_) {
    if (!std::exchange(chunk.changed, false)) continue;
    rows.put(keys::acks_chunk(key, index), encode(index, chunk));
    rows_.insert(index);
  }
}

std::vector<std::string> PartitionAcks::row_keys(const std::string& key) const {
  std::vector<std::string> all;
  if (has_row_) all.push_back(key);
  for (const std::int64_t index : rows_) all.push_back(keys::acks_chunk(key, index));
  return all;
}

}  // namespace leat::storage
