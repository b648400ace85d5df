// Which offsets a group has done: against sets of them, over rows and replays.
#include "storage/state/ack_store.h"

#include <map>

#include <gtest/gtest.h>

#include "protocol/base/random.h"
#include "storage/keys.h"
#include "tests/storage/naive_acks.h"

namespace leat::storage {
namespace {

using test::NaiveAcks;

constexpr std::string_view kGroup = "workers";
const TopicPartition kPartition{TopicId{{7}}, PartitionIndex(3)};
constexpr std::int64_t kChunk = AckChunk::kOffsets;

OffsetRange range(std::int64_t first, std::int64_t last) {
  return {Offset(first), Offset(last)};
}

// A family in memory.
struct Rows final : FamilyReader, FamilyWriter {
  void put(std::string_view key, std::string_view value) override {
    all[std::string(key)] = std::string(value);
  }
  void remove(std::string_view key) override { all.erase(std::string(key)); }
  Result<> each(
      std::string_view prefix,
      const std::function<Result<>(std::string_view, std::string_view)>& row) const override {
    for (const auto& [key, value] : all)
      if (key.starts_with(prefix))
        if (auto ok = row(key, value); !ok) return ok;
    return {};
  }
  Result<std::string> get(std::string_view key) const override {
    const auto it = all.find(std::string(key));
    return it == all.end() ? std::string() : it->second;
  }
  std::size_t count(char letter) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(all, [&](const auto& row) { return row.first[0] == letter; }));
  }

  std::map<std::string, std::string> all;
};

void probe(const PartitionAcks& acks, const NaiveAcks& model, std::int64_t at) {
  ASSERT_EQ(acks.is_done(Offset(at)), at < model.floor || model.done.contains(at)) << at;
  ASSERT_EQ(acks.next_open(Offset(at)), Offset(model.next_open(at))) << at;
  const auto done = model.done.lower_bound(at);
  ASSERT_EQ(acks.next_done(Offset(at)),
            done == model.done.end() ? std::nullopt : std::optional(Offset(*done)))
      << at;
  const auto retry = model.retries.find(at);
  ASSERT_EQ(acks.retry(Offset(at)),
            retry == model.retries.end() ? std::nullopt : std::optional(retry->second))
      << at;
}

// ---- a life: changes, rolls, crashes ----

class Life {
 public:
  explicit Life(std::uint64_t seed) : random_(seed) {}

  void step() {
    const std::uint64_t kind = random_.below(100);
    if (kind < 90) return change();
    if (kind < 93) return commit();
    if (kind < 97) return roll();
    restart();
  }
  void check() const {
    if (acks()) {
      ASSERT_EQ(difference(model_, *acks()), "");
    } else {
      ASSERT_TRUE(model_.done.empty() && model_.retries.empty());
    }
    const auto committed = offsets_.find(kGroup, kPartition.topic, kPartition.partition);
    ASSERT_EQ(committed ? committed->offset : Offset(0), Offset(model_.floor));
  }
  void probe_some() {
    for (int i = 0; i < 4 && acks(); ++i)
      ASSERT_NO_FATAL_FAILURE(probe(*acks(), model_, random_offset()));
  }

 private:
  const PartitionAcks* acks() const { return store_.find(kGroup, kPartition); }
  std::int64_t random_offset() {
    const std::int64_t near = std::max<std::int64_t>(0, model_.floor - 100);
    // Where chunks meet, now and then.
    if (random_.below(8) == 0) return (near / kChunk + 1) * kChunk - 2 + random(4);
    return near + random(random_.below(4) == 0 ? 3 * kChunk : 3'000);
  }
  std::int64_t random(std::int64_t bound) {
    return static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(bound)));
  }
  OffsetRange random_range() {
    const std::int64_t first = random_offset();
    const std::uint64_t kind = random_.below(200);
    return range(first, first + (kind == 0 ? random(kChunk * 3 / 2) : random(kind < 50 ? 700 : 3)));
  }

  void change() {
    AcksChange change{.group = kGroup, .partition = kPartition};
    for (std::uint64_t i = random_.below(4); i > 0; --i) change.done.push_back(random_range());
    // Many that are small, so that a chunk changes from runs to bits.
    for (std::uint64_t i = random_.below(10) == 0 ? 800 : 0; i > 0; --i) {
      const std::int64_t at = random_offset();
      change.done.push_back(range(at, at));
    }
    if (random_.below(4) == 0) change.done.push_back(range(model_.floor, model_.floor + random(9)));
    for (std::uint64_t i = random_.below(3); i > 0; --i)
      change.retries.push_back(
          {random_range(), {static_cast<std::uint32_t>(random_.below(3)), random(2) * 1'000}});
    const auto known = offsets_.find(kGroup, kPartition.topic, kPartition.partition);
    journal_.push_back(AcksChanged{known ? known->offset : Offset(0), change}.encode());
    apply(journal_.back(), store_, offsets_);
    model_.apply(change);
  }
  void commit() {
    const std::int64_t to = random_.below(3) == 0 ? model_.floor : random_offset();
    const OffsetCommit commit{kPartition.topic, kPartition.partition, Offset(to), "", {}};
    journal_.push_back(OffsetsCommitted::encode(kGroup, {&commit, 1}));
    apply(journal_.back(), store_, offsets_);
    OffsetStore::persist(*OffsetsCommitted::decode(journal_.back().body), rows_);
    if (to != model_.floor) model_ = NaiveAcks{.floor = to};
  }
  void roll() {
    store_.persist_changes(rows_);
    journal_.clear();
  }
  // Commits may be in files already that lie behind what acks are.
  void restart() {
    store_ = AckStore();
    offsets_ = OffsetStore();
    ASSERT_TRUE(store_.load(rows_));
    ASSERT_TRUE(offsets_.load(rows_));
    for (const JournalEntry& entry : journal_) apply(entry, store_, offsets_);
  }
  static void apply(const JournalEntry& entry, AckStore& store, OffsetStore& offsets) {
    if (entry.kind == static_cast<std::uint16_t>(EntryKind::kAcksChanged))
      return offsets.apply(store.apply(*AcksChanged::of(entry)));
    const auto committed = OffsetsCommitted::decode(entry.body);
    offsets.apply(*committed);
    store.apply(*committed);
  }

  Random random_;
  NaiveAcks model_;
  AckStore store_;
  OffsetStore offsets_;
  Rows rows_;
  std::vector<JournalEntry> journal_;  // since the newest roll
};

TEST(AckStore, AgreesWithSetsOverRollsAndRestarts) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Life life(seed);
    for (int i = 0; i < 150; ++i) {
      life.step();
      ASSERT_NO_FATAL_FAILURE(life.probe_some());
      if (i % 25 == 0) {
        ASSERT_NO_FATAL_FAILURE(life.check());
      }
    }
    ASSERT_NO_FATAL_FAILURE(life.check());
  }
}

// ---- how much it takes ----

void apply(AckStore& store, std::vector<OffsetRange> done,
           std::vector<std::pair<OffsetRange, Retry>> retries = {}) {
  store.apply({Offset(0), {kGroup, kPartition, std::move(done), std::move(retries)}});
}

TEST(AckStore, TenMillionOpenOffsetsTakeLittleMoreThanABitEach) {
  constexpr std::int64_t kOffsets = 10'000'000;
  AckStore store;
  std::vector<OffsetRange> done;
  for (std::int64_t i = 1; i < kOffsets; i += 2) done.push_back(range(i, i));
  apply(store, std::move(done));
  const PartitionAcks& acks = *store.find(kGroup, kPartition);
  EXPECT_EQ(acks.floor(), Offset(0));
  EXPECT_EQ(acks.done_above_floor(), static_cast<std::uint64_t>(kOffsets / 2));
  EXPECT_LT(acks.memory_bytes(), 1'350'000u);
  // Where everything but the floor is done next to nothing is held, and none of it is looked at.
  apply(store, {range(1, kOffsets)});
  EXPECT_LT(acks.memory_bytes(), 35'000u);
  EXPECT_EQ(acks.next_open(Offset(1)), Offset(kOffsets + 1));
  apply(store, {range(0, 0)});
  EXPECT_EQ(acks.floor(), Offset(kOffsets + 1));
  EXPECT_EQ(acks.done_above_floor(), 0u);
  EXPECT_EQ(acks.memory_bytes(), 0u);
}

TEST(AckStore, RowsAreOfWhatHasChangedAndGoWithTheFloor) {
  AckStore store;
  Rows rows;
  apply(store, {range(5, 5), range(kChunk + 5, kChunk + 5), range(2 * kChunk, 2 * kChunk)});
  store.persist_changes(rows);
  EXPECT_EQ(rows.count('a'), 4u);  // the floor's and those of three chunks
  rows.all.clear();
  apply(store, {}, {{range(kChunk + 6, kChunk + 7), {1, 1'000}}});
  store.persist_changes(rows);
  EXPECT_EQ(rows.count('a'), 2u);
  EXPECT_EQ(rows.count('c'), 1u);
  rows.all.clear();
  store.persist_changes(rows);
  EXPECT_TRUE(rows.all.empty());
}

TEST(AckStore, WhatIsForgottenTakesItsRowsAlong) {
  const OffsetCommit commit{kPartition.topic, kPartition.partition, Offset(3), "", {}};
  const std::vector<std::function<void(AckStore&)>> ways = {
      [](AckStore& store) { store.apply(GroupDeleted{kGroup}); },
      [](AckStore& store) {
        store.apply(TopicDeleted{kPartition.topic,
                                 {PartitionId(1), PartitionId(2), PartitionId(3), PartitionId(4)}});
      },
      [&](AckStore& store) {
        store.apply(OffsetsCommitted{kGroup, {commit}});
      }};
  for (const auto& forget : ways) {
    AckStore store;
    Rows rows;
    apply(store, {range(5, 5), range(kChunk, kChunk)});
    store.persist_changes(rows);
    AckStore loaded;
    ASSERT_TRUE(loaded.load(rows));
    forget(loaded);
    EXPECT_EQ(loaded.find(kGroup, kPartition), nullptr);
    loaded.persist_changes(rows);
    EXPECT_EQ(rows.count('a'), 0u);
  }
}

// A repair copies what can be read.
TEST(AckStore, ChunksWhoseFloorIsLostAreNotBelieved) {
  AckStore store;
  Rows rows;
  apply(store, {range(5, 5), range(kChunk, kChunk)});
  store.persist_changes(rows);
  std::erase_if(rows.all, [](const auto& row) {
    return row.first == keys::acks(kGroup, kPartition.topic, kPartition.partition);
  });
  AckStore loaded;
  ASSERT_TRUE(loaded.load(rows));
  EXPECT_EQ(loaded.find(kGroup, kPartition), nullptr);
  loaded.persist_changes(rows);
  EXPECT_EQ(rows.count('a'), 0u);
}

TEST(AckStore, RowsThatAreCutOffAreRefused) {
  AckStore store;
  Rows rows;
  apply(store, {range(5, 5), range(9, 70)}, {{range(100, 200), {3, 1'700'000'000'000}}});
  store.persist_changes(rows);
  for (const auto& [key, value] : rows.all) {
    if (key[0] != 'a') continue;
    // A whole retry may be missing at the end: a row says nothing of its length.
    for (std::size_t bytes = 0; bytes < value.size(); ++bytes) {
      Rows cut = rows;
      cut.all[key] = value.substr(0, bytes);
      AckStore loaded;
      if (auto ok = loaded.load(cut); !ok) {
        EXPECT_EQ(ok.error(), ErrorCode::kCorruptStorage);
      } else {
        EXPECT_TRUE(loaded.find(kGroup, kPartition)->retries().empty());
      }
    }
  }
}

// ---- entries ----

AcksChanged example() {
  return {Offset(1'000'000),
          {kGroup,
           kPartition,
           {range(1'000'001, 1'000'001), range(1'000'003, 1'000'900), range(7, 8)},
           {{range(1'000'002, 1'000'002), {4, 1'700'000'000'123}}, {range(0, 6), {1, -5}}}}};
}

void expect_same(const AcksChanged& a, const AcksChanged& b) {
  EXPECT_EQ(a.floor, b.floor);
  EXPECT_EQ(a.change.group, b.change.group);
  EXPECT_EQ(a.change.partition, b.change.partition);
  EXPECT_EQ(a.change.done, b.change.done);
  EXPECT_EQ(a.change.retries, b.change.retries);
}

TEST(AcksChanged, ReadsBackAsWritten) {
  const AcksChanged changed = example();
  const JournalEntry entry = changed.encode();
  EXPECT_LT(entry.body.size(), 65u);
  const auto read = AcksChanged::of(entry);
  ASSERT_TRUE(read);
  expect_same(*read, changed);
}

TEST(AcksChanged, StandsBehindABatch) {
  RecordBatchBuilder builder;
  builder.append({.key = {}, .value = as_bytes("letter")}, 1);
  const auto batch = builder.take();
  const AcksChanged changed = example();
  const JournalEntry entry = changed.encode_with(PartitionId(9), Offset(5), LeaderEpoch(2), batch);
  EXPECT_EQ(entry.kind, static_cast<std::uint16_t>(EntryKind::kDeadLettered));
  const auto read = AcksChanged::of(entry);
  ASSERT_TRUE(read);
  expect_same(*read, changed);
  const auto records = RecordsAppended::decode(entry);
  ASSERT_TRUE(records);
  EXPECT_EQ(records->partition, PartitionId(9));
  const auto view = RecordBatchView::parse(records->batch);
  ASSERT_TRUE(view && view->validate());
  EXPECT_EQ(view->base_offset(), Offset(5));
  for (std::size_t bytes = 0; bytes < entry.body.size(); ++bytes) {
    JournalEntry cut = entry;
    cut.body = entry.body.first(bytes);
    const auto malformed = AcksChanged::of(cut);
    const bool batch_left =
        malformed && RecordBatchView::parse(RecordsAppended::decode(cut)->batch);
    EXPECT_FALSE(batch_left) << bytes;
  }
}

TEST(AcksChanged, MalformedBodiesAreRefused) {
  const JournalEntry entry = example().encode();
  const auto refused = [](Bytes body) {
    const auto read = AcksChanged::decode(body);
    return !read && read.error() == ErrorCode::kCorruptStorage;
  };
  for (std::size_t bytes = 0; bytes < entry.body.size(); ++bytes)
    EXPECT_TRUE(refused(entry.body.first(bytes))) << bytes;
  std::vector<std::byte> longer(entry.body.begin(), entry.body.end());
  longer.push_back({});
  EXPECT_TRUE(refused(longer));

  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const auto body = [](std::int64_t partition, std::int64_t floor, std::int64_t ranges,
                       std::int64_t between, std::int64_t more, std::int64_t tried) {
    EntryWriter writer;
    writer.text(kGroup).id(kPartition.topic).varint(partition).varint(floor).varint(ranges);
    writer.varint(between).varint(more).varint(tried);
    return writer.take();
  };
  EXPECT_FALSE(refused(body(0, 5, 1, 0, 0, 0)));
  EXPECT_FALSE(refused(body(0, 5, 1, kMost - 6, 0, 0)));
  EXPECT_TRUE(refused(body(-1, 5, 1, 0, 0, 0)));
  EXPECT_TRUE(refused(body(std::int64_t{1} << 31, 5, 1, 0, 0, 0)));
  EXPECT_TRUE(refused(body(0, 5, -1, 0, 0, 0)));
  EXPECT_TRUE(refused(body(0, 5, 1, -6, 0, 0)));         // begins below 0
  EXPECT_TRUE(refused(body(0, 5, 1, kMost - 4, 0, 0)));  // beyond what there is
  EXPECT_TRUE(refused(body(0, 5, 1, kMost - 5, 0, 0)));  // nothing would lie behind it
  EXPECT_TRUE(refused(body(0, 5, 1, 0, -1, 0)));
  EXPECT_TRUE(refused(body(0, 5, 1, 0, kMost, 0)));
  EXPECT_TRUE(refused(body(0, 5, 1, 0, 0, 1)));
  EXPECT_TRUE(refused(body(0, 5, 1, 0, 0, -1)));
}

// Whatever the bytes: an error or a change, and nothing else.
TEST(AcksChanged, AnyBytesAreReadWithinBounds) {
  Random random(11);
  const JournalEntry entry = example().encode();
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::byte> body(entry.body.begin(), entry.body.end());
    for (std::uint64_t n = 1 + random.below(4); n > 0; --n)
      body[random.below(body.size())] = static_cast<std::byte>(random.next());
    const auto read = AcksChanged::decode(body);
    if (!read) continue;
    for (const OffsetRange& done : read->change.done)
      ASSERT_TRUE(done.first >= Offset(0) && done.first <= done.last);
  }
}

}  // namespace
}  // namespace leat::storage
