// The one table of Kafka's APIs that Leat reads and writes. Dispatch, header versions, what
// ApiVersions answers, tests and fuzzing ask it. A message is added here and in messages/
// (docs/kafka_protocol.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string_view>

namespace leat::kafka {

inline constexpr std::int16_t kNeverFlexible = std::numeric_limits<std::int16_t>::max();

// X(name, key, lowest version, highest version, first flexible version), by key. The messages are
// `nameRequest` and `nameResponse`. Produce and JoinGroup begin at 0 so that 0 can be advertised:
// some clients take a higher minimum for a broker without compression (apache/kafka#18727).
#define LEAT_KAFKA_APIS(X)                  \
  X(Produce, 0, 0, 13, 9)                   \
  X(Fetch, 1, 4, 18, 12)                    \
  X(ListOffsets, 2, 1, 11, 6)               \
  X(Metadata, 3, 0, 13, 9)                  \
  X(OffsetCommit, 8, 2, 10, 8)              \
  X(OffsetFetch, 9, 1, 10, 6)               \
  X(FindCoordinator, 10, 0, 6, 3)           \
  X(JoinGroup, 11, 0, 9, 6)                 \
  X(Heartbeat, 12, 0, 4, 4)                 \
  X(LeaveGroup, 13, 0, 5, 4)                \
  X(SyncGroup, 14, 0, 5, 4)                 \
  X(DescribeGroups, 15, 0, 6, 5)            \
  X(ListGroups, 16, 0, 5, 3)                \
  X(ApiVersions, 18, 0, 4, 3)               \
  X(CreateTopics, 19, 0, 7, 5)              \
  X(DeleteTopics, 20, 0, 6, 4)              \
  X(DeleteRecords, 21, 0, 2, 2)             \
  X(InitProducerId, 22, 0, 5, 2)            \
  X(OffsetForLeaderEpoch, 23, 2, 4, 4)      \
  X(DescribeConfigs, 32, 1, 4, 4)           \
  X(AlterConfigs, 33, 0, 2, 2)              \
  X(DescribeLogDirs, 35, 1, 4, 2)           \
  X(CreatePartitions, 37, 0, 3, 2)          \
  X(DeleteGroups, 42, 0, 2, 2)              \
  X(IncrementalAlterConfigs, 44, 0, 1, 1)   \
  X(OffsetDelete, 47, 0, 0, kNeverFlexible) \
  X(DescribeCluster, 60, 0, 2, 0)           \
  X(DescribeTopicPartitions, 75, 0, 0, 0)

enum class ApiKey : std::int16_t {
#define LEAT_KAFKA_API_KEY(name, key, lowest, highest, flexible) k##name = key,
  LEAT_KAFKA_APIS(LEAT_KAFKA_API_KEY)
#undef LEAT_KAFKA_API_KEY
};

// One row of the table.
struct ApiInfo {
  ApiKey key;
  std::string_view name;  // "Fetch"
  std::int16_t lowest;
  std::int16_t highest;
  // From here on lengths are compact, and every structure ends with tagged fields (KIP-482).
  std::int16_t flexible_since;

  constexpr bool supports(std::int16_t version) const {
    return version >= lowest && version <= highest;
  }
  constexpr bool flexible(std::int16_t version) const { return version >= flexible_since; }
  // Also of versions that are not supported: headers come first.
  constexpr int request_header_version(std::int16_t version) const {
    return flexible(version) ? 2 : 1;
  }
  // Who asks for ApiVersions does not know yet what the broker speaks: its answer stays at 0.
  constexpr int response_header_version(std::int16_t version) const {
    return flexible(version) && key != ApiKey::kApiVersions ? 1 : 0;
  }
};

inline constexpr ApiInfo kApis[] = {
#define LEAT_KAFKA_API_ROW(name, key, lowest, highest, flexible) \
  {ApiKey::k##name, #name, lowest, highest, flexible},
    LEAT_KAFKA_APIS(LEAT_KAFKA_API_ROW)
#undef LEAT_KAFKA_API_ROW
};

// The row of the API with this number, or nullptr.
constexpr const ApiInfo* find_api(std::int16_t key) {
  for (const ApiInfo& api : kApis)
    if (static_cast<std::int16_t>(api.key) == key) return &api;
  return nullptr;
}
constexpr const ApiInfo& api_info(ApiKey key) {
  return *find_api(static_cast<std::int16_t>(key));
}

constexpr bool table_makes_sense() {
  for (std::size_t i = 0; i < std::size(kApis); ++i) {
    if (kApis[i].lowest > kApis[i].highest || kApis[i].lowest < 0) return false;
    if (i > 0 && kApis[i].key <= kApis[i - 1].key) return false;
  }
  return true;
}
static_assert(table_makes_sense(), "rows are ordered by key, each with a range of versions");

}  // namespace leat::kafka
