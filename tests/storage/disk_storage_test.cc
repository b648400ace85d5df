// The facade over journal and RocksDB: what was acknowledged is there after every kind of restart.
#include "storage/disk_storage.h"

#include <filesystem>
#include <fstream>

#include <fcntl.h>

#include "storage/keys.h"
#include "tests/storage/disk_storage_fixture.h"
#include "tests/storage/recording_file_io.h"

namespace leat::storage {
namespace {

TEST_F(DiskStorageTest, RecordsAreHiddenUntilDurableAndThenRead) {
  open();
  const PartitionId partition = create("orders");
  append(partition, "one", 3);
  EXPECT_EQ(storage->bounds(partition).high_watermark, Offset(0));  // rule 2
  settle();
  EXPECT_EQ(storage->bounds(partition).high_watermark, Offset(3));
  EXPECT_EQ(events.raised, std::vector{partition});
  EXPECT_EQ(read_all(partition), std::vector<std::string>(3, "one"));
}

TEST_F(DiskStorageTest, EverythingSurvivesAReopen) {
  open();
  const PartitionId partition = create("orders", 4);
  const TopicId id = storage->find_topic("orders")->id;
  std::vector<std::string> values;
  for (int i = 0; i < 100; ++i)
    append(partition, values.emplace_back("value " + std::to_string(i)));
  const OffsetCommit commit{id, PartitionIndex(0), Offset(42), "note"};
  ASSERT_TRUE(storage->commit_offsets("billing", {&commit, 1}));
  settle();
  for (int life = 0; life < 3; ++life) {
    open();
    ASSERT_TRUE(storage->find_topic("orders"));
    EXPECT_EQ(storage->find_topic("orders")->id, id);
    EXPECT_EQ(storage->find_topic("orders")->partitions.size(), 4u);
    EXPECT_EQ(read_all(partition), values);
    const auto committed = storage->committed("billing", id, PartitionIndex(0));
    ASSERT_TRUE(committed);
    EXPECT_EQ(committed->offset, Offset(42));
    EXPECT_EQ(committed->metadata, "note");
    append(partition, values.emplace_back("life " + std::to_string(life)));
    settle();
  }
  EXPECT_GT(cold_reads, 0);
}

// A batch in memory of its own is neither copied nor, if it is large, is its journal entry; one
// with message ids is.
TEST_F(DiskStorageTest, ABatchMayStayWhereItIs) {
  open();
  const PartitionId partition = create("orders");
  std::vector<std::string> values;
  std::vector<Bytes> places;
  for (const std::size_t bytes : {100, 20'000, 70'000, 1'000'000, 4'093}) {
    RecordBatchBuilder builder;
    values.emplace_back(bytes, static_cast<char>('a' + values.size()));
    builder.append({.key = {}, .value = as_bytes(values.back())}, 1);
    const Bytes batch = builder.finish();
    // Anywhere in a page, and in a word.
    auto owner = std::make_shared<std::vector<std::byte>>(batch.size() + 5'000);
    const MutableBytes place(owner->data() + random.below(5'000), batch.size());
    std::ranges::copy(batch, place.begin());
    ASSERT_TRUE(storage->append(partition, {}, NewBatch(place, std::move(owner))));
    places.push_back(place);
  }
  settle();
  const auto cached = read(partition, Offset(1));
  ASSERT_TRUE(cached && cached->batches.size() == 1);
  EXPECT_EQ(cached->batches[0].bytes.data(), places[1].data());
  EXPECT_EQ(read_all(partition), values);
  for (int life = 0; life < 2; ++life) {
    open();
    EXPECT_EQ(read_all(partition), values);
    if (life == 0) fill_until_rolled();
  }
  EXPECT_GT(cold_reads, 0);
}

TEST_F(DiskStorageTest, SegmentsRollAndColdReadsCrossThem) {
  memory_bytes = 12 << 20;  // memtables of 2 MiB
  open();
  const PartitionId first = create("first"), second = create("second");
  std::vector<std::string> values;
  for (int i = 0; i < 400; ++i) {
    append(first, values.emplace_back(std::string(30'000, static_cast<char>('a' + i % 26))));
    if (i % 50 == 0) append(second, "rare");
    settle();
  }
  EXPECT_EQ(read_all(first), values);
  EXPECT_EQ(read_all(second), std::vector<std::string>(8, "rare"));
  open();
  EXPECT_EQ(read_all(first), values);
  EXPECT_EQ(read_all(second), std::vector<std::string>(8, "rare"));
  EXPECT_LT(storage->stats().recovery.replayed, 408u) << "persisted entries were replayed again";
}

TEST_F(DiskStorageTest, ADeletedTopicIsGoneAndItsSuccessorStartsEmpty) {
  open();
  const PartitionId old_partition = create("orders");
  const TopicId old_id = storage->find_topic("orders")->id;
  append(old_partition, "old");
  const OffsetCommit commit{old_id, PartitionIndex(0), Offset(1), ""};
  ASSERT_TRUE(storage->commit_offsets("billing", {&commit, 1}));
  ASSERT_TRUE(storage->delete_topic(old_id));
  EXPECT_FALSE(storage->find_topic("orders"));
  EXPECT_FALSE(storage->committed("billing", old_id, PartitionIndex(0)));
  const PartitionId new_partition = create("orders");
  EXPECT_NE(new_partition, old_partition);  // rule 7
  append(new_partition, "new");
  settle();
  open();
  EXPECT_FALSE(storage->find_topic(old_id));
  EXPECT_FALSE(storage->committed("billing", old_id, PartitionIndex(0)));
  EXPECT_EQ(read_all(new_partition), std::vector<std::string>{"new"});
}

TEST_F(DiskStorageTest, PartitionsAreAddedForGood) {
  open();
  const PartitionId first = create("orders", 2), other = create("other");
  const TopicId id = storage->find_topic("orders")->id;
  ASSERT_TRUE(storage->add_partitions(id, 2));
  const auto all = storage->find_topic("orders")->partitions;
  EXPECT_EQ(all, (std::vector{first, first + 1, other + 1, other + 2}));
  append(all[3], "new");
  settle();
  ASSERT_TRUE(storage->add_partitions(id, 1));
  settle();
  for (const bool rolled : {false, true, true}) {
    open();
    ASSERT_EQ(storage->find_topic("orders")->partitions.size(), 5u);
    EXPECT_TRUE(
        std::ranges::equal(all, std::span(storage->find_topic("orders")->partitions).first(4)));
    EXPECT_EQ(read_all(all[3]), std::vector<std::string>{"new"});
    EXPECT_EQ(storage->stored_bytes(all[2]), 0u);
    EXPECT_GT(storage->stored_bytes(all[3]), 0u);
    if (!rolled) fill_until_rolled();
  }
  const PartitionId newest = storage->find_topic("orders")->partitions.back();
  const OffsetCommit commit{id, PartitionIndex(3), Offset(1), ""};
  ASSERT_TRUE(storage->commit_offsets("billing", {&commit, 1}));
  ASSERT_TRUE(storage->delete_topic(id));
  settle();
  open();
  EXPECT_FALSE(storage->committed("billing", id, PartitionIndex(3)));
  EXPECT_EQ(storage->bounds(all[3]).high_watermark, Offset(0));
  EXPECT_GT(create("orders"), newest) << "rule 7: never issued again";
}

// Written by the version before: configurations end with what was known then.
TEST_F(DiskStorageTest, ADirectoryOfAnEarlierFormatOpensAndBecomesThisOne) {
  open();
  const PartitionId partition = create("orders");
  append(partition, "old");
  settle();
  storage.reset();
  const auto format = [&] {
    std::string text;
    std::getline(std::ifstream(directory / "data/FORMAT"), text);
    return text;
  };
  ASSERT_EQ(format(), "leat-data 9");
  for (const int earlier : {6, 7, 8}) {
    std::ofstream(directory / "data/FORMAT", std::ios::trunc) << "leat-data " << earlier << "\n";
    open();
    EXPECT_EQ(format(), "leat-data 9");
    if (earlier != 8) storage.reset();
  }
  EXPECT_EQ(read_all(partition), std::vector<std::string>{"old"});
  storage.reset();
  std::ofstream(directory / "data/FORMAT", std::ios::trunc) << "leat-data 5\n";
  const auto refused = DiskStorage::open({.data_dir = directory / "data"}, real_file_io(), [] {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorCode::kFormatUnsupported);
  EXPECT_NE(refused.error().detail.find("formats 6 to 9"), std::string::npos);
}

TEST_F(DiskStorageTest, PressureIsToldAndEnds) {
  memory_bytes = 2 << 20;  // half a MiB may be un-applied
  open();
  const PartitionId partition = create("orders");
  int appended = 0;
  while (storage->has_room() && appended < 10'000) {
    append(partition, std::string(20'000, 'p'));
    ++appended;
  }
  EXPECT_LT(appended, 10'000);
  poll_until([this] { return events.rooms > 0; });
  EXPECT_TRUE(storage->has_room());
  settle();
  EXPECT_EQ(read_all(partition).size(), static_cast<std::size_t>(appended));
}

TEST_F(DiskStorageTest, ACopyTakenWhileRunningReplays) {
  open();
  const PartitionId partition = create("orders");
  std::vector<std::string> values;
  for (int i = 0; i < 300; ++i) append(partition, values.emplace_back(std::to_string(i)));
  settle();
  // What a SIGKILL would leave: nothing of RocksDB's memtables, all of the journal.
  TemporaryDirectory copy;
  std::filesystem::copy(directory / "data", copy / "data",
                        std::filesystem::copy_options::recursive);
  auto opened = DiskStorage::open({.data_dir = copy / "data"}, real_file_io(), [this] { wake(); });
  ASSERT_TRUE(opened) << opened.error().message();
  storage = std::move(*opened);
  EXPECT_EQ(storage->stats().recovery.replayed, 301u);
  EXPECT_EQ(read_all(partition), values);
}

// Rule 5: a kill between two families' flushes leaves one behind. The journal brings it up to date,
// and what the others hold is not applied to memory twice.
TEST_F(DiskStorageTest, AFamilyThatIsBehindCatchesUp) {
  max_unpersisted_entries = 40;  // a roll every 10 entries, all in the journal's first segment
  open();
  const PartitionId partition = create("orders");
  const TopicId id = storage->find_topic("orders")->id;
  std::vector<std::string> values;
  for (int i = 0; i < 25; ++i) {
    append(partition, values.emplace_back(std::to_string(i)));
    settle();
  }
  const OffsetCommit commit{id, PartitionIndex(0), Offset(7), ""};
  ASSERT_TRUE(storage->commit_offsets("billing", {&commit, 1}));
  settle();
  poll_until([this] { return rolls.load() > 0; });
  storage.reset();
  {
    auto rocks = Rocks::open({.directory = directory / "data/rocksdb", .on_flushed = {}});
    ASSERT_TRUE(rocks);
    rocksdb::WriteBatch batch;
    RocksFamilyWriter(**rocks, Family::kCatalog, batch).remove(keys::kPosition);
    ASSERT_TRUE((*rocks)->write(batch));
    ASSERT_TRUE((*rocks)->db().Flush({}, (*rocks)->family(Family::kCatalog)).ok());
  }
  open();
  EXPECT_EQ(storage->stats().recovery.replayed, 27u);
  EXPECT_EQ(read_all(partition), values);
  EXPECT_EQ(storage->committed("billing", id, PartitionIndex(0))->offset, Offset(7));
}

TEST_F(DiskStorageTest, BadDirectoriesAreRefusedAndSaySo) {
  const auto open_at = [](const std::string& path) {
    auto opened = DiskStorage::open({.data_dir = path}, real_file_io(), [] {});
    return opened ? ErrorCode::kOk : opened.error().code;
  };
  open();
  EXPECT_EQ(open_at(directory / "data"), ErrorCode::kDataDirLocked);
  storage.reset();
  EXPECT_EQ(open_at(directory / "no/such"), ErrorCode::kDataDirMissing);
  std::filesystem::create_directory(directory / "foreign");
  std::ofstream(directory / "foreign/holiday.jpg") << "x";
  EXPECT_EQ(open_at(directory / "foreign"), ErrorCode::kDataDirForeign);
  std::ofstream(directory / "data/FORMAT", std::ios::trunc) << "leat-data 99\n";
  EXPECT_EQ(open_at(directory / "data"), ErrorCode::kFormatUnsupported);
}

TEST_F(DiskStorageTest, ALostJournalIsNotTakenForANewOne) {
  memory_bytes = 12 << 20;
  open();
  const PartitionId partition = create("orders");
  for (int i = 0; i < 150; ++i) {
    append(partition, std::string(30'000, 'z'));
    settle();
  }
  poll_until([this] { return storage->has_room(); });
  storage.reset();
  std::filesystem::remove_all(directory / "data/journal");
  auto opened = DiskStorage::open(options(), real_file_io(), [] {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorruptStorage);
}

// ---- durability levels (rule 3) ----

std::vector<std::byte> one_record(const std::string& value) {
  RecordBatchBuilder builder;
  builder.append({.key = {}, .value = as_bytes(value)}, 1);
  return builder.take();
}

TEST_F(DiskStorageTest, BelowSyncARecordIsVisibleAtOnceAndHoldsNoReplyBack) {
  open();
  const TopicConfig memory{Durability::kMemory, {}};
  const PartitionId partition = create("memory", 1, memory);
  settle();
  const JournalPosition before = storage->reply_position();
  auto appended = storage->append(partition, memory, one_record("m"));
  ASSERT_TRUE(appended);
  EXPECT_EQ(appended->durability, Durability::kMemory);
  EXPECT_EQ(storage->bounds(partition).high_watermark, Offset(1));
  EXPECT_EQ(storage->reply_position(), before);
  EXPECT_GT(storage->last_appended(), before);
  EXPECT_EQ(read_all(partition), std::vector<std::string>{"m"});
  // A clean stop writes it all the same.
  open();
  EXPECT_EQ(read_all(partition), std::vector<std::string>{"m"});
}

TEST_F(DiskStorageTest, AnIntervalIsSyncedByItself) {
  open();
  const TopicConfig interval{Durability::kInterval, std::chrono::milliseconds(5)};
  const PartitionId partition = create("interval", 1, interval);
  settle();
  ASSERT_TRUE(storage->append(partition, interval, one_record("i")));
  poll_until([this] { return storage->durable() == storage->last_appended(); });
  EXPECT_EQ(storage->find_topic("interval")->config, interval);
  open();
  EXPECT_EQ(storage->find_topic("interval")->config, interval);
}

TEST_F(DiskStorageTest, EachStartHasItsLeaderEpochAndTheLogKnowsWhereItBegan) {
  open();
  const PartitionId partition = create("t");
  std::vector<LeaderEpoch> epochs;
  for (int life = 0; life < 4; ++life) {
    open();
    epochs.push_back(storage->leader_epoch());
    append(partition, "a");
    append(partition, "b");
    settle();
    if (life == 1) fill_until_rolled();
  }
  for (std::size_t i = 0; i < epochs.size(); ++i) {
    if (i > 0) {
      EXPECT_GT(epochs[i], epochs[i - 1]);
    }
    EXPECT_EQ(storage->end_of_epoch(partition, epochs[i]),
              Offset(static_cast<std::int64_t>(2 * (i + 1))));
  }
  EXPECT_EQ(storage->end_of_epoch(partition, LeaderEpoch(0)), Offset(0));
}

// ---- what batches and members leave behind ----

std::vector<std::byte> sequenced(std::int64_t producer, std::int32_t sequence) {
  auto batch = one_record("s");
  store_be(batch.data() + batch_layout::kProducerId, producer);
  store_be<std::int16_t>(batch.data() + batch_layout::kProducerEpoch, 0);
  store_be(batch.data() + batch_layout::kBaseSequence, sequence);
  return batch;
}

TEST_F(DiskStorageTest, RetriedBatchesAreKnownAfterEveryKindOfRestart) {
  open();
  const PartitionId partition = create("t");
  auto producer = storage->init_producer(std::nullopt, -1);
  ASSERT_TRUE(producer);
  std::int32_t sequence = 0;
  const auto check = [&](std::int32_t asked) {
    const auto batch = sequenced(producer->id, asked);
    return storage->check_sequence(partition, *RecordBatchView::parse(batch));
  };
  for (int life = 0; life < 4; ++life) {
    for (int i = 0; i < 7; ++i) {
      ASSERT_TRUE(check(sequence) && !*check(sequence));
      ASSERT_TRUE(storage->append(partition, {}, sequenced(producer->id, sequence++)));
    }
    settle();
    if (life % 2 == 1) fill_until_rolled();
    open();
    for (std::int32_t back = 1; back <= 5; ++back) {
      const auto known = check(sequence - back);
      ASSERT_TRUE(known && *known) << "life " << life << " back " << back;
      EXPECT_EQ(**known, Offset(sequence - back));
    }
    EXPECT_EQ(check(sequence - 6).error(), ErrorCode::kDuplicateSequence);
    EXPECT_EQ(check(sequence + 1).error(), ErrorCode::kOutOfSequence);
  }
  auto other = storage->init_producer(std::nullopt, -1);
  ASSERT_TRUE(other);
  EXPECT_NE(other->id, producer->id);
  auto raised = storage->init_producer(producer->id, 0);
  ASSERT_TRUE(raised);
  EXPECT_EQ(raised->epoch, 1);
  settle();
  open();
  EXPECT_EQ(check(sequence).error(), ErrorCode::kProducerFenced);
  EXPECT_EQ(storage->init_producer(producer->id, 0).error(), ErrorCode::kProducerFenced);
}

TEST_F(DiskStorageTest, GroupsSurviveEveryKindOfRestart) {
  open();
  create("t", 3);
  const TopicId topic = storage->find_topic("t")->id;
  const TopicPartition first{topic, PartitionIndex(0)}, second{topic, PartitionIndex(1)};
  GroupChange join{.group = "g", .kind = GroupKind::kPartitioned};
  join.joined =
      GroupMember{"m1", "someone", {"t", "u"}, std::chrono::seconds(3), std::chrono::seconds(4)};
  join.moved = {{first, "m1"}, {second, "m1"}};
  ASSERT_TRUE(storage->change_group(join));
  GroupChange more{.group = "g", .kind = GroupKind::kPartitioned};
  more.joined = GroupMember{"m2", "", {"t"}, std::chrono::seconds(3), std::chrono::seconds(4)};
  more.moved = {{second, "m2"}};
  ASSERT_TRUE(storage->change_group(more));
  const OffsetCommit commit{topic, PartitionIndex(0), Offset(7), "meta", LeaderEpoch(3)};
  ASSERT_TRUE(storage->commit_offsets("g", {&commit, 1}));
  ASSERT_TRUE(storage->commit_offsets("other", {&commit, 1}));
  settle();
  for (int life = 0; life < 2; ++life) {
    open();
    const Group* group = storage->find_group("g");
    ASSERT_TRUE(group);
    EXPECT_EQ(group->epoch, 2);
    EXPECT_EQ(group->kind, GroupKind::kPartitioned);
    ASSERT_EQ(group->members.size(), 2u);
    EXPECT_EQ(group->members.at("m1").topics, (std::vector<std::string>{"t", "u"}));
    EXPECT_EQ(group->members.at("m1").client_name, "someone");
    EXPECT_EQ(group->members.at("m2").session_timeout, std::chrono::seconds(3));
    EXPECT_EQ(group->owners.at(first).member, "m1");
    EXPECT_EQ(group->owners.at(first).since, 1);
    EXPECT_EQ(group->owners.at(second).member, "m2");
    EXPECT_EQ(group->owners.at(second).since, 2);
    EXPECT_EQ(storage->committed("g", topic, PartitionIndex(0))->epoch, LeaderEpoch(3));
    EXPECT_EQ(storage->groups(), (std::vector<std::string>{"g", "other"}));
    fill_until_rolled();
  }
  ASSERT_TRUE(storage->delete_group("g"));
  settle();
  for (int life = 0; life < 2; ++life) {
    open();
    EXPECT_FALSE(storage->has_group("g"));
    EXPECT_FALSE(storage->committed("g", topic, PartitionIndex(0)));
    EXPECT_TRUE(storage->committed("other", topic, PartitionIndex(0)));
    fill_until_rolled();
  }
}

TEST_F(DiskStorageTest, SingleOffsetsAreRemovedForGood) {
  open();
  create("t", 2);
  const TopicId topic = storage->find_topic("t")->id;
  const OffsetCommit commits[] = {{topic, PartitionIndex(0), Offset(7), "meta", LeaderEpoch(3)},
                                  {topic, PartitionIndex(1), Offset(8), "", LeaderEpoch(3)}};
  for (const char* group : {"g", "h"}) ASSERT_TRUE(storage->commit_offsets(group, commits));
  AcksChange acked{.group = "g", .partition = {topic, PartitionIndex(0)}};
  acked.done = {{Offset(9), Offset(9)}};
  ASSERT_TRUE(storage->change_acks(acked));
  fill_until_rolled();
  const TopicPartition both[] = {{topic, PartitionIndex(0)}, {topic, PartitionIndex(1)}};
  ASSERT_TRUE(storage->remove_offsets("g", {both, 1}));
  ASSERT_TRUE(storage->remove_offsets("h", both));
  settle();
  for (int life = 0; life < 3; ++life) {
    EXPECT_FALSE(storage->committed("g", topic, PartitionIndex(0)));
    EXPECT_FALSE(storage->acks("g", topic, PartitionIndex(0)));
    EXPECT_EQ(storage->committed("g", topic, PartitionIndex(1))->offset, Offset(8));
    EXPECT_FALSE(storage->has_group("h"));
    if (life == 1) fill_until_rolled();
    open();
  }
}

// With next to nothing free records are refused, with what to do; all else goes on, and so do
// records when there is room again.
TEST_F(DiskStorageTest, WithTooLittleSpaceRecordsAreRefusedAndNothingElse) {
  test::RecordingFileIo disk(real_file_io());
  io = &disk;
  open();
  const PartitionId partition = create("t");
  append(partition, "before");
  settle();
  disk.set_free(1 << 20);
  RecordBatchBuilder builder;
  builder.append({.key = {}, .value = as_bytes(std::string(1'000, 'v'))}, 1);
  const Bytes batch = builder.finish();
  Result<Appended> refused;
  do {
    poll_until([&] { return storage->has_room(); });
    refused = storage->append(partition, {}, batch);
  } while (refused);
  EXPECT_EQ(refused.error(), ErrorCode::kNoSpace);
  EXPECT_NE(refused.error().detail.find("MiB are kept"), std::string::npos);
  EXPECT_EQ(events.space, std::vector<bool>{false});
  settle();
  const OffsetCommit commit{storage->find_topic("t")->id, PartitionIndex(0), Offset(1), "", {}};
  EXPECT_TRUE(storage->commit_offsets("g", {&commit, 1}));
  EXPECT_TRUE(storage->move_log_start(partition, Offset(1)));
  create("another");
  settle();
  EXPECT_GT(read_all(partition, Offset(1)).size(), 1u);
  EXPECT_FALSE(events.failed);
  disk.set_free(UINT64_MAX);
  poll_until([&] { return storage->append(partition, {}, batch).has_value(); });
  settle();
  EXPECT_EQ(events.space, (std::vector<bool>{false, true}));
  io = &real_file_io();
  open();
  EXPECT_TRUE(storage->committed("g", storage->find_topic("t")->id, PartitionIndex(0)));
}

// A disk that somebody else filled to the last byte: what was appended waits, and is durable when
// there is room again.
TEST_F(DiskStorageTest, AFullDiskIsWaitedFor) {
  test::RecordingFileIo disk(real_file_io());
  io = &disk;
  open();
  const PartitionId partition = create("t");
  append(partition, "before");
  settle();
  disk.set_full(true);
  int appended = 1;
  for (; appended < 3'000 && storage->has_room(); ++appended)
    append(partition, std::string(1'000, 'v'));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  storage->poll(events);
  EXPECT_NE(storage->durable(), storage->last_appended());
  disk.set_full(false);
  settle();
  EXPECT_EQ(read_all(partition).size(), static_cast<std::size_t>(appended));
  EXPECT_FALSE(events.failed);
  storage.reset();  // before its disk
}

// Newest records, memtables and cached blocks, while all of them are pressed: the shares that
// memory_shares.h gives them.
TEST_F(DiskStorageTest, KeepsWithinItsShareOfTheMemoryBudget) {
  memory_bytes = 16 << 20;
  open();
  const PartitionId partition = create("orders");
  const MemoryShares shares = shares_of(memory_bytes);
  const std::size_t most =
      shares.newest_records + 2 * shares.memtable + shares.block_cache + 3 * shares.other_memtable;
  std::size_t peak = 0;
  for (int i = 0; i < 600; ++i) {
    append(partition, std::string(100'000, 'x'));
    if (i % 50 == 49) {
      settle();
      auto outcome = storage->read(partition, Offset(i / 50), 1 << 20, ++token);
      if (std::holds_alternative<ReadLater>(outcome))
        poll_until([this] { return events.reads.contains(token); });
    }
    peak = std::max(peak, storage->memory_in_use());
  }
  // Each share is full when the next batch would not fit, and RocksDB allocates in blocks.
  EXPECT_LE(peak, most + most / 16);
  EXPECT_GT(peak, most / 4);
}

// What the kernel says this process sent to disks.
std::uint64_t bytes_written_by_process() {
  std::ifstream io("/proc/self/io");
  for (std::string word; io >> word;)
    if (word == "write_bytes:") {
      std::uint64_t bytes = 0;
      io >> bytes;
      return bytes;
    }
  return 0;
}

TEST_F(DiskStorageTest, TheCausesOfWritesAddUpToWhatTheKernelCounts) {
  // Direct writes are counted when they are made; of buffered ones any part may never get so far.
  const auto probe = real_file_io().open(directory / "probe", {.create = true, .write = true});
  ASSERT_TRUE(probe);
  const int flags = ::fcntl((*probe)->descriptor(), F_GETFL);
  if (::fcntl((*probe)->descriptor(), F_SETFL, flags | O_DIRECT) != 0)
    GTEST_SKIP() << "no direct writes here";
  const std::uint64_t before = bytes_written_by_process();
  large_batch_bytes = 1 << 20;
  open();
  const PartitionId partition = create("orders");
  for (int i = 0; i < 1'000; ++i) append(partition, std::string(100'000, 'v'));
  const PartitionId small = create("small");
  for (int i = 0; i < 10'000; ++i) append(small, "v");
  settle();
  ASSERT_TRUE(storage->move_log_start(partition, Offset(600)));
  fill_until_rolled();
  fill_until_rolled();
  const DiskWrites writes = storage->stats().writes;
  EXPECT_GT(writes.payload, 100'000'000u);
  EXPECT_GT(writes.journal_groups, writes.payload);
  EXPECT_GT(writes.journal_prewritten, 0u);
  EXPECT_GT(writes.flushed, writes.payload / 2);
  // A file of RocksDB's is told of when it is complete.
  const auto deadline = std::chrono::steady_clock::now() + kHang;
  double ratio = 0;
  do {
    ratio = static_cast<double>(storage->stats().writes.all()) /
            static_cast<double>(bytes_written_by_process() - before);
  } while (std::abs(ratio - 1) > 0.1 && std::chrono::steady_clock::now() < deadline);
  EXPECT_NEAR(ratio, 1, 0.1);
}

}  // namespace
}  // namespace leat::storage
