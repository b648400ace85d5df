#include "storage/journal_group.h"

#include <algorithm>
#include <cassert>
#include <cstdint>

namespace leat::storage {
namespace {

// Where an entry lies in its group.
struct Spot {
  std::size_t lead = 0;
  std::size_t body = 0;  // of what is not its head
  std::size_t end = 0;   // of the body
  std::size_t next = 0;  // entry
  // In whole blocks, both in memory and in the file; empty: it is copied.
  std::size_t inlaid_from = 0, inlaid_to = 0;

  bool inlaid() const { return inlaid_from < inlaid_to; }
};

Spot spot_of(const JournalEntry& entry, std::size_t at, std::size_t inlays_from) {
  Spot spot;
  spot.body = at + kEntryHeaderBytes + entry.head.size();
  const bool large = entry.sum.bytes >= inlays_from;
  if (large)
    spot.lead = (reinterpret_cast<std::uintptr_t>(entry.body.data()) - spot.body) % kBlockBytes;
  spot.body += spot.lead;
  spot.end = spot.body + entry.body.size();
  spot.next = at + entry_bytes(entry.bytes(), spot.lead);
  if (!large) return spot;
  spot.inlaid_from = round_up(spot.end - entry.sum.bytes, kBlockBytes);
  spot.inlaid_to = spot.end / kBlockBytes * kBlockBytes;
  return spot;
}

std::byte* put_zeros(std::byte* to, std::size_t count) {
  return std::fill_n(to, count, std::byte{0});
}

}  // namespace

std::size_t entries_of_group(std::span<const JournalEntry> entries, std::size_t max_bytes) {
  std::size_t bytes = kGroupHeaderBytes, count = 0;
  for (const JournalEntry& entry : entries) {
    bytes += entry_bytes(entry.bytes());
    if (count > 0 && bytes > max_bytes) break;
    ++count;
  }
  return count;
}

GroupPlan plan_group(std::span<const JournalEntry> entries, std::size_t inlays_from) {
  GroupPlan plan{.inlays_from = std::max(inlays_from, kLeastInlaidBytes)};
  std::size_t at = kGroupHeaderBytes;
  for (const JournalEntry& entry : entries) {
    const Spot spot = spot_of(entry, at, plan.inlays_from);
    at = spot.next;
    if (!spot.inlaid()) continue;
    assert(crc32c(entry.body.last(entry.sum.bytes)) == entry.sum.crc);
    const std::size_t bytes = spot.inlaid_to - spot.inlaid_from;
    const std::size_t left = entry.sum.bytes - bytes;
    const std::size_t begin = spot.end - entry.sum.bytes - plan.inlaid_bytes;
    plan.inlays.push_back(
        {spot.inlaid_from, entry.body.subspan(spot.inlaid_from - spot.body, bytes)});
    plan.known.push_back({begin, begin + left, entry.sum.bytes, entry.sum.crc});
    plan.inlaid_bytes += bytes;
  }
  plan.body_bytes = at - kGroupHeaderBytes;
  return plan;
}

std::uint32_t write_group(std::span<JournalEntry> entries, const GroupPlan& plan,
                          GroupHeader header, const JournalPlace& place, MutableBytes buffer) {
  std::size_t at = kGroupHeaderBytes;
  std::byte* to = buffer.data() + at;
  for (JournalEntry& entry : entries) {
    const Spot spot = spot_of(entry, at, plan.inlays_from);
    entry.place = place;
    entry.place.at += at + kEntryHeaderBytes + spot.lead;
    store_le<std::uint32_t>(to, static_cast<std::uint32_t>(entry.bytes()));
    store_le<std::uint16_t>(to + 4, entry.kind);
    store_le<std::uint16_t>(to + 6, static_cast<std::uint16_t>(spot.lead));
    to = put_bytes(put_zeros(to + kEntryHeaderBytes, spot.lead), entry.head);
    if (spot.inlaid()) {
      to = put_bytes(to, entry.body.first(spot.inlaid_from - spot.body));
      to = put_bytes(to, entry.body.subspan(spot.inlaid_to - spot.body));
    } else {
      to = put_bytes(to, entry.body);
    }
    to = put_zeros(to, spot.next - spot.end);
    at = spot.next;
  }
  put_zeros(to, static_cast<std::size_t>(buffer.data() + buffer.size() - to));
  header.body_bytes = static_cast<std::uint32_t>(plan.body_bytes);
  header.entries = static_cast<std::uint32_t>(entries.size());
  return seal_group(buffer, header, plan.known);
}

}  // namespace leat::storage
