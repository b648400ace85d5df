// Rule 5 where only an exact moment tells a store that keeps it from one that does not: storage is
// held there, or a family is put back to where a crash would have left it.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "storage/keys.h"
#include "tests/storage/disk_storage_fixture.h"
#include "tests/storage/recording_file_io.h"
#include "tests/storage/simulation/simulated_disk.h"

namespace leat::storage {
namespace {

namespace fs = std::filesystem;
constexpr PartitionId kPartition{1}, kGone{2}, kMore{3}, kStillMore{4};

// ---- each family takes only what it does not hold ----

using Rows = std::map<std::string, std::string>;

// What the files of a family hold; of the records without the footers.
Rows rows_of(const std::string& directory, Family family) {
  auto rocks = Rocks::open({.directory = directory, .on_flushed = {}});
  EXPECT_TRUE(rocks);
  Rows rows;
  const auto ok = RocksFamilyReader(**rocks, family)
                      .each("", [&](std::string_view key, std::string_view value) -> Result<> {
                        const bool footer = family == Family::kRecords &&
                                            key == keys::view(keys::footer(keys::segment_of(key)));
                        if (!footer) rows.emplace(key, value);
                        return {};
                      });
  EXPECT_TRUE(ok);
  return rows;
}

// As if the family's flushes had never arrived, but for their rows, which replay writes again.
void forget_position(const std::string& directory, Family family) {
  auto rocks = Rocks::open({.directory = directory, .on_flushed = {}});
  ASSERT_TRUE(rocks);
  rocksdb::WriteBatch batch;
  RocksFamilyWriter(**rocks, family, batch).remove(keys::kPosition);
  ASSERT_TRUE((*rocks)->write(batch));
  ASSERT_TRUE((*rocks)->db().Flush({}, (*rocks)->family(family)).ok());
}

TopicId topic_id(std::uint8_t number) {
  TopicId id;
  id.bytes[0] = number;
  return id;
}

JournalEntry records(PartitionId partition, std::int64_t offset, std::int32_t sequence = -1) {
  RecordBatchBuilder builder;
  builder.append({{}, as_bytes("value"), {}}, 1);
  auto batch = builder.take();
  if (sequence >= 0) {
    store_be<std::int64_t>(batch.data() + batch_layout::kProducerId, 5);
    store_be<std::int16_t>(batch.data() + batch_layout::kProducerEpoch, 0);
    store_be(batch.data() + batch_layout::kBaseSequence, sequence);
  }
  return RecordsAppended::encode(partition, Offset(offset), LeaderEpoch(1), batch);
}

JournalEntry committed(std::int64_t offset, const char* group = "commits") {
  const OffsetCommit commit{topic_id(1), PartitionIndex(0), Offset(offset), "", {}};
  return OffsetsCommitted::encode(group, {&commit, 1});
}

JournalEntry joined(const char* group, std::int32_t epoch, const char* member) {
  GroupChange change{.group = group, .kind = GroupKind::kPartitioned};
  change.joined = GroupMember{member, "", {"t"}, std::chrono::seconds(3), std::chrono::seconds(4)};
  change.moved = {{{topic_id(1), PartitionIndex(0)}, member}};
  return GroupChanged{epoch, change}.encode();
}

JournalEntry configured(std::int64_t records) {
  TopicConfig config;
  config.retention.records = records;
  return TopicConfigured{topic_id(1), config}.encode();
}

// Every kind of entry, with a second half that changes what the first half made.
std::vector<JournalEntry> history(std::size_t& half) {
  const ProducerId producer(5);
  std::vector<JournalEntry> entries = {
      TopicCreated{topic_id(1), 0, kPartition, 1, "t", {}, {}}.encode(),
      TopicCreated{topic_id(2), 0, kGone, 1, "gone", {}, {}}.encode(),
      ProducerInitialized{producer, 1}.encode(),
      committed(1),
      committed(1, "removed"),
      joined("h", 1, "m1"),
      joined("again", 1, "m1"),
      records(kPartition, 0, 0),
      records(kPartition, 1),
      LogStartsMoved{{{kPartition, Offset(1)}}}.encode(),
      configured(1),
      GroupDeleted{"again"}.encode(),
      PartitionsAdded{topic_id(2), {kMore, 1}}.encode(),
  };
  half = entries.size();
  for (JournalEntry& entry :
       std::vector{ProducerInitialized{producer, 2}.encode(), committed(2),
                   OffsetsRemoved{"removed", {{topic_id(1), PartitionIndex(0)}}}.encode(),
                   joined("h", 2, "m2"), joined("again", 1, "m3"), records(kPartition, 2, 1),
                   LogStartsMoved{{{kPartition, Offset(2)}}}.encode(), configured(2),
                   PartitionsAdded{topic_id(1), {kStillMore, 1}}.encode(),
                   TopicDeleted{topic_id(2), {kGone, kMore}}.encode()})
    entries.push_back(std::move(entry));
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i].position = JournalPosition(i + 1);
  return entries;
}

// A replay for the sake of one family that a second crash cuts short, behind a roll: what the
// others wrote of it would be older than the position they tell.
TEST(StoreRules, EachFamilyTakesOnlyWhatItDoesNotHold) {
  std::size_t half = 0;
  const auto entries = history(half);
  for (const Family behind : kStateFamilies) {
    TemporaryDirectory directory;
    const auto apply = [&](std::span<const JournalEntry> some) {
      auto store = Store::open({.directory = directory.path()});
      ASSERT_TRUE(store) << store.error().message();
      ASSERT_TRUE((*store)->apply(some));
      ASSERT_TRUE((*store)->roll_and_wait());
    };
    apply(entries);
    std::map<Family, Rows> before;
    for (const Family family :
         {Family::kRecords, Family::kCatalog, Family::kOffsets, Family::kProducers}) {
      before[family] = rows_of(directory.path(), family);
      EXPECT_FALSE(before[family].empty());
    }
    forget_position(directory.path(), behind);
    apply(std::span(entries).first(half));
    for (const auto& [family, rows] : before)
      if (family != behind) {
        EXPECT_EQ(rows_of(directory.path(), family), rows)
            << "family " << static_cast<int>(family) << " beside " << static_cast<int>(behind);
      }
  }
}

// ---- only what is durable ----

class StoreRulesOnDisk : public DiskStorageTest {
 protected:
  void TearDown() override {
    go_on();
    storage.reset();  // before what its threads look at
  }
  // From now on the store's thread stays at `point`.
  void open_and_hold_at(std::string point) {
    on_point = [this, point](std::string_view name) {
      if (name == point) held.wait(true);
    };
    open();
    held = true;
  }
  void go_on() {
    held = false;
    held.notify_all();
  }
  Result<Appended> try_append(PartitionId partition, const std::string& value) {
    RecordBatchBuilder builder;
    builder.append({.key = {}, .value = as_bytes(value)}, 1);
    return storage->append(partition, {}, builder.finish());
  }
  Result<JournalPosition> commit() {
    const OffsetCommit commit{storage->topics().front()->id, PartitionIndex(0), Offset(1), "", {}};
    return storage->commit_offsets("g", {&commit, 1});
  }
  // Until there is no room, but no more than `most`.
  std::uint64_t fill(PartitionId partition, const std::string& value, std::uint64_t most) {
    std::uint64_t appended = 0;
    for (; storage->has_room() && appended < most; ++appended) {
      EXPECT_TRUE(try_append(partition, value));
      settle();  // what the journal holds of it is known
    }
    return appended;
  }

  std::atomic<bool> held{false};
};

TEST_F(StoreRulesOnDisk, WhatIsNotDurableIsNotApplied) {
  open();
  const PartitionId partition = create("t");
  settle();
  storage.reset();  // before what its threads look at
  std::atomic<int> applied{0};
  on_point = [&](std::string_view point) { applied += point == "store.before_apply"; };
  test::RecordingFileIo disk(real_file_io());
  io = &disk;
  open();
  applied = 0;  // replay is over
  disk.fail_at(0, ErrorCode::kIoError, true);
  ASSERT_TRUE(try_append(partition, "lost"));
  poll_until([this] { return events.failed.has_value(); });
  storage.reset();  // applies what is queued
  EXPECT_EQ(applied, 0);
}

// RocksDB says that entries were durable, and the journal has no group at all.
TEST_F(StoreRulesOnDisk, AJournalThatEndsBeforeWhatIsPersistedIsRefused) {
  open();
  fill_until_rolled();
  storage.reset();
  for (const auto& file : fs::directory_iterator(directory / "data/journal")) {
    if (file.path().extension() != ".seg") continue;
    const auto bytes = fs::file_size(file.path());
    fs::resize_file(file.path(), 0);
    fs::resize_file(file.path(), bytes);
  }
  const auto opened = DiskStorage::open(options(), real_file_io(), [] {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error(), ErrorCode::kCorruptStorage);
}

// ---- the bounds ----

TEST(StoreRules, TheBoundsAreThoseOfTheRule) {
  EXPECT_EQ(StorageOptions().max_unpersisted_bytes, std::uint64_t{384} << 20);
  EXPECT_EQ(StorageOptions().max_unpersisted_entries, 500'000u);
  EXPECT_EQ(shares_of(16 << 20).newest_records, std::size_t{3} << 20);
}

// To the entry: seven eighths are anybody's, the last one is for commits and deletions.
TEST_F(StoreRulesOnDisk, UnpersistedEntriesAreBounded) {
  max_unpersisted_entries = 800;
  open_and_hold_at("store.before_roll");
  const PartitionId partition = create("t");
  while (storage->has_room() && storage->last_appended() < JournalPosition(1'000))
    ASSERT_TRUE(try_append(partition, "v"));
  ASSERT_EQ(storage->last_appended(), JournalPosition(701));
  Result<JournalPosition> committed;
  while ((committed = commit()) && storage->last_appended() < JournalPosition(1'000)) {
  }
  EXPECT_EQ(committed.error(), ErrorCode::kQueueFull);
  EXPECT_EQ(storage->last_appended(), JournalPosition(801));
  go_on();
  poll_until([this] { return events.rooms > 0; });
}

TEST_F(StoreRulesOnDisk, UnpersistedBytesAreBounded) {
  max_unpersisted_bytes = 2 << 20;
  open_and_hold_at("store.before_roll");
  const PartitionId partition = create("t");
  const std::string value(20'000, 'v');
  ASSERT_LE(fill(partition, value, 200) * value.size(), max_unpersisted_bytes / 8 * 7);
  EXPECT_TRUE(commit());
  EXPECT_TRUE(storage->delete_topic(storage->topics().front()->id));
  go_on();
  poll_until([this] { return events.rooms > 0; });
}

TEST_F(StoreRulesOnDisk, UnappliedBytesAreBounded) {
  memory_bytes = 4 << 20;
  open_and_hold_at("store.before_apply");
  const PartitionId partition = create("t");
  const std::string value(20'000, 'v');
  const std::size_t most = shares_of(memory_bytes).newest_records;
  ASSERT_LE((fill(partition, value, 200) - 1) * value.size(), most / 8 * 7);
  EXPECT_TRUE(commit());
  EXPECT_TRUE(storage->delete_topic(storage->topics().front()->id));
  go_on();
  poll_until([this] { return events.rooms > 0; });
}

// More than the cache may keep, by the one batch that always passes; RocksDB has nothing of it.
TEST_F(StoreRulesOnDisk, WhatIsNotAppliedIsReadFromMemory) {
  memory_bytes = 4 << 20;
  open_and_hold_at("store.before_apply");
  const PartitionId partition = create("t");
  std::vector<std::string> values;
  do values.emplace_back(100'000, static_cast<char>('a' + values.size()));
  while (try_append(partition, values.back()) && values.size() < 20);
  values.pop_back();  // refused
  settle();
  EXPECT_GT(values.size() * 100'000, shares_of(memory_bytes).newest_records);
  auto outcome = storage->read(partition, Offset(0), 64 << 10, ++token);
  EXPECT_TRUE(std::holds_alternative<ReadResult>(outcome)) << "it was evicted";
  go_on();
  EXPECT_EQ(read_all(partition), values);
}

// ---- large batches ----

JournalEntry large_entry(std::uint64_t position, const JournalPlace& place) {
  JournalEntry entry = records(kPartition, static_cast<std::int64_t>(position - 1));
  entry.position = JournalPosition(position);
  entry.place = place;
  return entry;
}

// At any moment of a roll the power may go: rows in files find theirs.
TEST(StoreRules, TheNameOfALargeBatchesFileIsDurableBeforeItsRows) {
  test::SimulatedDisk disk({.in_order = "/rocksdb"});
  for (const char* path : {"/journal", "/large", "/rocksdb"})
    ASSERT_TRUE(disk.make_directory(path));
  ASSERT_TRUE(disk.sync_directory("/"));
  const JournalEntry entry = large_entry(1, {.incarnation = 1, .segment = 1, .at = 0});
  {
    auto file = disk.open("/journal/" + segment_name(1), {.create = true, .write = true});
    ASSERT_TRUE(file && (*file)->write(0, entry.body) && (*file)->sync());
    ASSERT_TRUE(disk.sync_directory("/journal"));
  }
  const auto open_at = [](FileIo& io) {
    return Store::open({.directory = "/rocksdb",
                        .io = &io,
                        .large_batch_bytes = 1,
                        .journal_directory = "/journal",
                        .large_directory = "/large"});
  };
  std::vector<std::unique_ptr<test::SimulatedDisk>> crashes;
  {
    auto store = open_at(disk);
    ASSERT_TRUE(store);
    ASSERT_TRUE((*store)->apply({&entry, 1}));
    disk.watch([](std::uint64_t) { return true; },
               [&](auto copy) { crashes.push_back(std::move(copy)); });
    ASSERT_TRUE((*store)->roll_and_wait());
    disk.watch({}, {});
    crashes.push_back(disk.copy());
  }
  std::size_t rolled = 0;
  for (std::size_t i = 0; i < crashes.size(); ++i) {
    crashes[i]->cut_power(i);
    auto store = open_at(*crashes[i]);
    ASSERT_TRUE(store) << "crash " << i << ": " << store.error().message();
    if ((*store)->wants(Family::kRecords, entry.position)) continue;
    ++rolled;
    EXPECT_TRUE((*store)->read(kPartition, Offset(0), 1 << 20));
  }
  EXPECT_GT(rolled, 0u);
  EXPECT_LT(rolled, crashes.size());
}

TEST(StoreRules, ALargeBatchesFileGoesWhenNothingNeedsOrPinsIt) {
  TemporaryDirectory directory;
  for (const char* name : {"journal", "large"}) fs::create_directory(directory / name);
  std::ofstream(directory / "journal/" + segment_name(7)) << "batches";
  LargeBatches large(real_file_io(), directory / "journal", directory / "large");
  const JournalEntry entry = large_entry(1, {.incarnation = 3, .segment = 7, .at = 0});
  const auto there = [&] { return fs::exists(directory / "large/00000003-00000007.seg"); };
  ASSERT_TRUE(large.keep(entry, 1));
  large.release(1, 1);
  EXPECT_TRUE(there()) << "a start that is not over may find that it is needed";
  ASSERT_TRUE(large.keep(entry, 1) && large.keep(entry, 2));
  large.recovered();
  large.release(1, 1);
  EXPECT_TRUE(there()) << "the second segment needs it";
  large.pin();
  large.release(2, 2);
  EXPECT_TRUE(there()) << "a snapshot is made of it";
  ASSERT_TRUE(large.keep(entry, 3));
  large.unpin();
  EXPECT_TRUE(there()) << "it is needed again";
  large.release(3, 3);
  EXPECT_FALSE(there());
}

}  // namespace
}  // namespace leat::storage
