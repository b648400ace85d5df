// The newest offset of each key, for key compaction: exact (keys themselves, no hashes, for a clash
// would lose a record), and bounded. Built and asked by one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"

namespace leat::storage {

class KeyMap {
 public:
  explicit KeyMap(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  // Offsets of a partition come in ascending order. False: there is no room for another key.
  bool put(PartitionId partition, Bytes key, Offset offset) {
    const std::string& name = named(partition, key);
    const auto found = newest_.find(name);
    if (found != newest_.end()) {
      found->second = offset;
      return true;
    }
    const std::size_t bytes = name.size() + kEntryBytes;
    if (bytes_ + bytes > most_bytes_ && !newest_.empty()) return false;
    bytes_ += bytes;
    newest_.emplace(name, offset);
    return true;
  }

  std::optional<Offset> newest(PartitionId partition, Bytes key) {
    const auto found = newest_.find(named(partition, key));
    if (found == newest_.end()) return std::nullopt;
    return found->second;
  }

 private:
  static constexpr std::size_t kEntryBytes = 96;  // of the table, beside the key

  const std::string& named(PartitionId partition, Bytes key) {
    std::byte id[4];
    store_be(id, partition.value);
    name_.assign(as_text(id));
    name_.append(as_text(key));
    return name_;
  }

  const std::size_t most_bytes_;
  std::size_t bytes_ = 0;
  std::unordered_map<std::string, Offset> newest_;
  std::string name_;  // reused
};

}  // namespace leat::storage
