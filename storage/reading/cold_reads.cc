#include "storage/reading/cold_reads.h"

#include <algorithm>

#include "protocol/base/assert.h"
#include "protocol/record_batch.h"

namespace leat::storage {
namespace {

constexpr std::size_t kMostAheadBytes = 1 << 20;      // of one read
constexpr std::size_t kLeastChargedBytes = 16 << 10;  // so that the number is bounded, too
constexpr std::size_t kMostExpected = 1'024;
// What was read ahead in vain stays until so many times the budget were refused for want of room:
// readers that are too many for it do not drive out one another's before they come for it.
constexpr std::uint64_t kPatience = 4;

std::size_t charge_of(std::size_t bytes) {
  return std::max(bytes, kLeastChargedBytes);
}

// Some of what was read: the batches from the one that holds `from` on, up to `max_bytes` but at
// least one.
struct Part {
  StoredBatches batches;
  Offset next;
  Bytes rest;
};
Part part_of(const StoredBatches& all, Offset from, std::size_t max_bytes) {
  std::size_t begin = 0, bytes = 0;
  Offset next = from;
  while (begin + bytes < all.bytes.size()) {
    const auto batch = RecordBatchView::parse(all.bytes.subspan(begin + bytes));
    if (!batch) break;  // it was checked when it was read
    const std::size_t size = batch->bytes().size();
    if (batch->last_offset() < from) {
      begin += size;
      continue;
    }
    if (bytes > 0 && bytes + size > max_bytes) break;
    bytes += size;
    next = batch->last_offset() + 1;
  }
  return {{all.owner, all.bytes.subspan(begin, bytes)}, next, all.bytes.subspan(begin + bytes)};
}

ReadResult result_of(StoredBatches batches) {
  ReadResult result;
  if (!batches.bytes.empty()) result.batches.push_back(std::move(batches));
  return result;
}

}  // namespace

// ---- asking ----

ReadOutcome ColdReads::read(PartitionId partition, Offset from, std::size_t max_bytes,
                            ReadToken token) {
  if (auto kept = take(partition, from, max_bytes)) {
    ++hits_;
    return std::move(*kept);
  }
  const Waiter waiter{token, max_bytes};
  if (const auto same = places_.find({partition, from}); same != places_.end()) {
    UnderWay& read = under_way_.at(same->second);
    if (read.read.ahead && read.waiting.empty()) {
      ++hits_;
      seam_.hurry(read.read.id);
    }
    read.waiting.push_back(waiter);
    return ReadLater{};
  }
  const bool in_sequence = expected_.erase({partition, from}) > 0;
  begin({++last_id_, partition, from, max_bytes, false}, in_sequence, {waiter});
  return ReadLater{};
}

void ColdReads::begin(ColdRead read, bool in_sequence, std::vector<Waiter> waiting) {
  const Place place{read.partition, read.from};
  under_way_.emplace(read.id, UnderWay{read, in_sequence, std::move(waiting)});
  places_.insert_or_assign(place, read.id);
  seam_.begin(read);
}

ColdReads::KeptAt ColdReads::find_kept(PartitionId partition, Offset from) {
  auto kept = kept_.upper_bound({partition, from});
  if (kept == kept_.begin()) return kept_.end();
  --kept;
  return kept->first.first == partition && kept->second.next > from ? kept : kept_.end();
}

std::optional<ReadResult> ColdReads::take(PartitionId partition, Offset from,
                                          std::size_t max_bytes) {
  const KeptAt found = find_kept(partition, from);
  if (found == kept_.end()) return std::nullopt;
  const Offset next = found->second.next;
  const std::size_t asked = found->second.max_bytes;
  const bool followed = std::exchange(found->second.followed, true);
  ReadResult result = result_of(take_part(found, from, max_bytes));
  if (!followed) read_ahead(partition, next, asked);
  return result;
}

// What is in front of it goes with it.
StoredBatches ColdReads::take_part(KeptAt found, Offset from, std::size_t max_bytes) {
  StoredBatches all = found->second.batches;
  const bool whole = found->first.second == from && all.bytes.size() <= max_bytes;
  Part part = whole ? Part{all, found->second.next, {}} : part_of(all, from, max_bytes);
  if (part.rest.empty()) {
    drop(found);
    return std::move(part.batches);
  }
  auto node = kept_.extract(found);
  node.key().second = part.next;
  node.mapped().batches.bytes = part.rest;
  const auto back = kept_.insert(std::move(node));
  if (!back.inserted) bytes_ -= back.node.mapped().charged;
  return std::move(part.batches);
}

// ---- reading ahead ----

void ColdReads::read_ahead(PartitionId partition, Offset from, std::size_t max_bytes) {
  const Range range = seam_.range(partition);
  if (from < range.first || from >= range.end) return;
  if (places_.contains({partition, from}) || find_kept(partition, from) != kept_.end()) return;
  const std::size_t bytes = std::min(max_bytes, kMostAheadBytes);
  if (!make_room(charge_of(bytes))) return expect({partition, from});
  bytes_ += charge_of(bytes);
  begin({++last_id_, partition, from, bytes, true}, true, {});
}

bool ColdReads::make_room(std::size_t bytes) {
  if (bytes_ + bytes <= budget_bytes_) return true;
  refused_ += bytes;
  std::erase_if(kept_, [&](const auto& each) {
    const bool stale = refused_ - each.second.refused > kPatience * budget_bytes_;
    if (stale) bytes_ -= each.second.charged;
    return stale;
  });
  return bytes_ + bytes <= budget_bytes_;
}

void ColdReads::expect(const Place& place) {
  if (!expected_.insert(place).second) return;
  expected_in_order_.push_back(place);
  if (expected_in_order_.size() <= kMostExpected) return;
  expected_.erase(expected_in_order_.front());
  expected_in_order_.pop_front();
}

// ---- what came of it ----

void ColdReads::ended(EndedRead ended, const Tell& tell) {
  const auto node = under_way_.extract(ended.id);
  LEAT_ASSERT(!node.empty());
  ++ended_;
  UnderWay& read = node.mapped();
  const Place place{ended.partition, read.read.from};
  if (const auto at = places_.find(place); at != places_.end() && at->second == ended.id)
    places_.erase(at);
  if (read.read.ahead) bytes_ -= charge_of(read.read.max_bytes);
  const bool any = ended.result && !ended.result->batches.empty();
  if (any) go_on(read, ended);
  for (const Waiter& waiter : read.waiting)
    tell(waiter.token,
         any && takes_less(waiter, read.read)
             ? result_of(
                   part_of(ended.result->batches.front(), read.read.from, waiter.max_bytes).batches)
             : ended.result);
}

// Whoever waited is about to have it, and may come for what follows.
void ColdReads::go_on(const UnderWay& read, const EndedRead& ended) {
  const bool taken = !read.waiting.empty();
  const bool in_part = std::ranges::any_of(
      read.waiting, [&](const Waiter& waiter) { return takes_less(waiter, read.read); });
  if (!taken || in_part) keep(read, ended, taken);
  if (taken && read.in_sequence)
    read_ahead(ended.partition, ended.next, read.read.max_bytes);
  else if (taken)
    expect({ended.partition, ended.next});
}

void ColdReads::keep(const UnderWay& read, const EndedRead& ended, bool followed) {
  const StoredBatches& batches = ended.result->batches.front();
  const std::size_t charged = charge_of(batches.bytes.size());
  if (ended.next <= seam_.range(ended.partition).first) return;  // gone meanwhile
  if (bytes_ + charged > budget_bytes_) return;
  const Kept kept{batches, ended.next, read.read.max_bytes, charged, refused_, followed};
  if (kept_.emplace(Place{ended.partition, read.read.from}, kept).second) bytes_ += charged;
}

// ---- what is not wanted any more ----

void ColdReads::drop(KeptAt kept) {
  bytes_ -= kept->second.charged;
  kept_.erase(kept);
}

void ColdReads::forget(PartitionId partition, Offset below) {
  auto kept = kept_.lower_bound({partition, Offset(0)});
  while (kept != kept_.end() && kept->first.first == partition && kept->second.next <= below)
    drop(kept++);
}

void ColdReads::drop_kept() {
  for (const auto& [place, kept] : kept_) bytes_ -= kept.charged;
  kept_.clear();
}

}  // namespace leat::storage
