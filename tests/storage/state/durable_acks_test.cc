// What a group has done is there after restarts, kills and rolls in between; a dead letter and what
// it is about come together or not at all.
#include <filesystem>

#include "storage/recovery/repair.h"
#include "storage/state/partition_acks.h"
#include "tests/storage/state/killed_storage.h"

namespace leat::storage {
namespace {

constexpr std::string_view kGroup = "workers";
constexpr PartitionIndex kFirst{0};

OffsetRange range(std::int64_t first, std::int64_t last) {
  return {Offset(first), Offset(last)};
}

class DurableAcksTest : public KilledStorageTest {
 protected:
  DurableAcksTest() {
    memory_bytes = 16 << 20;  // so that rolls come soon
  }
  void open_with(const std::string& topic) {
    open();
    create(topic);
    id = storage->find_topic(topic)->id;
  }
  AcksChange change(std::vector<OffsetRange> done,
                    std::vector<std::pair<OffsetRange, Retry>> retries = {}) const {
    return {kGroup, {id, kFirst}, std::move(done), std::move(retries)};
  }
  void change_acks(std::vector<OffsetRange> done,
                   std::vector<std::pair<OffsetRange, Retry>> retries = {}) {
    ASSERT_TRUE(storage->change_acks(change(std::move(done), std::move(retries))));
  }
  void commit(std::int64_t offset) {
    const OffsetCommit commit{id, kFirst, Offset(offset), "by hand"};
    ASSERT_TRUE(storage->commit_offsets(kGroup, {&commit, 1}));
  }
  std::vector<std::byte> batch_of(const std::string& value) {
    RecordBatchBuilder builder;
    builder.append({.key = {}, .value = as_bytes(value)}, 1);
    return builder.take();
  }
  Appended dead_letter(const std::string& topic, const std::string& value, AcksChange change,
                       TopicConfig config = {}) {
    const auto appended = storage->dead_letter(storage->find_topic(topic)->partitions.front(),
                                               config, batch_of(value), change);
    EXPECT_TRUE(appended) << appended.error().message();
    return *appended;
  }
  const PartitionAcks* acks() const { return storage->acks(kGroup, id, kFirst); }

  std::size_t rows_of_acks() {
    storage.reset();
    auto rocks = Rocks::open({.directory = directory / "data/rocksdb", .read_only = true});
    EXPECT_TRUE(rocks);
    std::size_t rows = 0;
    EXPECT_TRUE(RocksFamilyReader(**rocks, Family::kOffsets)
                    .each("a", [&](std::string_view, std::string_view) -> Result<> {
                      ++rows;
                      return {};
                    }));
    return rows;
  }
  void expect_sound() {
    storage.reset();
    std::string told;
    const auto found =
        Inspection::run(*io, directory / "data", [&](std::string_view line) { told.append(line); });
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_TRUE(found->sound()) << told;
  }

  TopicId id;
};

TEST_F(DurableAcksTest, OutliveRestartsKillsAndRollsInBetween) {
  using Reopen = std::function<void()>;
  const std::vector<Reopen> ways = {[this] { open(); }, [this] { kill(); }};
  for (const bool rolled : {false, true})
    for (std::size_t way = 0; way < ways.size(); ++way) {
      SCOPED_TRACE(std::to_string(rolled) + std::to_string(way));
      open_with("orders-" + std::to_string(rolled) + std::to_string(way));
      change_acks({range(0, 4), range(7, 9), range(100'000, 300'000)},
                  {{range(5, 6), {1, 1'000}}, {range(50, 60), {2, 2'000}}});
      if (rolled) fill_until_rolled();
      change_acks({range(5, 5), range(52, 52)}, {{range(60, 70), {3, 3'000}}});
      for (int i = 0; i < 2; ++i) {
        ASSERT_NO_FATAL_FAILURE(ways[way]());
        ASSERT_TRUE(acks());
        EXPECT_EQ(acks()->floor(), Offset(6));
        EXPECT_EQ(storage->committed(kGroup, id, kFirst)->offset, Offset(6));
        EXPECT_EQ(acks()->done_above_floor(), 3u + 1 + 200'001);
        EXPECT_EQ(acks()->next_open(Offset(7)), Offset(10));
        EXPECT_EQ(acks()->next_done(Offset(53)), Offset(100'000));
        EXPECT_EQ(acks()->retry(Offset(6)), (Retry{1, 1'000}));
        EXPECT_EQ(acks()->retry(Offset(52)), std::nullopt);
        EXPECT_EQ(acks()->retry(Offset(53)), (Retry{2, 2'000}));
        EXPECT_EQ(acks()->retry(Offset(60)), (Retry{3, 3'000}));
        EXPECT_EQ(acks()->retries().size(), 4u);
      }
    }
}

TEST_F(DurableAcksTest, BeginWhereTheGroupHasCommittedAndCommitTheirFloor) {
  open_with("orders");
  commit(10);
  EXPECT_EQ(acks(), nullptr);
  change_acks({range(3, 4), range(12, 12)});
  EXPECT_EQ(acks()->floor(), Offset(10));
  EXPECT_EQ(acks()->done_above_floor(), 1u);
  EXPECT_EQ(storage->committed(kGroup, id, kFirst)->metadata, "");
  change_acks({range(10, 11)});
  EXPECT_EQ(storage->committed(kGroup, id, kFirst)->offset, Offset(13));
  fill_until_rolled();
  kill();
  EXPECT_EQ(storage->committed(kGroup, id, kFirst)->offset, Offset(13));
}

// Rows of commits reach files before those of acks do: what a commit forgot does not come back.
TEST_F(DurableAcksTest, AnotherCommitForgetsThemUnlessItIsTheFloor) {
  open_with("orders");
  change_acks({range(0, 9), range(20, 29)}, {{range(15, 15), {1, 1'000}}});
  fill_until_rolled();
  commit(10);
  EXPECT_EQ(acks()->done_above_floor(), 10u);
  kill();
  EXPECT_EQ(acks()->done_above_floor(), 10u);
  EXPECT_EQ(storage->committed(kGroup, id, kFirst)->metadata, "by hand");
  fill_until_rolled();
  kill();
  EXPECT_EQ(storage->committed(kGroup, id, kFirst)->metadata, "by hand");
  commit(5);
  EXPECT_EQ(acks(), nullptr);
  kill();
  EXPECT_EQ(acks(), nullptr);
  change_acks({range(8, 8)});
  EXPECT_EQ(acks()->floor(), Offset(5));
  fill_until_rolled();
  kill();
  EXPECT_EQ(acks()->floor(), Offset(5));
  EXPECT_EQ(acks()->done_above_floor(), 1u);
  EXPECT_EQ(acks()->retry(Offset(15)), std::nullopt);
}

TEST_F(DurableAcksTest, GoWithTheirGroupAndWithTheirTopic) {
  for (const bool topic : {true, false}) {
    open_with("orders");
    change_acks({range(5, 5), range(70'000, 70'001)});
    fill_until_rolled();
    EXPECT_EQ(rows_of_acks(), 3u);
    open();
    ASSERT_TRUE(acks());
    ASSERT_TRUE(topic ? storage->delete_topic(id) : storage->delete_group(kGroup));
    EXPECT_EQ(acks(), nullptr);
    kill();
    EXPECT_EQ(acks(), nullptr);
    fill_until_rolled();
    EXPECT_EQ(rows_of_acks(), 0u);
  }
}

TEST_F(DurableAcksTest, ADeadLetterIsARecordAndAChangeInOne) {
  open_with("orders");
  const PartitionId dead = create("dead");
  const std::string large(2 * large_batch_bytes, 'l');
  change_acks({range(0, 3)}, {{range(4, 4), {5, 1'000}}});
  settle();
  const JournalPosition before = storage->last_appended();
  EXPECT_EQ(dead_letter("dead", "first", change({range(4, 4)})).base, Offset(0));
  EXPECT_EQ(storage->last_appended(), before + 1);
  EXPECT_EQ(acks()->floor(), Offset(5));
  EXPECT_TRUE(acks()->retries().empty());
  EXPECT_EQ(dead_letter("dead", large, change({range(6, 6)})).base, Offset(1));
  append(dead, "by itself");
  const std::vector<std::string> values{"first", large, "by itself"};
  settle();
  EXPECT_EQ(read_all(dead), values);
  for (const bool rolled : {false, true}) {
    if (rolled) fill_until_rolled();
    kill();
    EXPECT_EQ(read_all(dead), values);
    EXPECT_EQ(acks()->floor(), Offset(5));
    EXPECT_EQ(acks()->done_above_floor(), 1u);
  }
  EXPECT_GT(cold_reads, 0);
  expect_sound();
}

// Below kSync too nobody sees the letter before it is durable, with what lets go of the record.
TEST_F(DurableAcksTest, ADeadLetterIsSyncWhateverItsTopicIs) {
  open_with("orders");
  const TopicConfig config{.durability = Durability::kMemory};
  const PartitionId dead = create("dead", 1, config);
  settle();
  EXPECT_EQ(dead_letter("dead", "letter", change({range(0, 0)}), config).durability,
            Durability::kSync);
  EXPECT_EQ(storage->bounds(dead).high_watermark, Offset(0));
  EXPECT_EQ(storage->reply_position(), storage->last_appended());
  settle();
  EXPECT_EQ(storage->bounds(dead).high_watermark, Offset(1));
}

// The letter's topic may be gone when it is replayed, the acks are not.
TEST_F(DurableAcksTest, AReplayKeepsTheAcksOfALetterWhoseTopicIsGone) {
  open_with("orders");
  create("dead");
  dead_letter("dead", "letter", change({range(0, 0)}));
  ASSERT_TRUE(storage->delete_topic(storage->find_topic("dead")->id));
  kill();
  EXPECT_EQ(acks()->floor(), Offset(1));
  expect_sound();
}

TEST_F(DurableAcksTest, ARepairKeepsThem) {
  for (const bool rolled : {false, true}) {
    SCOPED_TRACE(rolled);
    const std::string topic = "orders-" + std::to_string(rolled), letters = "dead-" + topic;
    open_with(topic);
    create(letters);
    const std::string large(2 * large_batch_bytes, 'l');
    change_acks({range(0, 0), range(3, 5)}, {{range(6, 6), {1, 1'000}}});
    if (rolled) fill_until_rolled();
    dead_letter(letters, "letter", change({range(1, 1)}));
    dead_letter(letters, large, change({range(7, 7)}));
    kill();
    storage.reset();
    // Something to repair, which concerns none of it.
    std::filesystem::remove(directory / "data/FORMAT");
    const auto repaired =
        repair_directory(*io, directory / "data", WallTime(), [](std::string_view) {});
    ASSERT_TRUE(repaired) << repaired.error().message();
    EXPECT_FALSE(repaired->report.empty());
    EXPECT_EQ(repaired->lost_offsets, 0u);
    std::filesystem::remove_all(directory / "data/damaged");
    open();
    EXPECT_EQ(read_all(storage->find_topic(letters)->partitions.front()),
              (std::vector<std::string>{"letter", large}));
    EXPECT_EQ(acks()->floor(), Offset(2));
    EXPECT_EQ(acks()->done_above_floor(), 4u);
    EXPECT_EQ(acks()->retry(Offset(6)), (Retry{1, 1'000}));
  }
}

}  // namespace
}  // namespace leat::storage
