// Which settings a topic may have.
#include "protocol/topic_config.h"

#include <limits>

#include <gtest/gtest.h>

namespace leat {
namespace {

using namespace std::chrono_literals;

std::string refusal(const TopicConfig& config) {
  const auto ok = check_config(config);
  if (ok) return "";
  EXPECT_EQ(ok.error().code, ErrorCode::kInvalidRequest);
  return ok.error().detail;
}

TEST(TopicConfig, WhatGoesTogetherIsTaken) {
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(refusal({}), "");
  EXPECT_EQ(refusal({.durability = Durability::kMemory}), "");
  EXPECT_EQ(refusal({.durability = Durability::kInterval, .interval = 1h}), "");
  EXPECT_EQ(refusal({.retention = {0ms, 0, 0}}), "");
  EXPECT_EQ(refusal({.retention = {std::chrono::milliseconds(kMost), kMost, kMost}}), "");
  EXPECT_EQ(refusal({.cleanup = Cleanup::kCompact, .retention = {1h}}), "");
  EXPECT_EQ(refusal({.ttl = 0ms, .dedup = {.time = 0ms, .ids = 1}}), "");
  EXPECT_EQ(refusal({.dedup = {.ids = DedupWindow::kMostIds}}), "");
  EXPECT_EQ(refusal({.timestamps = TimestampType::kAppendTime, .max_batch_bytes = kMost}), "");
  EXPECT_EQ(refusal({.cleanup = Cleanup::kCompactDelete, .on_full = OnFull::kDropOldest}), "");
}

TEST(TopicConfig, WhatDoesNotIsRefusedByNameWithWhatIsAllowed) {
  const auto names = [](const TopicConfig& config, const char* what, const char* allowed) {
    const std::string detail = refusal(config);
    EXPECT_NE(detail.find(what), std::string::npos) << detail;
    EXPECT_NE(detail.find(allowed), std::string::npos) << detail;
  };
  names({.durability = static_cast<Durability>(3)}, "durability 3", "2 (memory)");
  names({.durability = Durability::kInterval}, "interval of 0 ms", "1 ms to an hour");
  names({.durability = Durability::kInterval, .interval = 2h}, "interval", "an hour");
  names({.durability = Durability::kInterval, .interval = -1ms}, "interval", "an hour");
  names({.interval = 5ms}, "interval", "alone");
  names({.cleanup = static_cast<Cleanup>(0)}, "cleanup 0", "1 (delete)");
  names({.cleanup = static_cast<Cleanup>(4)}, "cleanup 4", "3 (compact and delete)");
  names({.on_full = static_cast<OnFull>(2)}, "on_full 2", "0 (reject) or 1");
  names({.cleanup = Cleanup::kCompact, .on_full = OnFull::kDropOldest}, "on_full 1", "on_full 0");
  names({.retention = {.time = -2ms}}, "retention_ms -2", "-1 (no limit)");
  names({.retention = {.bytes = std::numeric_limits<std::int64_t>::min()}}, "retention_bytes",
        "-1 (no limit)");
  names({.retention = {.records = -7}}, "retention_records -7", "-1 (no limit)");
  names({.ttl = -2ms}, "ttl_ms -2", "-1 (no limit)");
  names({.dedup = {.time = -1ms}}, "dedup_window_ms -1", "0 (off)");
  names({.timestamps = static_cast<TimestampType>(2)}, "timestamps 2", "1 (when it is appended)");
  names({.max_batch_bytes = -1}, "max_batch_bytes -1", "0 (what the broker takes)");
  names({.dedup = {.ids = 0}}, "dedup_ids 0", "1 to 12000000");
  names({.dedup = {.ids = DedupWindow::kMostIds + 1}}, "dedup_ids", "1 to 12000000");
}

TEST(TopicConfig, OnlySomeNeedALookNowAndThen) {
  EXPECT_FALSE(TopicConfig().ages());
  EXPECT_FALSE(TopicConfig{.on_full = OnFull::kDropOldest}.ages());
  EXPECT_TRUE(TopicConfig{.cleanup = Cleanup::kCompact}.ages());
  for (const Retention& retention :
       {Retention{.time = 0ms}, Retention{.bytes = 1}, Retention{.records = 0}})
    EXPECT_TRUE(TopicConfig{.retention = retention}.ages());
}

}  // namespace
}  // namespace leat
