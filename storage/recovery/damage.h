// What is known to be damaged at rest: told once each, and not looked for again at every read.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>

#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace leat::storage {

// What an error at start tells people to do.
inline constexpr const char* kMendIt =
    "; leatd --check says more, leatd --repair keeps what is intact, or restore a backup";

// Records that cannot be served, or, without a partition, something else: then `what` says all.
struct Damage {
  std::optional<PartitionId> partition;
  Offset first{}, next{};
  std::string what;

  std::string text() const {
    if (!partition) return what;
    return "offsets " + std::to_string(first.value) + " to " + std::to_string(next.value - 1) +
           " cannot be read: " + what;
  }
  Error error() const { return {ErrorCode::kCorruptStorage, text()}; }
};

// Any thread.
class KnownDamage {
 public:
  // Whether it is new.
  bool add(const Damage& damage) {
    const std::lock_guard lock(mutex_);
    const Key key{damage.partition.value_or(PartitionId(0)), damage.next,
                  damage.partition ? "" : damage.what};
    return all_.size() < kMost && all_.emplace(key, damage).second;
  }
  std::optional<Damage> find(PartitionId partition, Offset offset) const {
    const std::lock_guard lock(mutex_);
    const auto it = all_.lower_bound({partition, offset + 1, ""});
    if (it == all_.end() || it->second.partition != partition || it->second.first > offset)
      return std::nullopt;
    return it->second;
  }
  std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return all_.size();
  }

 private:
  static constexpr std::size_t kMost = 10'000;
  using Key = std::tuple<PartitionId, Offset, std::string>;  // the end of its range
  mutable std::mutex mutex_;
  std::map<Key, Damage> all_;
};

}  // namespace leat::storage
