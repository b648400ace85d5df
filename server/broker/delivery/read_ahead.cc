#include "server/broker/delivery/read_ahead.h"

#include <algorithm>
#include <utility>

#include "protocol/batch_cursor.h"
#include "protocol/batch_parts.h"

namespace leat::broker {
namespace {

// What a record takes beside its bytes: a node, the allocations.
constexpr std::size_t kOverheadBytes = 112;

bool same_batch(const RecordBatchView& one, const RecordBatchView& other) {
  return one.base_offset() == other.base_offset() && one.last_offset() == other.last_offset() &&
         one.base_timestamp_ms() == other.base_timestamp_ms();
}

std::size_t cost(const std::vector<std::byte>& record) {
  return record.size() + kOverheadBytes;
}

}  // namespace

// ---- memory ----

void ReadAhead::use(std::size_t bytes) {
  used_bytes_ += bytes;
  memory_.used_bytes += bytes;
}

void ReadAhead::give_back(std::size_t bytes) {
  used_bytes_ -= bytes;
  memory_.used_bytes -= bytes;
}

// It leaves a third of that to others: so whoever comes finds room, whatever those before it have.
std::size_t ReadAhead::most_bytes() const {
  const std::size_t free = memory_.limit_bytes - std::min(memory_.limit_bytes, memory_.used_bytes);
  return (used_bytes_ + free) / 4 * 3;
}

ReadAhead::Kept::iterator ReadAhead::erase(Kept& from, Kept::iterator it) {
  give_back(cost(it->second));
  return from.erase(it);
}

// ---- what to read ----

// Once half of the way, and half of the room, has been used up: so each sweep finds many.
std::optional<std::int64_t> ReadAhead::next_look_ms(const DelayedRecords& delayed) const {
  const auto first_ms = delayed.first_due_ms();
  if (!first_ms || is_sweeping() || memory_.limit_bytes == 0) return std::nullopt;
  return std::max(*first_ms - kFurthestMs, looked_until_.due_ms() - kFurthestMs / 2);
}

void ReadAhead::look(const DelayedRecords& delayed, std::int64_t now_ms) {
  // The clock was set back: what is kept may have long to wait.
  if (looked_until_.due_ms() > now_ms + 2 * kFurthestMs) {
    for (auto it = kept_.begin(); it != kept_.end();) it = erase(kept_, it);
    end_sweep();
    looked_until_ = Entry::at(0);
  }
  const auto look_ms = next_look_ms(delayed);
  const std::size_t most_bytes = this->most_bytes();
  if (!look_ms || *look_ms > now_ms || used_bytes_ > most_bytes / 2) return;
  const std::size_t most = (most_bytes - used_bytes_) / record_bytes_;
  if (most == 0) return;
  // What is due now must be read now, which is not for here.
  const Entry from = std::max(looked_until_, Entry::at(now_ms + 1));
  const auto near = delayed.near(from, Entry::at(now_ms + kFurthestMs + 1), most);
  looked_until_ = std::max(from, near.until);
  for (const Entry& entry : near.records) wanted_.push_back({entry, false});
  std::ranges::sort(wanted_, {}, [](const Wanted& wanted) { return wanted.entry.offset(); });
  unsettled_ = wanted_.size();
  set_apart_bytes_ = record_bytes_;
  use(wanted_.size() * set_apart_bytes_);
}

std::optional<Offset> ReadAhead::next() {
  while (next_ < wanted_.size() && wanted_[next_].settled) ++next_;
  if (next_ < wanted_.size()) return wanted_[next_++].entry.offset();
  end_sweep();
  return std::nullopt;
}

void ReadAhead::end_sweep() {
  for (Wanted& wanted : wanted_) settle(wanted);
  wanted_ = {};
  next_ = 0;
}

void ReadAhead::settle(Wanted& wanted) {
  if (std::exchange(wanted.settled, true)) return;
  --unsettled_;
  give_back(set_apart_bytes_);
}

void ReadAhead::keep(const storage::ReadResult& read) {
  for (const storage::StoredBatches& stored : read.batches)
    for (Bytes rest = stored.bytes; !rest.empty() && is_sweeping();) {
      const auto batch = RecordBatchView::parse(rest);
      if (!batch) return;  // whoever reads it for what is due tells of it
      rest = rest.subspan(batch->bytes().size());
      keep(*batch);
    }
  if (unsettled_ == 0) end_sweep();
}

void ReadAhead::keep(const RecordBatchView& batch) {
  const auto offset_of = [](const Wanted& wanted) { return wanted.entry.offset(); };
  auto it = std::ranges::lower_bound(wanted_, batch.base_offset(), {}, offset_of);
  std::optional<BatchCursor> cursor;
  for (; it != wanted_.end() && offset_of(*it) <= batch.last_offset(); ++it) {
    if (it->settled) continue;
    if (!cursor) {
      auto opened = BatchCursor::open(batch);
      if (!opened) return;
      cursor.emplace(std::move(*opened));
    }
    settle(*it);
    const Offset offset = offset_of(*it);
    cursor->seek(offset, it->entry.position());
    if (!cursor->at_most(offset)) continue;  // compaction took it
    BatchPart part;
    part.reserve(batch_layout::kHeaderBytes + cursor->record().encoded().size());
    part.add(batch, cursor->record());
    if (!keep(offset, part.take())) return end_sweep();
  }
}

bool ReadAhead::keep(Offset offset, std::vector<std::byte> record) {
  const std::size_t bytes = cost(record);
  record_bytes_ = (7 * record_bytes_ + bytes) / 8;
  if (memory_.used_bytes + bytes > memory_.limit_bytes) return false;
  use(bytes);
  kept_.emplace(offset, std::move(record));
  return true;
}

// ---- what was read ----

bool ReadAhead::is_due(Offset offset) {
  const auto it = kept_.find(offset);
  if (it != kept_.end()) {
    at_hand_.insert(kept_.extract(it));
    return true;
  }
  const auto wanted = std::ranges::lower_bound(
      wanted_, offset, {}, [](const Wanted& one) { return one.entry.offset(); });
  if (wanted != wanted_.end() && wanted->entry.offset() == offset) settle(*wanted);
  return false;
}

void ReadAhead::trim(Offset log_start) {
  for (Kept* kept : {&kept_, &at_hand_})
    for (auto it = kept->begin(); it != kept->end() && it->first < log_start;)
      it = erase(*kept, it);
  for (Wanted& wanted : wanted_) {
    if (wanted.entry.offset() >= log_start) break;
    settle(wanted);
  }
}

storage::ReadResult ReadAhead::some_at_hand(std::uint64_t most_records, std::size_t most_bytes) {
  std::vector<std::byte> bytes;
  BatchPart part;
  std::optional<RecordBatchView> whole;  // a record of the part's batch
  const auto end_part = [&] {
    if (part.count() == 0) return;
    const std::vector<std::byte> ended = part.take();
    bytes.insert(bytes.end(), ended.begin(), ended.end());
  };
  auto it = at_hand_.lower_bound(give_from_);
  if (it == at_hand_.end()) it = at_hand_.begin();
  for (std::size_t size = 0; it != at_hand_.end() && most_records > 0; ++it, --most_records) {
    const auto record = *RecordBatchView::parse(it->second);
    size += it->second.size();
    if (whole && size > most_bytes) break;
    if (whole && !same_batch(*whole, record)) end_part();
    part.add(record, record.begin());
    whole = record;
    give_from_ = it->first + 1;
  }
  end_part();
  if (bytes.empty()) return {};
  const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  return {{{owner, Bytes(*owner)}}};
}

bool ReadAhead::forget(Offset offset) {
  const auto it = at_hand_.find(offset);
  if (it == at_hand_.end()) return false;
  erase(at_hand_, it);
  return true;
}

std::vector<Offset> ReadAhead::forget(storage::OffsetRange range) {
  std::vector<Offset> forgotten;
  for (auto it = at_hand_.lower_bound(range.first);
       it != at_hand_.end() && it->first <= range.last;) {
    forgotten.push_back(it->first);
    it = erase(at_hand_, it);
  }
  return forgotten;
}

}  // namespace leat::broker
