// Rows of the records family, looked at with suspicion.
#pragma once

#include <string_view>

#include <rocksdb/iterator.h>

#include "protocol/record_batch.h"

namespace leat::storage {

// What a row must be: one whole batch that passes its checksum, and whose last offset is the key's.
// Error: kCorruptStorage.
Result<RecordBatchView> check_row(std::string_view key, std::string_view value);

// A block at `from`, a key of the records family, cannot be read: moves `it`, which met it, to the
// first row behind that block, or to the next one that cannot be read.
void skip_damage(rocksdb::Iterator& it, std::string_view from);

}  // namespace leat::storage
