// Rows of the records family, looked at with suspicion.
#pragma once

#include <string_view>

#include <rocksdb/iterator.h>

#include "protocol/record_batch.h"
#include "storage/keys.h"

namespace leat::storage {

// What a row must be: one whole batch that passes its checksum, and whose last offset is the key's.
// Error: kCorruptStorage.
Result<RecordBatchView> check_row(std::string_view key, std::string_view value);

// The first key behind `key`, both of the records family.
keys::RecordKey behind(std::string_view key);

// The block that would hold `from`, a key of the records family, cannot be read: seeks with `it` to
// the first key that does not lie in it, which is returned; the next block may be no better.
keys::RecordKey skip_damage(rocksdb::Iterator& it, std::string_view from);

}  // namespace leat::storage
