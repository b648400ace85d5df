// Entries and rows of topics, as bytes: what the version before wrote is read, with what was not
// there yet as it is by default.
#include "storage/state/catalog_store.h"

#include <map>

#include <gtest/gtest.h>

namespace leat::storage {
namespace {

TopicId topic_id(std::uint8_t number) {
  TopicId id;
  id.bytes[0] = number;
  return id;
}

class Rows final : public FamilyReader, public FamilyWriter {
 public:
  Result<std::string> get(std::string_view key) const override {
    const auto it = rows.find(std::string(key));
    return it == rows.end() ? std::string() : it->second;
  }
  Result<> each(
      std::string_view prefix,
      const std::function<Result<>(std::string_view, std::string_view)>& visit) const override {
    for (const auto& [key, value] : rows)
      if (key.starts_with(prefix))
        if (auto ok = visit(key, value); !ok) return ok;
    return {};
  }
  void put(std::string_view key, std::string_view value) override {
    rows[std::string(key)] = value;
  }
  void remove(std::string_view key) override { rows.erase(std::string(key)); }

  std::map<std::string, std::string> rows;
};

const TopicConfig kConfig{.retention = {std::chrono::hours(1), 5, 6},
                          .timestamps = TimestampType::kAppendTime,
                          .max_batch_bytes = 70'000};
constexpr std::size_t kNewConfigBytes = 1 + 8;  // of format 7

TEST(CatalogStore, WhatFormatSixWroteIsRead) {
  TopicConfig old = kConfig;
  old.timestamps = TimestampType::kCreateTime;
  old.max_batch_bytes = 0;
  const auto created =
      TopicCreated{topic_id(1), 5, PartitionId(3), 2, "orders", kConfig, {}}.encode();
  const auto was_created =
      TopicCreated::decode(created.body.first(created.body.size() - kNewConfigBytes));
  ASSERT_TRUE(was_created);
  EXPECT_EQ(was_created->config, old);
  EXPECT_TRUE(was_created->added.empty());
  const auto configured = TopicConfigured{topic_id(1), kConfig}.encode();
  const auto was_configured =
      TopicConfigured::decode(configured.body.first(configured.body.size() - kNewConfigBytes));
  ASSERT_TRUE(was_configured);
  EXPECT_EQ(was_configured->config, old);
  // Its 'topic deleted' was one run.
  EntryWriter deleted;
  deleted.id(topic_id(1)).le(std::uint32_t{3}).le(std::uint32_t{2});
  const auto was_deleted = TopicDeleted::decode(deleted.finish(EntryKind::kTopicDeleted).body);
  ASSERT_TRUE(was_deleted);
  EXPECT_EQ(was_deleted->partitions, (std::vector{PartitionId(3), PartitionId(4)}));
}

TEST(CatalogStore, EntriesComeBackAsTheyWere) {
  const auto created =
      TopicCreated{topic_id(1), 5, PartitionId(3), 2, "orders", kConfig, {{PartitionId(9), 2}}}
          .encode();
  const auto again = TopicCreated::decode(created.body);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->config, kConfig);
  ASSERT_EQ(again->added.size(), 1u);
  EXPECT_EQ(again->added[0].first, PartitionId(9));
  EXPECT_EQ(again->added[0].count, 2u);
  const std::vector all{PartitionId(3), PartitionId(4), PartitionId(9), PartitionId(11)};
  const auto deleted = TopicDeleted{topic_id(1), all}.encode();
  EXPECT_EQ(deleted.body.size(), 16u + 3 * 8);  // by runs
  EXPECT_EQ(TopicDeleted::decode(deleted.body)->partitions, all);
}

TEST(CatalogStore, WhatIsCutOrHugeIsCorrupt) {
  const auto created =
      TopicCreated{topic_id(1), 5, PartitionId(3), 2, "orders", kConfig, {{PartitionId(9), 2}}}
          .encode();
  const std::size_t whole = created.body.size();
  for (std::size_t bytes = 0; bytes < whole; ++bytes) {
    const bool old = bytes == whole - 8 || bytes == whole - 8 - kNewConfigBytes;
    EXPECT_EQ(TopicCreated::decode(created.body.first(bytes)).has_value(), old) << bytes;
  }
  const auto added = PartitionsAdded{topic_id(1), {PartitionId(9), 2}}.encode();
  for (std::size_t bytes = 0; bytes < added.body.size(); ++bytes)
    EXPECT_FALSE(PartitionsAdded::decode(added.body.first(bytes))) << bytes;
  const auto huge = PartitionsAdded{topic_id(1), {PartitionId(9), 0xffffffff}}.encode();
  EXPECT_FALSE(PartitionsAdded::decode(huge.body));
  EXPECT_FALSE(TopicDeleted::decode(huge.body));
}

// Rule 1: memory and rows come to the same.
TEST(CatalogStore, RowsHoldWhatMemoryHolds) {
  Rows rows;
  CatalogStore live;
  const auto take = [&](const auto& entry) {
    live.apply(entry);
    if constexpr (requires { CatalogStore::persist(entry, rows); })
      CatalogStore::persist(entry, rows);
    else
      ASSERT_TRUE(CatalogStore::persist(entry, rows, rows));
  };
  take(TopicCreated{topic_id(1), 5, PartitionId(1), 2, "orders", {}, {}});
  take(TopicCreated{topic_id(2), 5, PartitionId(3), 1, "other", {}, {}});
  take(PartitionsAdded{topic_id(1), {PartitionId(4), 2}});
  take(TopicConfigured{topic_id(1), kConfig});
  take(PartitionsAdded{topic_id(1), {PartitionId(6), 1}});
  take(PartitionsAdded{topic_id(7), {PartitionId(7), 1}});  // of a topic that is gone
  CatalogStore loaded;
  ASSERT_TRUE(loaded.load(rows));
  for (const CatalogStore* store : {&live, &loaded}) {
    const Topic* topic = store->find("orders");
    ASSERT_TRUE(topic);
    EXPECT_EQ(topic->config, kConfig);
    EXPECT_EQ(topic->partitions, (std::vector{PartitionId(1), PartitionId(2), PartitionId(4),
                                              PartitionId(5), PartitionId(6)}));
    EXPECT_EQ(store->name_of(PartitionId(5)), "topic 'orders' partition 3");
    EXPECT_EQ(store->name_of(PartitionId(3)), "topic 'other' partition 0");
    EXPECT_EQ(store->name_of(PartitionId(7)), "stored partition 7 of a topic that is gone");
    EXPECT_EQ(store->next_partition(), PartitionId(8));
  }
}

}  // namespace
}  // namespace leat::storage
