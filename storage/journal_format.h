// The journal's format, once for reader and writer (docs/disk_format.md, rule 4). Little-endian.
//
// A segment is a file of commit groups; each group is one durable write, padded with zeros to a
// multiple of 4,096 bytes, so that a block that holds acknowledged bytes is never written again:
//
//   0  magic         u32  "LJG1"
//   4  crc           u32  CRC-32C of everything behind it up to the end of the last entry
//   8  body bytes    u32  of the entries, without the group's padding
//   12 entries       u32  0: a durable marker
//   16 incarnation   u64  raised and synced at each start
//   24 first         u64  position of the first entry (of the next one, in a marker)
//   32 durable       u64  every entry up to here was durable when this group was written
//   40 previous crc  u32  of the group before: the chain
//   44 reserved      u32  0
//   48 journal id    u64  random, so that groups of another journal never fit
//   56 reserved      u64  0
//   64 entries: { length u32 | kind u16 | lead u16 | lead zeros | body } padded to 8 …
//
// Leads (below a block, 0 before format 9) let a large body begin where its memory does in a block,
// so that it is written from there (journal_group.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/crc32c.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "storage/file_io.h"

namespace leat::storage {

inline constexpr std::uint32_t kGroupMagic = 0x31474a4c;  // "LJG1" in memory
inline constexpr std::size_t kGroupHeaderBytes = 64;
inline constexpr std::size_t kEntryHeaderBytes = 8;
inline constexpr std::size_t kEntryAlignment = 8;

struct GroupHeader {
  std::uint32_t crc = 0;
  std::uint32_t body_bytes = 0;
  std::uint32_t entries = 0;
  std::uint64_t incarnation = 0;
  JournalPosition first;
  JournalPosition durable;
  std::uint32_t previous_crc = 0;
  std::uint64_t journal_id = 0;

  std::size_t group_bytes() const {
    return round_up(kGroupHeaderBytes + std::size_t{body_bytes}, kBlockBytes);
  }
  JournalPosition next() const { return first + entries; }
};

inline std::size_t entry_bytes(std::size_t body_bytes, std::size_t lead = 0) {
  return kEntryHeaderBytes + round_up(lead + body_bytes, kEntryAlignment);
}

// The chain's seed: what the very first group names as its predecessor's checksum.
inline std::uint32_t chain_seed(std::uint64_t journal_id) {
  std::byte id[8];
  store_le(id, journal_id);
  return crc32c(id);
}

// Bytes [begin, end) of a group stand for `bytes` bytes, whose checksum is known to be `crc`; they
// need not all be there.
struct KnownSum {
  std::size_t begin = 0, end = 0;
  std::size_t bytes = 0;
  std::uint32_t crc = 0;
};

// Writes header and checksum in front of the body that stands at group + kGroupHeaderBytes; returns
// the checksum. What `known` stands for, in the order of the group, is not read.
std::uint32_t seal_group(MutableBytes group, const GroupHeader& header,
                         std::span<const KnownSum> known = {});

// The header at the start of `block` if it is one of journal `id`; its checksum is not checked.
std::optional<GroupHeader> read_group_header(Bytes block, std::uint64_t journal_id);

// Whether `block` begins with a group of any journal, intact or not.
bool begins_group(Bytes block);

// Whether the checksum in `header` is that of the group's bytes.
bool group_intact(const GroupHeader& header, Bytes group);

// Where a durable entry's body lies: in a segment that the start with this incarnation wrote, for a
// segment may be recycled under its number. Incarnation 0: nowhere that may be read.
struct JournalPlace {
  std::uint64_t incarnation = 0, segment = 0;
  std::uint64_t at = 0;
};

// One entry, opaque to the journal. `owner` keeps its bytes alive and unchanged.
struct JournalEntry {
  struct Sum {
    std::uint32_t bytes = 0, crc = 0;
  };
  std::uint16_t kind = 0;
  std::shared_ptr<const void> owner;
  Bytes
      head;  // what the body begins with in the journal, where it lies elsewhere; none in a replay
  Bytes body;
  JournalPosition position{};  // set by append and by replay
  JournalPlace place{};        // set when it is written, and by replay
  // How long it may wait in memory before it is written (rule 3): zero is at once, max() is until
  // something else needs the disk.
  Duration max_delay{0};
  Sum sum{};  // the CRC-32C of the body's last so many bytes, where it is known

  std::size_t bytes() const { return head.size() + body.size(); }
};

// The list of segments in use, in log order: the "second, synced file" of rule 4.
struct Manifest {
  // A segment never changes its size: one that is shorter was cut, and with it perhaps the very
  // groups that would prove a loss.
  struct Segment {
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;  // 0: not known (version 1)
  };
  std::uint64_t journal_id = 0;
  std::uint64_t incarnation = 0;
  std::vector<Segment> segments;

  std::vector<std::byte> encode() const;
  // kCorruptStorage, kFormatUnsupported.
  static Result<Manifest> decode(Bytes bytes);
};

inline constexpr const char* kManifestName = "MANIFEST";
inline constexpr std::size_t kMaxManifestBytes = 1 << 20;

std::string segment_name(std::uint64_t number);  // "00000007.seg"

}  // namespace leat::storage
