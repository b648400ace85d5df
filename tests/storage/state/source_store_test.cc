// How far a source is stored: decided, remembered over restarts, kills, rolls and repairs, and
// forgotten with its topic alone.
#include "storage/state/source_store.h"

#include <filesystem>

#include "storage/keys.h"
#include "storage/recovery/inspection.h"
#include "storage/recovery/repair.h"
#include "tests/storage/state/killed_storage.h"

namespace leat::storage {
namespace {

constexpr PartitionId kPartition{1};

SourceStep step(std::uint64_t from, std::uint64_t to, std::string_view source = "s") {
  return {source, {from, 0}, {to, 0}};
}

TEST(SourceStore, SaysWhatContinuesASourceAndWhatIsThere) {
  SourceStore store(2);
  EXPECT_EQ(store.position(kPartition, "s"), SourcePosition());
  EXPECT_TRUE(*store.check(kPartition, step(0, 5)));
  store.apply({kPartition, "s", {5, 0}});
  EXPECT_EQ(store.position(kPartition, "s"), (SourcePosition{5, 0}));
  EXPECT_TRUE(*store.check(kPartition, step(5, 6)));
  EXPECT_FALSE(*store.check(kPartition, step(0, 5)));
  EXPECT_FALSE(*store.check(kPartition, step(3, 4)));
  // `low` counts where `high` is the same.
  EXPECT_FALSE(*store.check(kPartition, {"s", {4, 9}, {5, 0}}));
  EXPECT_TRUE(*store.check(kPartition, {"s", {5, 0}, {5, 1}}));
  for (const auto& conflict : {step(4, 6), step(6, 7), step(0, 6)}) {
    const auto refused = store.check(kPartition, conflict);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), ErrorCode::kSourceConflict);
    EXPECT_NE(refused.error().detail.find("stored up to 5/0"), std::string::npos);
  }
  EXPECT_EQ(store.check(kPartition, step(6, 6)).error(), ErrorCode::kInvalidRequest);
  EXPECT_EQ(store.check(kPartition, step(7, 6)).error(), ErrorCode::kInvalidRequest);
  EXPECT_TRUE(*store.check(kPartition, step(0, 1, "other")));
  EXPECT_TRUE(*store.check(PartitionId(2), step(0, 1)));
}

TEST(SourceStore, RefusesOneTooManyAndForgetsNone) {
  SourceStore store(2);
  store.apply({kPartition, "s", {5, 0}});
  store.apply({PartitionId(2), "s", {1, 0}});
  const auto third = store.check(PartitionId(3), step(0, 1));
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error(), ErrorCode::kLimitReached);
  EXPECT_NE(third.error().detail.find("limits.sources"), std::string::npos);
  EXPECT_TRUE(*store.check(kPartition, step(5, 6)));
  store.apply(TopicDeleted{{}, {PartitionId(2)}});
  EXPECT_EQ(store.size(), 1u);
  EXPECT_TRUE(*store.check(PartitionId(3), step(0, 1)));
}

TEST(SourceStore, AnEntryThatIsCutIsMalformed) {
  const SourceAdvanced whole{kPartition, "source", {1, 2}};
  const JournalEntry entry = whole.encode_alone();
  const auto read = SourceAdvanced::of(entry);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->partition, kPartition);
  EXPECT_EQ(read->source, "source");
  EXPECT_EQ(read->to, (SourcePosition{1, 2}));
  for (std::size_t size = 0; size < entry.body.size(); ++size) {
    JournalEntry cut = entry;
    cut.body = entry.body.first(size);
    EXPECT_FALSE(SourceAdvanced::of(cut)) << size;
  }
}

class DurableSourcesTest : public KilledStorageTest {
 protected:
  DurableSourcesTest() { memory_bytes = 16 << 20; }  // so that rolls come soon

  // As the broker does: checked, then appended.
  Result<bool> produce(PartitionId partition, const SourceStep& step,
                       const TopicConfig& config = {}, const NewIds& ids = {}) {
    auto next = storage->check_source(partition, step);
    if (!next || !*next) return next;
    RecordBatchBuilder builder;
    builder.append({.key = {}, .value = as_bytes(text_of(step.to))}, 1);
    if (!storage->has_room()) poll_until([this] { return storage->has_room(); });
    EXPECT_TRUE(storage->append(partition, config, builder.finish(), ids, step));
    return true;
  }
  SourcePosition stored(PartitionId partition, std::string_view source = "s") {
    return storage->source_position(partition, source);
  }
  std::string findings() {
    storage.reset();
    std::string told;
    const auto found =
        Inspection::run(*io, directory / "data", [&](std::string_view line) { told.append(line); });
    EXPECT_TRUE(found);
    return told;
  }
};

TEST_F(DurableSourcesTest, OutliveRestartsKillsAndRollsInBetween) {
  const std::vector<std::function<void()>> ways = {[this] { open(); }, [this] { kill(); }};
  for (const bool rolled : {false, true})
    for (std::size_t way = 0; way < ways.size(); ++way) {
      SCOPED_TRACE(std::to_string(rolled) + std::to_string(way));
      open();
      const auto name = "orders-" + std::to_string(rolled) + std::to_string(way);
      PartitionId partition = create(name);
      ASSERT_TRUE(*produce(partition, step(0, 5)));
      ASSERT_TRUE(*produce(partition, step(0, 9, "t")));
      if (rolled) fill_until_rolled();
      ASSERT_TRUE(*produce(partition, step(5, 6)));
      for (std::uint64_t i = 6; i < 9; ++i) {
        settle();
        ASSERT_NO_FATAL_FAILURE(ways[way]());
        partition = storage->find_topic(name)->partitions.front();
        EXPECT_EQ(stored(partition), (SourcePosition{i, 0}));
        EXPECT_EQ(stored(partition, "t"), (SourcePosition{9, 0}));
        EXPECT_FALSE(*produce(partition, step(i - 1, i)));
        EXPECT_EQ(produce(partition, step(i - 1, i + 1)).error(), ErrorCode::kSourceConflict);
        ASSERT_TRUE(*produce(partition, step(i, i + 1)));
      }
    }
  EXPECT_EQ(findings(), "");
}

TEST_F(DurableSourcesTest, IdsOfTheSameBatchAreKnownToo) {
  open();
  const PartitionId partition = create("orders");
  const RecordId id{0, {1, 2}};
  const IdWindow window{std::chrono::hours(1), 1'000};
  const WallTime now{std::chrono::hours(100)};
  ASSERT_TRUE(*produce(partition, step(0, 5), {}, {{&id, 1}, now, window}));
  for (const bool rolled : {false, true}) {
    if (rolled) fill_until_rolled();
    kill();
    EXPECT_EQ(stored(partition), (SourcePosition{5, 0}));
    const auto known = find_ids(partition, window, {&id.id, 1}, now);
    ASSERT_TRUE(known);
    EXPECT_EQ(known->front(), Offset(0));
  }
  EXPECT_EQ(findings(), "");
}

TEST_F(DurableSourcesTest, GoWithTheirTopic) {
  open();
  const PartitionId partition = create("orders");
  ASSERT_TRUE(*produce(partition, step(0, 5)));
  fill_until_rolled();
  ASSERT_TRUE(storage->delete_topic(storage->find_topic("orders")->id));
  EXPECT_EQ(stored(partition), SourcePosition());
  kill();
  EXPECT_EQ(stored(partition), SourcePosition());
  fill_until_rolled();
  open();
  EXPECT_EQ(stored(partition), SourcePosition());
  EXPECT_EQ(findings(), "");
}

TEST_F(DurableSourcesTest, ARepairKeepsThem) {
  namespace fs = std::filesystem;
  open();
  const PartitionId partition = create("orders");
  const RecordId id{0, {1, 2}};
  const NewIds ids{{&id, 1}, WallTime(), IdWindow{std::chrono::hours(1), 1'000}};
  ASSERT_TRUE(*produce(partition, step(0, 5), {}, ids));
  fill_until_rolled();
  ASSERT_TRUE(*produce(partition, step(5, 7)));
  stop_without_a_roll();
  // Something to repair: a file of ids is cut.
  {
    auto rocks = Rocks::open({.directory = directory / "data/rocksdb", .read_only = true});
    ASSERT_TRUE(rocks);
    std::string path;
    for (const RocksFile& file : (*rocks)->files())
      if (file.family == keys::kIdsFamily) path = file.path;
    ASSERT_FALSE(path.empty());
    rocks->reset();
    fs::resize_file(path, fs::file_size(path) / 2);
  }
  EXPECT_NE(findings(), "");
  const auto repaired = repair_directory(*io, directory / "data", WallTime(), [](auto) {});
  ASSERT_TRUE(repaired) << repaired.error().message();
  open();
  EXPECT_EQ(stored(partition), (SourcePosition{7, 0}));
  EXPECT_EQ(read_all(partition), (std::vector<std::string>{"5/0", "7/0"}));
}

// One source, told again and again from where it was or from before, by two at once, in batches of
// any size, over restarts and kills: the log is the source.
TEST_F(DurableSourcesTest, TheLogIsTheSourceWhateverHappens) {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random dice(seed);
    open();
    const auto name = "seed-" + std::to_string(seed);
    PartitionId partition = create(name);
    constexpr std::uint64_t kRecords = 300;
    std::uint64_t at[2] = {};  // each producer has had acked so much
    std::uint64_t told = 0;
    for (int move = 0; move < 5'000 && std::min(at[0], at[1]) < kRecords; ++move) {
      std::uint64_t& mine = at[dice.below(2)];
      switch (dice.below(40)) {
        case 0:
          dice.below(2) ? kill() : open();
          partition = storage->find_topic(name)->partitions.front();
          break;
        case 1:
          mine = dice.below(mine + 1);  // begins anew, from before
          break;
        case 2:
          mine = stored(partition).high;  // learns
          break;
        case 3:
          if (dice.below(3) == 0) fill_until_rolled();
          break;
        default: {
          const std::uint64_t to = std::min(kRecords, mine + 1 + dice.below(4));
          if (to == mine) break;
          const SourceStep said = step(mine, to);
          auto next = storage->check_source(partition, said);
          if (!next) {
            ASSERT_EQ(next.error(), ErrorCode::kSourceConflict);
            mine = stored(partition).high;
            break;
          }
          if (*next) {
            RecordBatchBuilder builder;
            for (std::uint64_t i = mine; i < to; ++i)
              builder.append({.key = {}, .value = as_bytes(std::to_string(i))}, 1);
            if (!storage->has_room()) poll_until([this] { return storage->has_room(); });
            ASSERT_TRUE(storage->append(partition, {}, builder.finish(), {}, said));
          }
          mine = to;
          if (dice.below(4) == 0) settle();
        }
      }
      told = std::max({told, at[0], at[1]});
      if (HasFatalFailure()) return;
    }
    settle();
    std::vector<std::string> all;
    for (std::uint64_t i = 0; i < told; ++i) all.push_back(std::to_string(i));
    EXPECT_EQ(told, kRecords);
    EXPECT_EQ(read_all(partition), all);
  }
}

}  // namespace
}  // namespace leat::storage
