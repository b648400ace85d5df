// The registry of journal entries (rule 1): every kind that changes state stands here once, with
// the state machine that owns it. Integers are little-endian. Numbers are part of the disk format.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "protocol/base/assert.h"
#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/varint.h"
#include "storage/journal.h"

namespace leat::storage {

enum class EntryKind : std::uint16_t {
  kRecords = 1,              // partition_log.h; epoch_store.h and producer_store.h follow it
  kTopicCreated = 2,         // catalog_store.h
  kTopicDeleted = 3,         // catalog_store.h; all others follow it
  kOffsetsCommitted = 4,     // offset_store.h; ack_store.h follows it
  kProducerInitialized = 5,  // producer_store.h
  kGroupChanged = 6,         // group_store.h
  kGroupDeleted = 7,         // group_store.h; offset_store.h and ack_store.h follow it
  kTopicConfigured = 8,      // catalog_store.h
  kLogStartsMoved = 9,       // log_start_store.h
  kAcksChanged = 10,         // ack_store.h; offset_store.h follows it
  kDeadLettered = 11,        // kRecords and kAcksChanged in one step
  kRecordsWithIds = 12,      // kRecords, and id_store.h's
  kPartitionsAdded = 13,     // catalog_store.h
  kOffsetsRemoved = 14,      // offset_store.h; ack_store.h follows it
  kRecordsFromSource = 15,   // kRecords, source_store.h's, and perhaps id_store.h's
  kSourceMoved = 16,         // source_store.h
};

// Builds the body of an entry.
class EntryWriter {
 public:
  template <std::integral T>
  EntryWriter& le(T value) {
    std::byte bytes[sizeof value];
    store_le(bytes, value);
    body_.insert(body_.end(), bytes, bytes + sizeof value);
    return *this;
  }
  EntryWriter& id(const TopicId& id) { return raw(std::as_bytes(std::span(id.bytes))); }
  // A u16 length, then the text.
  EntryWriter& text(std::string_view text) {
    LEAT_ASSERT(text.size() <= 0xffff);
    return le(static_cast<std::uint16_t>(text.size())).raw(as_bytes(text));
  }
  EntryWriter& varint(std::int64_t value) {
    std::byte bytes[kMaxVarintBytes];
    return raw(Bytes(bytes, put_varint(bytes, value)));
  }
  EntryWriter& raw(Bytes bytes) {
    body_.insert(body_.end(), bytes.begin(), bytes.end());
    return *this;
  }

  std::vector<std::byte> take() { return std::move(body_); }

  JournalEntry finish(EntryKind kind) {
    auto owner = std::make_shared<const std::vector<std::byte>>(std::move(body_));
    const Bytes body(*owner);
    return {.kind = static_cast<std::uint16_t>(kind), .owner = std::move(owner), .body = body};
  }

 private:
  std::vector<std::byte> body_;
};

inline TopicId read_topic_id(ByteReader& reader) {
  TopicId id;
  const Bytes bytes = reader.bytes(id.bytes.size());
  if (!bytes.empty()) std::memcpy(id.bytes.data(), bytes.data(), bytes.size());
  return id;
}
inline std::string_view read_text(ByteReader& reader) {
  return reader.text(reader.le<std::uint16_t>());
}
inline std::int64_t read_varint(ByteReader& reader) {
  std::byte bytes[kMaxVarintBytes];
  std::byte* end = bytes;
  do *end++ = std::byte{reader.le<std::uint8_t>()};
  while ((end[-1] & std::byte{0x80}) != std::byte{0} && end != bytes + kMaxVarintBytes);
  std::int64_t value = 0;
  if (!get_varint(bytes, end, value)) reader.fail();
  return value;
}

}  // namespace leat::storage
