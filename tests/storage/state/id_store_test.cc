// Message ids in memory and in rows, against a list of all that ever came: through random
// histories, with restarts that find the rows as of any moment and replay more than they need to.
#include "storage/state/id_store.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "protocol/base/random.h"
#include "protocol/record_batch.h"
#include "storage/keys.h"
#include "storage/partition_log.h"
#include "storage/state/id_rows.h"

namespace leat::storage {
namespace {

using std::chrono::milliseconds;

struct Rows final : FamilyReader, FamilyWriter {
  void put(std::string_view key, std::string_view value) override {
    rows.insert_or_assign(std::string(key), std::string(value));
  }
  void remove(std::string_view key) override { rows.erase(std::string(key)); }
  Result<> each(
      std::string_view prefix,
      const std::function<Result<>(std::string_view, std::string_view)>& row) const override {
    for (auto it = rows.lower_bound(prefix); it != rows.end() && it->first.starts_with(prefix);
         ++it)
      if (auto ok = row(it->first, it->second); !ok) return ok;
    return {};
  }
  Result<std::string> get(std::string_view key) const override {
    const auto it = rows.find(key);
    return it == rows.end() ? std::string() : it->second;
  }
  std::map<std::string, std::string, std::less<>> rows;
};

std::vector<std::byte> batch_of(std::size_t records) {
  RecordBatchBuilder builder;
  for (std::size_t i = 0; i < records; ++i) builder.append({.key = {}, .value = Bytes()}, 1);
  return builder.take();
}

// One thread is the shard and the store: what the store has applied lags behind.
class Machine {
 public:
  explicit Machine(std::uint64_t limit) : limit_(limit) {}

  const JournalEntry* append(PartitionId partition, Offset base, const NewIds& ids,
                             std::size_t records) {
    const auto added = ids_.decide(partition, ids);
    if (!added) return nullptr;
    JournalEntry entry = RecordsAppended::encode(partition, base, LeaderEpoch(1), batch_of(records),
                                                 EntryKind::kRecordsWithIds, added->encode());
    return take(std::move(entry));
  }
  void delete_topic(PartitionId partition) {
    take(TopicDeleted{.id = {}, .partitions = {partition}}.encode());
  }
  // The store's next entries.
  void apply(std::size_t entries) {
    for (; entries > 0 && applied_ < entries_.size(); --entries) {
      with(entries_[applied_++], [this](const auto& what) { store(what); });
      if (entries % 3 == 0) flush();
    }
    ids_.applied(JournalPosition(applied_));
  }
  void roll() {
    store_.persist_changes(rows_);
    persisted_ = applied_;
    if (rolls_++ % 2 == 0) flush();
  }
  // A start from what has been flushed. What the store has not applied may be lost with the
  // journal's tail. Returns how many entries are there.
  std::size_t restart(Random& random) {
    entries_.resize(applied_ + random.below(entries_.size() - applied_ + 1));
    rows_ = flushed_;
    ids_ = IdStore(limit_);
    store_ = IdRows();
    reader_ = reader();
    EXPECT_TRUE(ids_.load(rows_));
    EXPECT_TRUE(store_.load(rows_));
    const std::size_t from = random.below(flushed_position_ + 1);
    for (int time = 0; time < 2; ++time)
      for (applied_ = from; applied_ < entries_.size(); ++applied_) {
        const JournalPosition position(applied_ + 1);
        with(entries_[applied_], [&](const auto& what) {
          shard(what, position);
          store(what);
        });
        ids_.applied(position);
      }
    persisted_ = flushed_position_;
    return entries_.size();
  }
  KnownIds find(PartitionId partition, const IdWindow& window, std::span<const IdHash> ids,
                WallTime now) {
    auto search = ids_.find(partition, window, ids, now);
    looks += search.looks.size();
    auto known = reader_.run(std::move(search));
    EXPECT_TRUE(known);
    return *known;
  }
  std::uint64_t size() const { return ids_.size(); }
  std::size_t rows() const { return rows_.rows.size(); }
  const std::vector<JournalEntry>& entries() const { return entries_; }
  std::size_t looks = 0;

 private:
  const JournalEntry* take(JournalEntry entry) {
    entries_.push_back(std::move(entry));
    with(entries_.back(),
         [this](const auto& what) { shard(what, JournalPosition(entries_.size())); });
    return &entries_.back();
  }
  template <class Apply>
  static void with(const JournalEntry& entry, Apply apply) {
    if (static_cast<EntryKind>(entry.kind) == EntryKind::kTopicDeleted)
      apply(*TopicDeleted::decode(entry.body));
    else
      apply(*IdsAdded::of(entry));
  }
  void shard(const IdsAdded& added, JournalPosition position) { ids_.apply(added, position); }
  void shard(const TopicDeleted& deleted, JournalPosition) { ids_.apply(deleted); }
  void store(const IdsAdded& added) { store_.apply(added, rows_); }
  void store(const TopicDeleted& deleted) { store_.persist(deleted, rows_); }
  // RocksDB may do so by itself: rows and position are of one moment, whatever that is.
  void flush() {
    flushed_ = rows_;
    flushed_position_ = persisted_;
  }

  IdRowSearch reader() {
    return IdRowSearch([this](PartitionId partition, std::uint64_t block) {
      return rows_.get(keys::ids(partition, block));
    });
  }

  const std::uint64_t limit_;
  std::vector<JournalEntry> entries_;
  IdStore ids_{limit_};
  IdRows store_;
  Rows rows_, flushed_;
  std::size_t applied_ = 0, persisted_ = 0, flushed_position_ = 0;
  int rolls_ = 0;
  IdRowSearch reader_ = reader();
};

// Everything that ever came, by the entries.
struct Model {
  struct Partition {
    std::vector<KnownId> all;  // by number
    std::uint64_t floor = 0;
  };
  std::map<PartitionId, Partition> partitions;

  void apply(const JournalEntry& entry) {
    if (static_cast<EntryKind>(entry.kind) == EntryKind::kTopicDeleted) {
      partitions.erase(TopicDeleted::decode(entry.body)->partitions.front());
      return;
    }
    const auto added = IdsAdded::of(entry);
    Partition& partition = partitions[added->partition];
    ASSERT_GE(added->floor, partition.floor);
    partition.floor = added->floor;
    partition.all.resize(added->first);
    for (std::uint64_t number = added->first; number < added->next(); ++number)
      partition.all.push_back(added->known(number));
  }
  std::optional<Offset> find(PartitionId id, const IdWindow& window, const IdHash& hash,
                             WallTime now) const {
    const auto it = partitions.find(id);
    if (it == partitions.end() || window.off()) return std::nullopt;
    const auto& [all, floor] = it->second;
    for (std::uint64_t number = all.size(); number-- > floor;) {
      if (all[number].id != hash) continue;
      const bool known =
          all.size() - number <= window.ids &&
          now.time_since_epoch().count() - all[number].appended_ms <= window.time.count();
      return known ? std::optional(all[number].offset) : std::nullopt;
    }
    return std::nullopt;
  }
  std::uint64_t size() const {
    std::uint64_t size = 0;
    for (const auto& [id, partition] : partitions) size += partition.all.size() - partition.floor;
    return size;
  }
};

class History {
 public:
  explicit History(std::uint64_t seed)
      : random_(seed), limit_(random_.below(3) == 0 ? 3'000 : 1'000'000), machine_(limit_) {}

  void run() {
    for (int step = 0; step < 400 && !::testing::Test::HasFatalFailure(); ++step) {
      const std::uint64_t kind = random_.below(100);
      now_ += milliseconds(random_.below(100));
      if (kind < 50)
        append();
      else if (kind < 75)
        machine_.apply(random_.below(20));
      else if (kind < 80)
        machine_.roll();
      else if (kind < 84)
        restart();
      else if (kind < 85)
        delete_topic();
      else
        find();
      ASSERT_EQ(machine_.size(), model_.size());
      ASSERT_LE(machine_.size(), limit_);
    }
  }
  std::size_t looks() const { return machine_.looks; }

 private:
  PartitionId random_partition() { return partitions_[random_.below(partitions_.size())]; }
  void delete_topic() {
    PartitionId& partition = partitions_[random_.below(partitions_.size())];
    machine_.delete_topic(partition);
    partition = PartitionId(next_partition_++);  // never used again (rule 7)
    see();
  }
  IdWindow random_window() {
    if (random_.below(20) == 0) return {};
    return {milliseconds(1 + random_.below(10'000)), 1 + random_.below(5'000)};
  }
  // Ids are few, so that some come again.
  IdHash random_hash() {
    const std::uint64_t n = random_.below(20'000);
    return hash_of(TopicId{}, as_bytes(std::to_string(n)));
  }

  void append() {
    const PartitionId id = random_partition();
    const IdWindow window = random_window();
    std::vector<RecordId> ids;
    const std::uint64_t records = random_.below(8) == 0 ? random_.below(3'000) : random_.below(60);
    for (std::uint64_t i = 0; i < records; ++i)
      if (random_.below(10) != 0) ids.push_back({static_cast<std::int32_t>(i), random_hash()});
    const auto before = model_.partitions[id];
    const auto* entry = machine_.append(id, Offset(next_), {ids, now_, window}, records + 1);
    next_ += static_cast<std::int64_t>(records) + 1;
    see();
    const auto& after = model_.partitions[id];
    if (!entry) return;
    const std::uint64_t known = after.all.size() - after.floor;
    if (window.off()) {
      ASSERT_EQ(known, 0u);
      return;
    }
    ASSERT_LE(known, window.ids);
    // What the window holds is still known, unless all partitions together know too much.
    if (machine_.size() == limit_ || known == window.ids) return;
    for (std::uint64_t number = before.floor;
         number < std::min<std::uint64_t>(after.floor, before.all.size()); ++number)
      ASSERT_GT((now_ - WallTime()).count() - before.all[number].appended_ms, window.time.count());
  }
  void see() {
    for (; seen_ < machine_.entries().size(); ++seen_) model_.apply(machine_.entries()[seen_]);
  }
  void restart() {
    const std::size_t left = machine_.restart(random_);
    model_ = {};
    for (seen_ = 0; seen_ < left;) see();
    find();
  }
  void find() {
    const PartitionId id = random_partition();
    const IdWindow window = random_window();
    std::vector<IdHash> ids;
    for (std::uint64_t i = random_.below(200); i > 0; --i) ids.push_back(random_hash());
    const auto found = machine_.find(id, window, ids, now_);
    for (std::size_t i = 0; i < ids.size(); ++i)
      ASSERT_EQ(found[i], model_.find(id, window, ids[i], now_)) << i;
  }

  Random random_;
  const std::uint64_t limit_;
  Machine machine_;
  Model model_;
  WallTime now_{std::chrono::hours(1)};
  std::vector<PartitionId> partitions_{PartitionId(1), PartitionId(2), PartitionId(3)};
  std::uint32_t next_partition_ = 4;
  std::int64_t next_ = 0;
  std::size_t seen_ = 0;
};

TEST(IdStore, KnowsWhatAListWouldThroughRandomHistories) {
  std::size_t looks = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    History history(seed);
    history.run();
    if (HasFatalFailure()) return;
    looks += history.looks();
  }
  EXPECT_GT(looks, 1'000u);  // rows were asked, too
}

// ---- by hand ----

constexpr PartitionId kPartition{7};
constexpr IdWindow kHour{std::chrono::hours(1), 1'000'000};

std::vector<RecordId> ids_from(std::uint64_t first, std::size_t count) {
  std::vector<RecordId> ids;
  for (std::size_t i = 0; i < count; ++i)
    ids.push_back({static_cast<std::int32_t>(i), {first + i, ~(first + i)}});
  return ids;
}
IdHash id(std::uint64_t n) {
  return {n, ~n};
}
IdsAdded decided(const IdStore& store, std::span<const RecordId> ids, const IdWindow& window,
                 WallTime now = WallTime()) {
  const auto added = store.decide(kPartition, {ids, now, window});
  EXPECT_TRUE(added);
  return added.value_or(IdsAdded());
}
std::optional<Offset> found(const IdStore& store, std::uint64_t n, IdWindow window = kHour,
                            WallTime now = WallTime()) {
  const IdHash hash = id(n);
  return store.find(kPartition, window, {&hash, 1}, now).known[0];
}

TEST(IdStore, HoldsItsLimitAtThePriceOfWhoAdds) {
  IdStore store(100);
  auto other = decided(store, ids_from(0, 40), kHour);
  other.partition = PartitionId(8);
  store.apply(other, JournalPosition(1));
  store.apply(decided(store, ids_from(1'000, 50), kHour), JournalPosition(2));
  store.apply(decided(store, ids_from(2'000, 20), kHour), JournalPosition(3));
  EXPECT_EQ(store.size(), 100u);
  EXPECT_FALSE(found(store, 1'009));
  EXPECT_TRUE(found(store, 1'010));
  EXPECT_TRUE(found(store, 2'019));
  // More than there is room for: the newest.
  store.apply(decided(store, ids_from(3'000, 200), kHour), JournalPosition(4));
  EXPECT_EQ(store.size(), 100u);
  EXPECT_FALSE(found(store, 3'139));
  EXPECT_TRUE(found(store, 3'140));
  // A third has nothing that it could forget.
  const auto ids = ids_from(5'000, 3);
  EXPECT_FALSE(store.decide(PartitionId(9), {ids, WallTime(), kHour}));
}

TEST(IdStore, KnowsAsLongAsBothTimeAndCountHold) {
  IdStore store(1'000);
  store.apply(decided(store, ids_from(0, 10), kHour, WallTime(milliseconds(1'000))),
              JournalPosition(1));
  store.apply(decided(store, ids_from(10, 10), kHour, WallTime(milliseconds(2'000))),
              JournalPosition(2));
  const WallTime at(milliseconds(2'500));
  EXPECT_TRUE(found(store, 0, {milliseconds(1'500), 20}, at));
  EXPECT_FALSE(found(store, 0, {milliseconds(1'499), 20}, at));
  EXPECT_TRUE(found(store, 10, {milliseconds(1'499), 20}, at));
  EXPECT_FALSE(found(store, 9, {milliseconds(1'500), 10}, at));
  EXPECT_TRUE(found(store, 10, {milliseconds(1'500), 10}, at));
  EXPECT_FALSE(found(store, 19, {}, at));
  // A window that was shorter for a while has forgotten for good.
  store.apply(decided(store, ids_from(20, 1), {std::chrono::hours(1), 5}, at), JournalPosition(3));
  EXPECT_FALSE(found(store, 15, kHour, at));
  EXPECT_TRUE(found(store, 16, kHour, at));
  EXPECT_EQ(store.size(), 5u);
  // One that is off forgets all, and says so once.
  store.apply(decided(store, {}, {}, at), JournalPosition(4));
  EXPECT_EQ(store.size(), 0u);
  EXPECT_FALSE(store.decide(kPartition, {{}, at, IdWindow()}));
}

// Whoever sends a long run again, some at a time, has each row read once.
TEST(IdRowSearch, ReadsARowOnceForARunOfIds) {
  constexpr std::uint64_t kIds = 4 * kBlockIds;
  IdStore store(100'000);
  IdRows rows_of;
  Rows rows;
  const auto added = decided(store, ids_from(0, kIds), kHour);
  store.apply(added, JournalPosition(1));
  rows_of.apply(added, rows);
  EXPECT_TRUE(found(store, 0));  // memory, until the rows are there
  store.applied(JournalPosition(1));
  std::size_t read = 0;
  IdRowSearch search([&](PartitionId partition, std::uint64_t block) {
    ++read;
    return rows.get(keys::ids(partition, block));
  });
  for (std::uint64_t n = 0; n < kIds; n += 64) {
    std::vector<IdHash> ids;
    for (std::uint64_t i = n; i < n + 64; ++i) ids.push_back(id(i));
    const auto known = search.run(store.find(kPartition, kHour, ids, WallTime()));
    ASSERT_TRUE(known);
    for (std::size_t i = 0; i < ids.size(); ++i)
      ASSERT_EQ((*known)[i], Offset(static_cast<std::int64_t>(n + i)));
  }
  EXPECT_EQ(read, kIds / kBlockIds);
}

TEST(IdsAdded, RefusesWhatIsMalformed) {
  const auto ids = ids_from(0, 3);
  const IdsAdded added{.partition = kPartition, .first = 5, .floor = 2, .ids = ids};
  const auto entry_of = [](const std::vector<std::byte>& behind, std::size_t records = 3) {
    return RecordsAppended::encode(kPartition, Offset(9), LeaderEpoch(1), batch_of(records),
                                   EntryKind::kRecordsWithIds, behind);
  };
  auto behind = added.encode();
  const auto whole = IdsAdded::of(entry_of(behind));
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->floor, 2u);
  EXPECT_EQ(whole->known(7), (KnownId{ids[2].id, Offset(11), 0}));
  EXPECT_FALSE(IdsAdded::of(entry_of(behind, 2)));  // one is of no record of the batch
  for (std::size_t size = 0; size < behind.size(); ++size) {
    const std::vector<std::byte> cut(behind.begin(),
                                     behind.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(IdsAdded::of(entry_of(cut))) << size;
  }
  behind.push_back(std::byte{0});
  EXPECT_FALSE(IdsAdded::of(entry_of(behind)));
}

TEST(IdBlock, IsARowAndBack) {
  IdBlock block{.first = 3 * kBlockIds + 10, .ids = {}};
  for (std::uint64_t i = 0; i < 100; ++i)
    block.ids.push_back({id(i), Offset(static_cast<std::int64_t>(1'000'000'000'000 + i * i)),
                         i < 50 ? 1'000 : 900});
  const std::string row = block.encode();
  EXPECT_LT(row.size(), 100 * 18u + 30);
  const auto read = IdBlock::decode(3, row);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->first, block.first);
  EXPECT_EQ(read->ids, block.ids);
  for (std::size_t size = 0; size < row.size(); ++size)
    EXPECT_FALSE(IdBlock::decode(3, row.substr(0, size))) << size;
  block.first = 4 * kBlockIds - 99;  // a hundred do not fit in there
  EXPECT_FALSE(IdBlock::decode(3, block.encode()));
}

}  // namespace
}  // namespace leat::storage
