// Where partitions ended when their segments were rolled: kept apart from the records, so that a
// file of records that is lost with the end of a partition is missed, and no offset is used again
// (rule 3). One thread.
#pragma once

#include <algorithm>
#include <unordered_map>

#include "protocol/base/bytes.h"
#include "storage/keys.h"
#include "storage/state/catalog_store.h"
#include "storage/state/family.h"

namespace leat::storage {

class EndStore {
 public:
  // Rows n | partition u32 -> end i64, in the catalog family.
  Result<> load(const FamilyReader& rows) {
    return rows.each(std::string_view(&keys::kEndLetter, 1),
                     [this](std::string_view key, std::string_view value) -> Result<> {
                       const auto partition = keys::parse_partition(key);
                       if (!partition || value.size() != sizeof(std::int64_t))
                         return fail(ErrorCode::kCorruptStorage, "malformed end of a partition");
                       ends_[*partition] = Offset(load_le<std::int64_t>(as_bytes(value).data()));
                       return {};
                     });
  }

  // The segment that is rolled holds the partition up to `end`; in a replay it may have ended
  // later.
  void raise(PartitionId partition, Offset end, FamilyWriter& rows) {
    Offset& known = ends_[partition];
    known = std::max(known, end);
    std::byte value[sizeof(std::int64_t)];
    store_le(value, known.value);
    rows.put(keys::end(partition), as_text(value));
  }
  void persist(const TopicDeleted& deleted, FamilyWriter& rows) {
    for (const PartitionId partition : deleted.partitions) {
      ends_.erase(partition);
      rows.remove(keys::end(partition));
    }
  }

  const std::unordered_map<PartitionId, Offset>& all() const { return ends_; }

 private:
  std::unordered_map<PartitionId, Offset> ends_;
};

}  // namespace leat::storage
