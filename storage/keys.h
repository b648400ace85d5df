// Every RocksDB key layout (rule 15). Big-endian, so that byte order is numeric order.
// docs/disk_format.md tells the values.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"

namespace leat::storage::keys {

// Column families.
inline constexpr const char* kRecordsFamily = "records";
inline constexpr const char* kCatalogFamily = "catalog";
inline constexpr const char* kOffsetsFamily = "offsets";

// ---- records: segment u32 | partition u32 | last offset of the batch u64 -> batch ----
// The last offset, so that a plain seek to an offset lands on the batch that holds it.
inline constexpr std::size_t kRecordBytes = 16;
// The partition that no partition has: the segment's footer stands behind all its batches.
inline constexpr PartitionId kFooterPartition{0xffffffff};

using RecordKey = std::array<char, kRecordBytes>;

inline RecordKey record(std::uint32_t segment, PartitionId partition, Offset last) {
  RecordKey key;
  auto* to = reinterpret_cast<std::byte*>(key.data());
  store_be<std::uint32_t>(to, segment);
  store_be<std::uint32_t>(to + 4, partition.value);
  store_be<std::uint64_t>(to + 8, static_cast<std::uint64_t>(last.value));
  return key;
}
inline RecordKey footer(std::uint32_t segment) {
  return record(segment, kFooterPartition, Offset(0));
}
inline std::uint32_t segment_of(std::string_view key) {
  return load_be<std::uint32_t>(as_bytes(key).data());
}
inline PartitionId partition_of(std::string_view key) {
  return PartitionId(load_be<std::uint32_t>(as_bytes(key).data() + 4));
}
inline Offset last_offset_of(std::string_view key) {
  return Offset(static_cast<std::int64_t>(load_be<std::uint64_t>(as_bytes(key).data() + 8)));
}
template <std::size_t N>
std::string_view view(const std::array<char, N>& key) {
  return {key.data(), key.size()};
}

// ---- catalog and offsets: one letter, then the rest ----
// The family's own persisted journal position (rule 5) -> u64 little-endian.
inline constexpr std::string_view kPosition = "!position";
// The next partition id to issue -> u32 little-endian.
inline constexpr std::string_view kNextPartition = "!next-partition";

inline constexpr char kTopicLetter = 't';  // t | topic id -> topic
inline constexpr char kCommitLetter =
    'c';  // c | group bytes u16 | group | topic id | partition u32

inline std::string topic(const TopicId& id) {
  std::string key(1, kTopicLetter);
  key.append(reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size());
  return key;
}

inline std::string commit(std::string_view group, const TopicId& topic, PartitionIndex partition) {
  std::byte size[2], index[4];
  store_be<std::uint16_t>(size, static_cast<std::uint16_t>(group.size()));
  store_be<std::uint32_t>(index, static_cast<std::uint32_t>(partition.value));
  std::string key(1, kCommitLetter);
  key.append(as_text(size)).append(group);
  key.append(reinterpret_cast<const char*>(topic.bytes.data()), topic.bytes.size());
  return key.append(as_text(index));
}

}  // namespace leat::storage::keys
