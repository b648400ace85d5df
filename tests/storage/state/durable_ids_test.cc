// Message ids are known after restarts, kills and rolls in between, for as long as the window says,
// and no longer than their topic.
#include <filesystem>

#include "storage/keys.h"
#include "storage/recovery/inspection.h"
#include "storage/recovery/repair.h"
#include "tests/storage/state/killed_storage.h"

namespace leat::storage {
namespace {

using std::chrono::milliseconds;

constexpr IdWindow kWindow{std::chrono::hours(1), 1'000'000};
constexpr WallTime kNow{std::chrono::hours(100)};

IdHash id(std::uint64_t n) {
  return hash_of(TopicId{}, as_bytes(std::to_string(n)));
}

class DurableIdsTest : public KilledStorageTest {
 protected:
  DurableIdsTest() {
    memory_bytes = 16 << 20;  // so that rolls come soon
  }
  // Ids [first, first + count), in batches of up to 300 records, the last of each without an id.
  void add(PartitionId partition, std::uint64_t first, std::uint64_t count,
           IdWindow window = kWindow, WallTime now = kNow, TopicConfig config = {}) {
    while (count > 0) {
      RecordBatchBuilder builder;
      std::vector<RecordId> ids;
      for (; count > 0 && ids.size() < 299; --count) {
        ids.push_back({static_cast<std::int32_t>(ids.size()), id(first++)});
        builder.append({.key = {}, .value = as_bytes("v")}, 1);
      }
      builder.append({.key = {}, .value = as_bytes("without")}, 1);
      if (!storage->has_room()) poll_until([this] { return storage->has_room(); });
      const auto appended =
          storage->append(partition, config, builder.finish(), {ids, now, window});
      ASSERT_TRUE(appended);
      for (const RecordId& record : ids) offsets[record.id] = appended->base + record.delta;
    }
  }
  // How many of [first, first + count) are known, each with its offset.
  std::uint64_t known(PartitionId partition, std::uint64_t first, std::uint64_t count,
                      IdWindow window = kWindow, WallTime now = kNow) {
    std::vector<IdHash> ids;
    for (std::uint64_t n = first; n < first + count; ++n) ids.push_back(id(n));
    const auto found = find_ids(partition, window, ids, now);
    EXPECT_TRUE(found) << found.error().message();
    std::uint64_t all = 0;
    for (std::size_t i = 0; found && i < ids.size(); ++i) {
      if (!(*found)[i]) continue;
      EXPECT_EQ(*(*found)[i], offsets[ids[i]]) << first + i;
      ++all;
    }
    return all;
  }
  std::size_t rows() {
    storage.reset();
    auto rocks = Rocks::open({.directory = directory / "data/rocksdb", .read_only = true});
    EXPECT_TRUE(rocks);
    std::size_t rows = 0;
    EXPECT_TRUE(RocksFamilyReader(**rocks, Family::kIds)
                    .each(std::string_view(&keys::kIdsLetter, 1),
                          [&](std::string_view, std::string_view) -> Result<> {
                            ++rows;
                            return {};
                          }));
    return rows;
  }
  std::string findings() {
    storage.reset();
    std::string told;
    const auto found =
        Inspection::run(*io, directory / "data", [&](std::string_view line) { told.append(line); });
    EXPECT_TRUE(found);
    return told;
  }

  std::map<IdHash, Offset> offsets;
};

TEST_F(DurableIdsTest, OutliveRestartsKillsAndRollsInBetween) {
  using Reopen = std::function<void()>;
  const std::vector<Reopen> ways = {[this] { open(); }, [this] { kill(); }};
  for (const bool rolled : {false, true})
    for (std::size_t way = 0; way < ways.size(); ++way) {
      SCOPED_TRACE(std::to_string(rolled) + std::to_string(way));
      open();
      const auto name = "orders-" + std::to_string(rolled) + std::to_string(way);
      PartitionId partition = create(name);
      add(partition, 0, 2'000);
      if (rolled) fill_until_rolled();
      add(partition, 2'000, 700);
      for (int i = 0; i < 2; ++i) {
        ASSERT_NO_FATAL_FAILURE(ways[way]());
        partition = storage->find_topic(name)->partitions.front();
        const std::uint64_t there = 2'700 + 10 * static_cast<std::uint64_t>(i);
        EXPECT_EQ(known(partition, 0, there), there);
        EXPECT_EQ(known(partition, there, 5'000), 0u);
        EXPECT_EQ(storage->stats().known_ids, there);
        add(partition, there, 10);
      }
      ASSERT_TRUE(storage->delete_topic(storage->find_topic(name)->id));
    }
  EXPECT_EQ(findings(), "");
}

TEST_F(DurableIdsTest, OldOnesAreFoundInRows) {
  open();
  const PartitionId partition = create("orders");
  add(partition, 0, 20'000);
  fill_until_rolled();
  cold_reads = 0;
  EXPECT_EQ(known(partition, 0, 20'000), 20'000u);
  EXPECT_EQ(cold_reads, 1);  // one search, whose rows are read one after the other
}

TEST_F(DurableIdsTest, AreForgottenByTimeAndByCount) {
  open();
  const PartitionId partition = create("orders");
  add(partition, 0, 3'000, kWindow, kNow);
  add(partition, 3'000, 3'000, kWindow, kNow + milliseconds(100));
  const WallTime later = kNow + milliseconds(150);
  EXPECT_EQ(known(partition, 0, 6'000, {milliseconds(150), 6'000}, later), 6'000u);
  EXPECT_EQ(known(partition, 0, 6'000, {milliseconds(149), 6'000}, later), 3'000u);
  EXPECT_EQ(known(partition, 0, 6'000, {milliseconds(150), 1'234}, later), 1'234u);
  EXPECT_EQ(known(partition, 0, 6'000, {}, later), 0u);
  // A shorter window at an append is for good, and its rows go.
  add(partition, 6'000, 1, {std::chrono::hours(1), 600}, later);
  EXPECT_EQ(known(partition, 0, 6'001), 600u);
  kill();
  EXPECT_EQ(known(partition, 0, 6'001), 600u);
  fill_until_rolled();
  EXPECT_EQ(known(partition, 0, 6'001), 600u);
  EXPECT_EQ(storage->stats().known_ids, 600u);
  EXPECT_LE(rows(), 3u);
  // Without a window all of it is forgotten.
  open();
  RecordBatchBuilder builder;
  builder.append({.key = {}, .value = as_bytes("v")}, 1);
  ASSERT_TRUE(storage->append(partition, {}, builder.finish(), {{}, later, IdWindow()}));
  kill();
  EXPECT_EQ(known(partition, 0, 6'001), 0u);
  EXPECT_EQ(storage->stats().known_ids, 0u);
}

TEST_F(DurableIdsTest, GoWithTheirTopic) {
  open();
  const PartitionId partition = create("orders");
  add(partition, 0, 5'000);
  fill_until_rolled();
  add(partition, 5'000, 5'000);
  ASSERT_TRUE(storage->delete_topic(storage->find_topic("orders")->id));
  EXPECT_EQ(known(partition, 0, 10'000), 0u);
  kill();
  EXPECT_EQ(storage->stats().known_ids, 0u);
  fill_until_rolled();
  EXPECT_EQ(rows(), 0u);
}

// The bound over all partitions holds from start to start.
TEST_F(DurableIdsTest, HoldWithinTheBound) {
  dedup_ids = 1'000;
  open();
  const PartitionId orders = create("orders"), others = create("others");
  add(others, 0, 400);
  add(orders, 10'000, 2'000);
  EXPECT_EQ(known(others, 0, 400), 400u);
  EXPECT_EQ(known(orders, 11'400, 600), 600u);
  EXPECT_EQ(storage->stats().known_ids, 1'000u);
  kill();
  EXPECT_EQ(known(others, 0, 400), 400u);
  EXPECT_EQ(known(orders, 10'000, 2'000), 600u);
}

// Records that were known are taken out, and their offsets stay empty.
TEST_F(DurableIdsTest, BatchesMayHaveHoles) {
  open();
  const PartitionId partition = create("orders");
  RecordBatchBuilder builder;
  for (int i = 0; i < 5; ++i) builder.append({.key = {}, .value = as_bytes("v")}, 1);
  const auto issued = storage->init_producer(std::nullopt, 0);
  ASSERT_TRUE(issued);
  builder.set_producer({issued->id, issued->epoch}, 0);
  const auto whole = builder.take();
  const auto view = *RecordBatchView::parse(whole);
  const auto holes = [&](auto keep) { return filter_records(view, keep)->bytes; };
  const auto middle = holes([](const RecordView& record) { return record.offset == Offset(2); });
  const auto none = holes([](const RecordView&) { return false; });
  const RecordId record{2, id(1)};
  EXPECT_EQ(storage->append(partition, {}, middle, {{&record, 1}, kNow, kWindow})->base, Offset(0));
  // A retry comes whole, and what follows counts what was taken out.
  EXPECT_EQ(*storage->check_sequence(partition, view), Offset(0));
  EXPECT_EQ(storage->append(partition, {}, none)->base, Offset(5));
  append(partition, "behind");
  for (int time = 0; time < 2; ++time) {
    settle();
    EXPECT_EQ(storage->bounds(partition).high_watermark, Offset(11));
    const auto read = this->read(partition, Offset(0));
    ASSERT_TRUE(read);
    std::vector<Offset> found;
    for (const auto& stored : read->batches)
      for (Bytes rest = stored.bytes; !rest.empty();) {
        const auto batch = *RecordBatchView::parse(rest);
        const auto reader = RecordReader::open(batch);
        ASSERT_TRUE(reader);
        for (const RecordView& each : *reader) found.push_back(each.offset);
        rest = rest.subspan(batch.bytes().size());
      }
    EXPECT_EQ(found, (std::vector{Offset(2), Offset(10)}));
    offsets[id(1)] = Offset(2);
    EXPECT_EQ(known(partition, 1, 1), 1u);
    kill();
  }
  EXPECT_EQ(findings(), "");
}

TEST_F(DurableIdsTest, ARepairForgetsThem) {
  namespace fs = std::filesystem;
  open();
  const PartitionId partition = create("orders");
  add(partition, 0, 2'000);
  fill_until_rolled();
  add(partition, 2'000, 1'000);
  stop_without_a_roll();
  // Something to repair: a file of ids is cut; the journal tells of others.
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
  EXPECT_EQ(repaired->lost_offsets, 0u);
  open();
  EXPECT_EQ(storage->bounds(partition).high_watermark, Offset(3'011));
  EXPECT_EQ(known(partition, 0, 3'000), 0u);
  add(partition, 0, 700);
  kill();
  EXPECT_EQ(known(partition, 0, 700), 700u);
  EXPECT_EQ(findings(), "");
}

}  // namespace
}  // namespace leat::storage
