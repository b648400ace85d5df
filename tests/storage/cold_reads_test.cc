// Reading ahead of those who go through a partition: what comes of it is what a read gives, within
// its budget, and nothing of it outlives what it was read of.
#include "storage/reading/cold_reads.h"

#include "protocol/base/assert.h"
#include "tests/storage/disk_storage_fixture.h"

namespace leat::storage {
namespace {

constexpr PartitionId kFirst(1);
constexpr std::size_t kValueBytes = 900;

// Partitions on a disk that answers when it is told to.
class Disk {
 public:
  explicit Disk(std::size_t budget_bytes)
      : reads(budget_bytes, {.begin = [this](const ColdRead& read) { begun.push_back(read); },
                             .hurry = [this](std::uint64_t id) { hurried.push_back(id); },
                             .range = [this](PartitionId id) { return range(id); }}) {}

  // Batches of `records` records; returns the offset behind them.
  Offset fill(PartitionId id, int batches, int records = 1) {
    Log& log = logs[id];
    for (int i = 0; i < batches; ++i) {
      RecordBatchBuilder builder;
      for (int r = 0; r < records; ++r)
        builder.append({.key = {}, .value = as_bytes(std::string(kValueBytes, 'v'))}, 1);
      const Bytes made = builder.finish();
      std::vector<std::byte> batch(made.begin(), made.end());
      assign_offset(batch, log.end, LeaderEpoch(1));
      log.batches.emplace(log.end + (records - 1), std::move(batch));
      log.end = log.end + records;
    }
    return log.end;
  }
  Result<ReadResult> read(const ColdRead& read, Offset& next) const {
    next = read.from;
    const auto log = logs.find(read.partition);
    if (log == logs.end()) return ReadResult{};
    if (read.from < log->second.start) return fail(ErrorCode::kOffsetOutOfRange);
    auto bytes = std::make_shared<std::vector<std::byte>>();
    for (auto at = log->second.batches.lower_bound(read.from); at != log->second.batches.end();
         ++at) {
      if (!bytes->empty() && bytes->size() + at->second.size() > read.max_bytes) break;
      bytes->insert(bytes->end(), at->second.begin(), at->second.end());
      next = at->first + 1;
    }
    ReadResult result;
    if (!bytes->empty()) result.batches.push_back({bytes, Bytes(*bytes)});
    return result;
  }
  // The oldest that was begun ends.
  void answer(std::size_t which = 0) {
    ASSERT_LT(which, begun.size());
    const ColdRead read = begun[which];
    begun.erase(begun.begin() + static_cast<std::ptrdiff_t>(which));
    Offset next;
    auto result = this->read(read, next);
    reads.ended({read.id, read.partition, std::move(result), next},
                [this](ReadToken whose, Result<ReadResult> told) {
                  ASSERT_TRUE(answers.emplace(whose, std::move(told)).second) << "told twice";
                });
  }
  // A read, and what comes of it when all that has begun has ended.
  Result<ReadResult> read_now(PartitionId id, Offset from, std::size_t max_bytes) {
    auto outcome = reads.read(id, from, max_bytes, ++token);
    if (auto* now = std::get_if<ReadResult>(&outcome)) return std::move(*now);
    while (!begun.empty()) answer();
    return std::move(answers.at(token));
  }
  ColdReads::Range range(PartitionId id) const {
    const auto log = logs.find(id);
    if (log == logs.end()) return ColdReads::kGone;
    return {log->second.start, std::min(log->second.end, log->second.cached)};
  }

  struct Log {
    Offset start{0}, end{0}, cached{ColdReads::kMostOffset};
    std::map<Offset, std::vector<std::byte>> batches{};  // by their last offsets
  };
  std::map<PartitionId, Log> logs;
  ColdReads reads;
  std::vector<ColdRead> begun;
  std::vector<std::uint64_t> hurried;
  std::map<ReadToken, Result<ReadResult>> answers;
  ReadToken token = 0;
};

struct Seen {
  Offset first, next;
  std::size_t bytes = 0, batches = 0;
};
Seen seen(const ReadResult& result) {
  Seen seen;
  for (const StoredBatches& stored : result.batches)
    for (Bytes rest = stored.bytes; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      EXPECT_TRUE(batch && batch->check());
      if (!batch) return seen;
      EXPECT_TRUE(seen.batches == 0 || batch->base_offset() == seen.next);
      if (seen.batches++ == 0) seen.first = batch->base_offset();
      seen.next = batch->last_offset() + 1;
      seen.bytes += batch->bytes().size();
      rest = rest.subspan(batch->bytes().size());
    }
  return seen;
}

TEST(ColdReads, SaysWhetherTheDiskIsRead) {
  Disk disk(1 << 20);
  disk.fill(kFirst, 10);
  EXPECT_FALSE(disk.reads.under_way());
  disk.reads.read(kFirst, Offset(0), 1'000, 1);
  disk.reads.read(kFirst, Offset(0), 1'000, 2);  // the same
  EXPECT_TRUE(disk.reads.under_way());
  EXPECT_EQ(disk.reads.ended(), 0u);
  disk.answer();
  EXPECT_FALSE(disk.reads.under_way());
  EXPECT_EQ(disk.reads.ended(), 1u);
}

TEST(ColdReads, WhoGoesOnFindsTheNextReadMade) {
  Disk disk(1 << 20);
  disk.fill(kFirst, 100);
  Offset next(0);
  std::size_t begun_for = 0;
  for (int i = 0; i < 10; ++i) {
    auto outcome = disk.reads.read(kFirst, next, 4'000, ++disk.token);
    if (std::holds_alternative<ReadLater>(outcome)) {
      ++begun_for;
      while (!disk.begun.empty()) disk.answer();
      outcome = std::move(*disk.answers.at(disk.token));
    } else {
      while (!disk.begun.empty()) disk.answer();
    }
    const Seen found = seen(std::get<ReadResult>(outcome));
    EXPECT_EQ(found.first, next);
    EXPECT_EQ(found.batches, 4u);
    next = found.next;
  }
  EXPECT_EQ(begun_for, 2u) << "one to begin, one that shows that there is more to come";
  EXPECT_EQ(disk.reads.hits(), 8u);
}

TEST(ColdReads, OneReadHereAndThereIsNotFollowed) {
  Disk disk(1 << 20);
  disk.fill(kFirst, 100);
  for (const int from : {0, 50, 20, 90, 21}) {
    ASSERT_TRUE(disk.read_now(kFirst, Offset(from), 4'000));
    EXPECT_TRUE(disk.begun.empty());
  }
  EXPECT_EQ(disk.reads.bytes(), 0u);
  EXPECT_EQ(disk.reads.hits(), 0u);
}

TEST(ColdReads, WhoComesTooEarlyWaitsForTheSameRead) {
  Disk disk(1 << 20);
  disk.fill(kFirst, 100);
  ASSERT_TRUE(disk.read_now(kFirst, Offset(0), 4'000));
  auto outcome = disk.reads.read(kFirst, Offset(4), 4'000, ++disk.token);
  disk.answer();
  ASSERT_EQ(disk.begun.size(), 1u);
  EXPECT_TRUE(disk.begun.front().ahead);
  EXPECT_EQ(disk.begun.front().from, Offset(8));
  // Two readers, one of which wants less.
  outcome = disk.reads.read(kFirst, Offset(8), 4'000, 101);
  ASSERT_TRUE(std::holds_alternative<ReadLater>(outcome));
  outcome = disk.reads.read(kFirst, Offset(8), 1'000, 102);
  ASSERT_TRUE(std::holds_alternative<ReadLater>(outcome));
  EXPECT_EQ(disk.hurried, std::vector{disk.begun.front().id});
  EXPECT_EQ(disk.begun.size(), 1u);
  disk.answer();
  EXPECT_EQ(seen(*disk.answers.at(101)).next, Offset(12));
  EXPECT_EQ(seen(*disk.answers.at(102)).next, Offset(9));
  // What the second left is there for it.
  outcome = disk.reads.read(kFirst, Offset(9), 2'000, ++disk.token);
  ASSERT_TRUE(std::holds_alternative<ReadResult>(outcome));
  EXPECT_EQ(seen(std::get<ReadResult>(outcome)).first, Offset(9));
}

TEST(ColdReads, NothingIsReadAheadOfWhatMemoryHoldsOrOfTheEnd) {
  Disk disk(1 << 20);
  disk.fill(kFirst, 12);
  for (const bool cached : {false, true}) {
    disk.logs[kFirst].cached = cached ? Offset(8) : Offset(12);
    ASSERT_TRUE(disk.read_now(kFirst, Offset(0), 4'000));
    ASSERT_TRUE(disk.read_now(kFirst, Offset(4), 4'000));
    while (!disk.begun.empty()) disk.answer();
    EXPECT_EQ(disk.reads.bytes() > 0, !cached);
    disk.reads.drop_kept();
    EXPECT_EQ(disk.reads.bytes(), 0u);
  }
}

TEST(ColdReads, WhatWasReadIsForgottenWithThePartitionOrItsRecords) {
  Disk disk(1 << 20);
  disk.fill(kFirst, 100);
  const auto read_ahead = [&] {
    ASSERT_TRUE(disk.read_now(kFirst, Offset(0), 4'000));
    ASSERT_TRUE(disk.read_now(kFirst, Offset(4), 4'000));
    ASSERT_GT(disk.reads.bytes(), 0u);
  };
  read_ahead();
  disk.reads.forget(kFirst, Offset(11));
  EXPECT_GT(disk.reads.bytes(), 0u) << "a record of it is left";
  disk.reads.forget(PartitionId(2));
  EXPECT_GT(disk.reads.bytes(), 0u);
  disk.reads.forget(kFirst, Offset(12));
  EXPECT_EQ(disk.reads.bytes(), 0u);
  read_ahead();
  disk.reads.forget(kFirst);
  EXPECT_EQ(disk.reads.bytes(), 0u);
  // Under way when the topic is deleted.
  ASSERT_TRUE(disk.read_now(kFirst, Offset(0), 4'000));
  static_cast<void>(disk.reads.read(kFirst, Offset(4), 4'000, ++disk.token));
  disk.answer();
  ASSERT_EQ(disk.begun.size(), 1u);
  disk.logs.clear();
  disk.reads.forget(kFirst);
  disk.answer();
  EXPECT_EQ(disk.reads.bytes(), 0u);
}

TEST(ColdReads, ADamagedPlaceIsToldToWhoAsksForIt) {
  Disk disk(1 << 20);
  disk.fill(kFirst, 100);
  ASSERT_TRUE(disk.read_now(kFirst, Offset(0), 4'000));
  static_cast<void>(disk.reads.read(kFirst, Offset(4), 4'000, ++disk.token));
  disk.answer();
  ASSERT_EQ(disk.begun.size(), 1u);
  const ColdRead ahead = disk.begun.front();
  disk.begun.clear();
  const auto failed = [&](const ColdRead& read) {
    disk.reads.ended({read.id, kFirst, fail(ErrorCode::kCorruptStorage, "there"), read.from},
                     [&](ReadToken token, Result<ReadResult> told) {
                       disk.answers.emplace(token, std::move(told));
                     });
  };
  failed(ahead);
  EXPECT_EQ(disk.reads.bytes(), 0u);
  const auto outcome = disk.reads.read(kFirst, Offset(8), 4'000, ++disk.token);
  ASSERT_TRUE(std::holds_alternative<ReadLater>(outcome));
  ASSERT_EQ(disk.begun.size(), 1u) << "it is read again";
  failed(disk.begun.front());
  EXPECT_EQ(disk.answers.at(disk.token).error().code, ErrorCode::kCorruptStorage);
}

// More readers than there is room for: each finds its own, or reads by itself, and none drives out
// another's. Readers that are gone do not keep the room for ever.
TEST(ColdReads, ReadersThatAreTooManyDoNotReadInVain) {
  Disk disk(64 << 10);  // four reads
  constexpr int kReaders = 20;
  for (std::uint32_t id = 1; id <= kReaders; ++id) disk.fill(PartitionId(id), 400);
  std::map<std::uint32_t, Offset> at;
  std::size_t bytes_read = 0, bytes_taken = 0;
  const auto turn = [&](std::uint32_t first) {
    for (std::uint32_t id = first; id <= kReaders; ++id) {
      auto outcome = disk.reads.read(PartitionId(id), at[id], 8'000, ++disk.token);
      for (; !disk.begun.empty(); disk.answer()) bytes_read += 8'000;
      if (std::holds_alternative<ReadLater>(outcome))
        outcome = std::move(*disk.answers.at(disk.token));
      at[id] = seen(std::get<ReadResult>(outcome)).next;
      bytes_taken += 8'000;
      EXPECT_LE(disk.reads.bytes(), 64u << 10);
    }
  };
  for (int i = 0; i < 15; ++i) turn(1);
  EXPECT_LT(bytes_read, bytes_taken + bytes_taken / 3);
  const std::uint64_t before = disk.reads.hits();
  EXPECT_GT(before, 15u);
  for (int i = 0; i < 15; ++i) turn(10);  // the first nine have gone
  EXPECT_GT(disk.reads.hits(), before + 15);
}

TEST(ColdReads, RandomReadersGetWhatADiskHolds) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const std::size_t budget = (16 << 10) + random.below(256 << 10);
    Disk disk(budget);
    const auto partition = [&] { return PartitionId(static_cast<std::uint32_t>(random.below(3))); };
    struct Reader {
      PartitionId id;
      Offset next{0};
      std::size_t max_bytes;
      ReadToken waits = 0;
    };
    std::vector<Reader> readers(6);
    const auto restart = [&](Reader& reader) {
      reader = {partition(), Offset(0), 1 + random.below(40'000), 0};
    };
    for (Reader& reader : readers) restart(reader);
    const auto take = [&](Reader& reader, const Result<ReadResult>& result) {
      reader.waits = 0;
      if (!result) {
        ASSERT_EQ(result.error().code, ErrorCode::kOffsetOutOfRange);
        return restart(reader);
      }
      const Seen found = seen(*result);
      if (found.batches == 0) return restart(reader);  // the partition went
      ASSERT_LE(found.first, reader.next);
      ASSERT_GT(found.next, reader.next);
      ASSERT_TRUE(found.batches == 1 || found.bytes <= reader.max_bytes);
      reader.next = found.next;
    };
    const auto collect = [&] {
      for (Reader& reader : readers)
        if (const auto at = disk.answers.find(reader.waits); at != disk.answers.end())
          take(reader, std::exchange(at->second, ReadResult{}));
    };
    for (int step = 0; step < 400; ++step) {
      const auto what = random.below(100);
      if (what < 15) {
        disk.fill(partition(), 1 + static_cast<int>(random.below(8)),
                  1 + static_cast<int>(random.below(20)));
      } else if (what < 17) {
        const PartitionId id = partition();
        disk.logs.erase(id);
        disk.reads.forget(id);
      } else if (what < 22) {
        const PartitionId id = partition();
        auto& log = disk.logs[id];
        log.start =
            Offset(log.start.value + static_cast<std::int64_t>(random.below(
                                         static_cast<std::uint64_t>(log.end - log.start) + 1)));
        disk.reads.forget(id, log.start);
      } else if (what < 24) {
        disk.logs[partition()].cached = Offset(static_cast<std::int64_t>(random.below(300)));
      } else if (what < 25) {
        disk.reads.drop_kept();
      } else if (what < 55 && !disk.begun.empty()) {
        disk.answer(random.below(disk.begun.size()));
        collect();
      } else {
        Reader& reader = readers[random.below(readers.size())];
        if (random.below(40) == 0) restart(reader);
        const auto range = disk.range(reader.id);
        if (reader.waits || reader.next >= range.end) continue;
        reader.next = std::max(reader.next, range.first);
        auto outcome = disk.reads.read(reader.id, reader.next, reader.max_bytes, ++disk.token);
        if (auto* now = std::get_if<ReadResult>(&outcome))
          take(reader, std::move(*now));
        else
          reader.waits = disk.token;
      }
      ASSERT_LE(disk.reads.bytes(), budget);
    }
    while (!disk.begun.empty()) disk.answer();
    collect();
    for (const Reader& reader : readers) EXPECT_EQ(reader.waits, 0u) << "never told";
    disk.reads.drop_kept();
    EXPECT_EQ(disk.reads.bytes(), 0u);
  }
}

// ---- on a real disk ----

// Every record says where it stands, so whatever a reader is given can be checked.
class ReadersOnDisk : public DiskStorageTest {
 protected:
  ReadersOnDisk() { memory_bytes = 8 << 20; }
  struct Reader {
    PartitionId id;
    Offset next{0};
    std::size_t max_bytes = 0;
    ReadToken waits = 0;
  };
  static std::string value_at(PartitionId id, Offset offset, std::size_t bytes) {
    std::string text = std::to_string(id.value) + ":" + std::to_string(offset.value) + ":";
    return text + std::string(bytes, static_cast<char>('a' + offset.value % 26));
  }
  void append_some(PartitionId id) {
    Offset& end = ends[id];
    RecordBatchBuilder builder;
    const auto records = 1 + random.below(20);
    const auto bytes = random.below(random.below(4) == 0 ? 8'000 : 200);
    for (std::uint64_t i = 0; i < records; ++i, end = end + 1)
      builder.append({.key = {}, .value = as_bytes(value_at(id, end, bytes))}, 1);
    if (!storage->has_room()) poll_until([this] { return storage->has_room(); });
    ASSERT_TRUE(storage->append(id, {}, builder.finish()));
  }
  void take(Reader& reader, const Result<ReadResult>& result) {
    reader.waits = 0;
    if (!result) {
      ASSERT_EQ(result.error().code, ErrorCode::kOffsetOutOfRange) << result.error().message();
      return restart(reader);
    }
    const Offset before = reader.next;
    for (const StoredBatches& stored : result->batches) check(reader, stored);
    if (reader.next == before) restart(reader);
  }
  void check(Reader& reader, const StoredBatches& stored) {
    for (Bytes rest = stored.bytes; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      ASSERT_TRUE(batch && batch->validate());
      for (const RecordView& record : *batch) {
        if (record.offset < reader.next) continue;
        ASSERT_EQ(record.offset, reader.next);
        const std::string prefix = value_at(reader.id, record.offset, 0);
        ASSERT_TRUE(as_text(*record.value).starts_with(prefix)) << prefix;
        reader.next = reader.next + 1;
      }
      rest = rest.subspan(batch->bytes().size());
    }
  }
  void restart(Reader& reader) {
    reader = {partitions[random.below(partitions.size())], Offset(0), 1'000 + random.below(100'000),
              0};
  }
  void read_on(Reader& reader) {
    if (reader.waits) return;
    const auto bounds = storage->bounds(reader.id);
    reader.next = std::max(reader.next, bounds.log_start);
    if (reader.next >= bounds.high_watermark) return restart(reader);
    auto outcome = storage->read(reader.id, reader.next, reader.max_bytes, ++token);
    if (auto* now = std::get_if<ReadResult>(&outcome)) return take(reader, std::move(*now));
    reader.waits = token;
  }
  void collect() {
    storage->poll(events);
    for (Reader& reader : readers)
      if (const auto at = events.reads.find(reader.waits); at != events.reads.end()) {
        const auto result = std::move(at->second);
        events.reads.erase(at);
        take(reader, result);
      }
  }
  bool all_told() {
    collect();
    return std::ranges::none_of(readers, [](const Reader& reader) { return reader.waits != 0; });
  }

  std::vector<PartitionId> partitions;
  std::map<PartitionId, Offset> ends;
  std::vector<Reader> readers;
};

TEST_F(ReadersOnDisk, RandomReadersGetWhatWasAppended) {
  std::uint64_t hits = 0;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    random = Random(seed);
    large_batch_bytes = seed % 2 == 0 ? 16 << 10 : StorageOptions().large_batch_bytes;
    open();
    const auto name = [&](std::size_t i) { return std::to_string(seed) + "-" + std::to_string(i); };
    partitions.clear();
    for (std::size_t i = 0; i < 4; ++i) partitions.push_back(create(name(i)));
    readers.assign(6, {});
    for (Reader& reader : readers) restart(reader);
    for (int i = 0; i < 400; ++i) append_some(partitions[random.below(partitions.size())]);
    for (int step = 0; step < 4'000 && !HasFatalFailure(); ++step) {
      const auto what = random.below(1'000);
      const std::size_t which = random.below(partitions.size());
      const PartitionId id = partitions[which];
      if (what < 250) {
        append_some(id);
      } else if (what < 255) {
        const auto bounds = storage->bounds(id);
        const auto behind = static_cast<std::uint64_t>(bounds.high_watermark - bounds.log_start);
        const auto forward = static_cast<std::int64_t>(random.below(behind / 4 + 1));
        ASSERT_TRUE(storage->move_log_start(id, bounds.log_start + forward));
      } else if (what < 256) {
        const Topic* topic = storage->find_topic(name(which));
        ASSERT_TRUE(storage->delete_topic(topic->id));
        partitions[which] = create(name(which));
        for (int i = 0; i < 50; ++i) append_some(partitions[which]);
      } else {
        read_on(readers[random.below(readers.size())]);
      }
      collect();
      ASSERT_LE(storage->memory_in_use(), memory_bytes);
    }
    poll_until([this] { return all_told(); });
    hits += storage->stats().read_ahead;
  }
  EXPECT_GT(hits, 100u) << "hardly anything was read ahead";
}

}  // namespace
}  // namespace leat::storage
