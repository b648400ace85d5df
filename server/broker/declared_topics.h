// Topics that a broker is told to have, and the records they begin with: a development or test
// set-up that reset() brings back.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/topic_config.h"

namespace leat::broker {

struct SeedRecord {
  std::optional<std::string> key, value;
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<std::int32_t> partition;  // none: by the key; without one in turn
};

struct TopicDeclaration {
  std::string name;
  std::int32_t partitions = 1;
  TopicConfig config;
  std::vector<SeedRecord> records;
};

// What can be said without the broker: names, each once, and partitions that exist. Error: kUsage,
// naming the topic.
Result<> check_declarations(std::span<const TopicDeclaration> topics);

struct SeedBatch {
  PartitionIndex partition;
  std::vector<std::byte> bytes;
};

// The records as batches of up to `batch_bytes`, stamped `now`, in their order. Error: kUsage for a
// record that is larger.
Result<std::vector<SeedBatch>> seed_batches(const TopicDeclaration& topic, WallTime now,
                                            std::size_t batch_bytes);

}  // namespace leat::broker
