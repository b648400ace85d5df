#include "storage/recovery/stored_rows.h"

#include <string>

#include "storage/rocks/rocks.h"

#if defined(__SANITIZE_THREAD__)
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);
#endif

namespace leat::storage {
#if defined(__SANITIZE_THREAD__)
LooksAtRows::LooksAtRows() {
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
}
LooksAtRows::~LooksAtRows() {
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}
#else
LooksAtRows::LooksAtRows() = default;
LooksAtRows::~LooksAtRows() = default;
#endif

namespace {

// A key of the records family as a number, in the same order.
__extension__ using KeyNumber = unsigned __int128;

KeyNumber number_of(std::string_view key) {
  const std::byte* from = as_bytes(key).data();
  return KeyNumber{load_be<std::uint64_t>(from)} << 64 | load_be<std::uint64_t>(from + 8);
}

keys::RecordKey key_of(KeyNumber number) {
  keys::RecordKey key;
  auto* to = reinterpret_cast<std::byte*>(key.data());
  store_be<std::uint64_t>(to, static_cast<std::uint64_t>(number >> 64));
  store_be<std::uint64_t>(to + 8, static_cast<std::uint64_t>(number));
  return key;
}

}  // namespace

Result<RecordBatchView> check_row(std::string_view key, std::string_view value,
                                  LargeReader& large) {
  Bytes bytes = as_bytes(value);
  if (const auto ref = LargeRef::decode(value)) {
    const auto read = large.read(keys::partition_of(key), *ref);
    if (!read)
      return fail(read.error().code == ErrorCode::kNotFound ? ErrorCode::kCorruptStorage
                                                            : read.error().code,
                  read.error().detail);
    bytes = *read;
  }
  auto batch = RecordBatchView::parse(bytes);
  if (!batch || batch->bytes().size() != bytes.size() ||
      batch->last_offset() != keys::last_offset_of(key) ||
      batch->base_offset() > batch->last_offset())
    return fail(ErrorCode::kCorruptStorage, "the stored batch is malformed");
  if (auto ok = batch->check(); !ok) return fail(ErrorCode::kCorruptStorage, ok.error().message());
  return batch;
}

// RocksDB does not say where a block ends, but its error says which block it is: keys that give the
// same one are a range, and its end can be searched for. Each time with another iterator: one that
// has met damage gives it again for the block it came from (RocksDB 7.8).
BehindDamage skip_damage(const OpenRows& open, std::string_view from) {
  const auto sought = [&](std::string_view key) {
    auto rows = open();
    rows->Seek(slice(key));
    return rows;
  };
  const rocksdb::Status met = sought(from)->status();
  const std::string text = met.ToString();
  const auto same = [&](KeyNumber at) {
    const rocksdb::Status status = sought(keys::view(key_of(at)))->status();
    return !status.ok() && (!met.IsCorruption() || status.ToString() == text);
  };
  KeyNumber damaged = number_of(from), after = ~KeyNumber{0};
  while (after - damaged > 1) {
    const KeyNumber middle = damaged + (after - damaged) / 2;
    (same(middle) ? damaged : after) = middle;
  }
  const keys::RecordKey key = key_of(after);
  return {key, sought(keys::view(key))};
}

keys::RecordKey behind(std::string_view key) {
  return key_of(number_of(key) + 1);
}

}  // namespace leat::storage
