// A commit group on its way to the disk: which entries it takes, and how they lie in it. What is
// large is written from where it lies: neither copied nor, where its checksum is known, read.
#pragma once

#include <span>
#include <vector>

#include "storage/journal_format.h"
#include "storage/write_queue.h"

namespace leat::storage {

// Below this no whole block of a body is sure to lie in one of the file.
inline constexpr std::size_t kLeastInlaidBytes = 2 * kBlockBytes;

// As many of `entries` as a group of at most `max_bytes` holds, leads aside; at least one.
std::size_t entries_of_group(std::span<const JournalEntry> entries, std::size_t max_bytes);

struct GroupPlan {
  std::size_t inlays_from = 0;  // so many bytes with a known checksum are written where they lie
  std::size_t body_bytes = 0;   // as in the group's header
  std::size_t inlaid_bytes = 0;
  std::vector<Inlay> inlays;    // of entries' bodies
  std::vector<KnownSum> known;  // in what is left of the group without them

  std::size_t group_bytes() const { return round_up(kGroupHeaderBytes + body_bytes, kBlockBytes); }
};
GroupPlan plan_group(std::span<const JournalEntry> entries, std::size_t inlays_from);

// The group without its inlays, in `buffer`, which has the size for that; what `header` says of its
// entries is found out here. It goes to `place`: so the entries know theirs. Returns its checksum.
std::uint32_t write_group(std::span<JournalEntry> entries, const GroupPlan& plan,
                          GroupHeader header, const JournalPlace& place, MutableBytes buffer);

}  // namespace leat::storage
