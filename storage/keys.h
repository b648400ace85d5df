// Every RocksDB key layout (rule 15). Big-endian, so that byte order is numeric order.
// docs/disk_format.md tells the values.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "storage/key_writer.h"

namespace leat::storage::keys {

// Column families.
inline constexpr const char* kRecordsFamily = "records";
inline constexpr const char* kCatalogFamily = "catalog";
inline constexpr const char* kOffsetsFamily = "offsets";
inline constexpr const char* kProducersFamily = "producers";
inline constexpr const char* kIdsFamily = "ids";

// ---- records: segment u32 | partition u32 | last offset of the batch u64 -> batch ----
// The last offset, so that a plain seek to an offset lands on the batch that holds it.
inline constexpr std::size_t kRecordBytes = 16;
inline constexpr std::size_t kRecordPrefixBytes = 8;  // segment and partition
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

// ---- the other families: one letter, then the rest ----
// The family's own persisted journal position (rule 5) -> u64 little-endian.
inline constexpr std::string_view kPosition = "!position";
// The next partition id to issue -> u32 little-endian.
inline constexpr std::string_view kNextPartition = "!next-partition";
// The next producer id to issue -> i64 little-endian.
inline constexpr std::string_view kNextProducer = "!next-producer";

// catalog
inline constexpr char kTopicLetter = 't';     // t | topic id -> topic
inline constexpr char kEpochLetter = 'e';     // e | partition u32 | epoch u32 -> first offset
inline constexpr char kLogStartLetter = 's';  // s | partition u32 -> start and its entry's position
inline constexpr char kEndLetter = 'n';       // n | partition u32 -> where it ended at a roll
// offsets; a group is its bytes u16 | its name
inline constexpr char kCommitLetter = 'c';  // c | group | topic id | partition u32
inline constexpr char kGroupLetter = 'g';   // g | group
inline constexpr char kMemberLetter = 'm';  // m | group | member
inline constexpr char kOwnerLetter = 'o';   // o | group | topic id | partition u32
inline constexpr char kAcksLetter = 'a';    // a | group | topic id | partition u32 [| chunk u64]
// producers
inline constexpr char kProducerLetter = 'p';       // p | partition u32 | producer id u64
inline constexpr char kProducerEpochLetter = 'i';  // i | producer id u64
inline constexpr char kSourceLetter = 's';         // s | partition u32 | name
// ids
inline constexpr char kIdsLetter = 'd';      // d | partition u32 | block u64
inline constexpr char kIdRangeLetter = 'r';  // r | partition u32 -> which numbers are known

inline std::string topic(const TopicId& id) {
  return KeyWriter(kTopicLetter).topic(id).take();
}

inline std::string epoch(PartitionId partition, LeaderEpoch epoch) {
  return KeyWriter(kEpochLetter)
      .be(partition.value)
      .be(static_cast<std::uint32_t>(epoch.value))
      .take();
}
inline std::optional<std::pair<PartitionId, LeaderEpoch>> parse_epoch(std::string_view key) {
  ByteReader reader(as_bytes(key.substr(1)));
  const PartitionId partition(reader.be<std::uint32_t>());
  const LeaderEpoch epoch(static_cast<std::int32_t>(reader.be<std::uint32_t>()));
  if (!reader.finished()) return std::nullopt;
  return std::pair(partition, epoch);
}

inline std::string of(char letter, PartitionId partition) {
  return KeyWriter(letter).be(partition.value).take();
}
inline std::string log_start(PartitionId partition) {
  return of(kLogStartLetter, partition);
}
inline std::string end(PartitionId partition) {
  return of(kEndLetter, partition);
}
inline std::string id_range(PartitionId partition) {
  return of(kIdRangeLetter, partition);
}
// Of a key that ends with its partition.
inline std::optional<PartitionId> parse_partition(std::string_view key) {
  ByteReader reader(as_bytes(key.substr(1)));
  const PartitionId partition(reader.be<std::uint32_t>());
  if (!reader.finished()) return std::nullopt;
  return partition;
}

// Every block of the partition begins so.
inline std::string ids_of(PartitionId partition) {
  return of(kIdsLetter, partition);
}
inline std::string ids(PartitionId partition, std::uint64_t block) {
  return KeyWriter(kIdsLetter).be(partition.value).be(block).take();
}
inline std::optional<std::uint64_t> parse_ids(std::string_view key) {
  ByteReader reader(as_bytes(key.substr(1 + sizeof(PartitionId))));
  const auto block = reader.be<std::uint64_t>();
  if (!reader.finished()) return std::nullopt;
  return block;
}

// Every row of `letter` that belongs to the group begins so.
inline std::string of_group(char letter, std::string_view group) {
  return KeyWriter(letter).group(group).take();
}
inline std::string group(std::string_view group) {
  return of_group(kGroupLetter, group);
}
inline std::string member(std::string_view group, std::string_view member) {
  return KeyWriter(kMemberLetter).group(group).text(member).take();
}
inline std::string of_partition(char letter, std::string_view group, const TopicId& topic,
                                PartitionIndex partition) {
  return KeyWriter(letter)
      .group(group)
      .topic(topic)
      .be(static_cast<std::uint32_t>(partition.value))
      .take();
}
inline std::string owner(std::string_view group, const TopicId& topic, PartitionIndex partition) {
  return of_partition(kOwnerLetter, group, topic, partition);
}
inline std::string commit(std::string_view group, const TopicId& topic, PartitionIndex partition) {
  return of_partition(kCommitLetter, group, topic, partition);
}
inline std::string acks(std::string_view group, const TopicId& topic, PartitionIndex partition) {
  return of_partition(kAcksLetter, group, topic, partition);
}
inline std::string acks_chunk(std::string_view acks, std::int64_t chunk) {
  std::byte bytes[sizeof chunk];
  store_be(bytes, chunk);
  return std::string(acks).append(as_text(bytes));
}
struct AcksKey {
  std::string_view group;
  TopicId topic;
  PartitionIndex partition;
  std::optional<std::int64_t> chunk;
};
inline std::optional<AcksKey> parse_acks(std::string_view key) {
  ByteReader reader(as_bytes(key.substr(1)));
  AcksKey parsed;
  parsed.group = reader.text(reader.be<std::uint16_t>());
  for (std::uint8_t& byte : parsed.topic.bytes) byte = reader.be<std::uint8_t>();
  parsed.partition = PartitionIndex(static_cast<std::int32_t>(reader.be<std::uint32_t>()));
  if (reader.remaining() > 0) parsed.chunk = reader.be<std::int64_t>();
  if (!reader.finished()) return std::nullopt;
  return parsed;
}
// Whether the key of a commit or an owner is about `topic`.
inline bool ends_with_topic(std::string_view key, const TopicId& topic) {
  constexpr std::size_t kTail = sizeof(TopicId::bytes) + sizeof(std::uint32_t);
  return key.size() > kTail && key.substr(key.size() - kTail, sizeof(TopicId::bytes)) ==
                                   as_text(std::as_bytes(std::span(topic.bytes)));
}

inline std::string producer(PartitionId partition, std::int64_t producer) {
  return KeyWriter(kProducerLetter)
      .be(partition.value)
      .be(static_cast<std::uint64_t>(producer))
      .take();
}
inline std::optional<std::pair<PartitionId, std::int64_t>> parse_producer(std::string_view key) {
  ByteReader reader(as_bytes(key.substr(1)));
  const PartitionId partition(reader.be<std::uint32_t>());
  const auto producer = static_cast<std::int64_t>(reader.be<std::uint64_t>());
  if (!reader.finished()) return std::nullopt;
  return std::pair(partition, producer);
}
inline std::string producer_epoch(std::int64_t producer) {
  return KeyWriter(kProducerEpochLetter).be(static_cast<std::uint64_t>(producer)).take();
}

inline std::string source(PartitionId partition, std::string_view name) {
  return KeyWriter(kSourceLetter).be(partition.value).text(name).take();
}
inline std::optional<std::pair<PartitionId, std::string_view>> parse_source(std::string_view key) {
  ByteReader reader(as_bytes(key.substr(1)));
  const PartitionId partition(reader.be<std::uint32_t>());
  if (reader.failed() || reader.remaining() == 0) return std::nullopt;
  return std::pair(partition, reader.text(reader.remaining()));
}

}  // namespace leat::storage::keys
