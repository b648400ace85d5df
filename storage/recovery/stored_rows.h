// Rows of the records family, looked at with suspicion.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include <rocksdb/iterator.h>

#include "protocol/record_batch.h"
#include "storage/keys.h"
#include "storage/large/large_batches.h"

namespace leat::storage {

// While it lives, this thread may look at rows where RocksDB's memtables hold them: another thread
// handed them over by RocksDB's atomics, which the thread sanitizer does not see in Debian's build.
class LooksAtRows {
 public:
  LooksAtRows();
  ~LooksAtRows();
  LooksAtRows(const LooksAtRows&) = delete;
  LooksAtRows& operator=(const LooksAtRows&) = delete;
};

// What a row must be: one whole batch that passes its checksum, and whose last offset is the key's;
// or where one lies, which is read: then the view is good until `large` reads the next. Errors:
// kCorruptStorage, kIoError, with the offsets' partition unsaid.
Result<RecordBatchView> check_row(std::string_view key, std::string_view value, LargeReader& large);

// The first key behind `key`, both of the records family.
keys::RecordKey behind(std::string_view key);

// Opens an iterator over the records family.
using OpenRows = std::function<std::unique_ptr<rocksdb::Iterator>()>;

// The block that would hold `from`, a key of the records family, cannot be read: the first key that
// does not lie in it, and an iterator that sought it; the next block may be no better.
struct BehindDamage {
  keys::RecordKey key;
  std::unique_ptr<rocksdb::Iterator> rows;
};
BehindDamage skip_damage(const OpenRows& open, std::string_view from);

}  // namespace leat::storage
