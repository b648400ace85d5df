// What stands behind delivery by key: the tables, and the order of keys, by themselves.
#include "server/broker/delivery/keyed_records.h"

#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "protocol/base/random.h"

namespace leat::broker {
namespace {

constexpr MemberKey kOne{ConnectionId(1), 1}, kTwo{ConnectionId(2), 1};
constexpr MonotonicTime kSoon{std::chrono::seconds(1)}, kLater{std::chrono::seconds(2)};

TEST(IndexTable, FindsWhatAMapFinds) {
  Random random(1);
  IndexTable table;
  std::map<std::uint64_t, std::uint32_t> model;
  for (int i = 0; i < 100'000; ++i) {
    // Now many, now few, so that it grows and shrinks.
    const std::uint64_t key = random.below(i % 40'000 < 20'000 ? 5'000 : 50);
    ASSERT_EQ(table.find(key), model.contains(key) ? model[key] : IndexTable::kNone);
    if (model.erase(key)) {
      table.erase(key);
    } else if (model.size() < 4'000) {
      model[key] = static_cast<std::uint32_t>(i);
      table.insert(key, static_cast<std::uint32_t>(i));
    }
    ASSERT_EQ(table.size(), model.size());
    if (i % 40'000 == 39'999)
      while (!model.empty()) {
        table.erase(model.begin()->first);
        model.erase(model.begin());
      }
  }
}

TEST(ByOffset, KeepsNumbersWhileOthersComeAndGo) {
  Random random(2);
  ByOffset<int> things;
  std::map<std::int64_t, std::pair<std::uint32_t, int>> model;
  for (int i = 0; i < 50'000; ++i) {
    const auto offset = static_cast<std::int64_t>(random.below(300));
    const auto known = model.find(offset);
    ASSERT_EQ(things.find(Offset(offset)),
              known == model.end() ? IndexTable::kNone : known->second.first);
    if (known == model.end()) {
      model[offset] = {things.add(Offset(offset), i), i};
      continue;
    }
    const auto [at, thing] = known->second;
    ASSERT_EQ(things[at], thing);
    ASSERT_EQ(things.offset_of(at), Offset(offset));
    things.remove(at);
    model.erase(known);
    ASSERT_EQ(things.size(), model.size());
  }
  std::size_t seen = 0;
  things.each([&](std::uint32_t at) {
    ++seen;
    EXPECT_EQ(model.at(things.offset_of(at).value).first, at);
  });
  EXPECT_EQ(seen, model.size());
}

class KeyedRecordsTest : public ::testing::Test {
 protected:
  KeyedRecordsTest() {
    RecordBatchBuilder builder;
    for (int i = 0; i < 10; ++i) builder.append({as_bytes("k"), as_bytes("value"), {}}, i);
    bytes = builder.take();
    for (auto it = batch().begin(); it != batch().end(); ++it) all.push_back(it);
  }
  RecordBatchView batch() const { return *RecordBatchView::parse(bytes); }
  void lease(std::int64_t offset, std::uint64_t hash, const MemberKey& member = kOne) {
    records.lease(records.place(hash, Offset(offset), true), records.new_loan(member, 1, kSoon));
  }
  void park(std::int64_t offset, std::uint64_t hash, const MemberKey& member = kOne) {
    records.park(records.place(hash, Offset(offset), true), member, batch(),
                 all[static_cast<std::size_t>(offset)], 100);
  }
  std::vector<std::int64_t> unpark(std::uint64_t most) {
    std::vector<std::int64_t> offsets;
    if (!records.first_parked(kOne)) return offsets;
    EXPECT_EQ(records.first_parked(kOne), Offset(0));
    const auto part = records.unpark(kOne, most, records.new_loan(kOne, 2, kLater));
    const auto sent = *RecordBatchView::parse(part.bytes);
    EXPECT_TRUE(sent.check());
    for (const RecordView& record : sent) {
      EXPECT_EQ(record.timestamp_ms, record.offset.value);
      offsets.push_back(record.offset.value);
    }
    EXPECT_EQ(part.records, offsets.size());
    return offsets;
  }
  std::vector<OffsetRange> finish(std::int64_t first, std::int64_t last, std::uint64_t delivery) {
    std::vector<OffsetRange> done;
    records.finish({Offset(first), Offset(last)}, kOne, delivery, done);
    return done;
  }
  std::vector<OffsetRange> lost(std::int64_t first, std::int64_t last, std::uint64_t delivery) {
    return records.lost({Offset(first), Offset(last)}, kOne, delivery);
  }

  std::vector<std::byte> bytes;
  std::vector<Records::Iterator> all;
  KeyedRecords records;
};

TEST_F(KeyedRecordsTest, APartGoesOutInPiecesWhereLittleMayGo) {
  lease(0, 7);
  for (const std::int64_t offset : {1, 3, 4, 8}) park(offset, 7);
  EXPECT_EQ(records.held(), 4u);
  EXPECT_EQ(records.parked(), 4u);
  EXPECT_EQ(unpark(1), (std::vector<std::int64_t>{1}));
  EXPECT_EQ(records.leased(), 2u);
  park(9, 7);
  EXPECT_EQ(unpark(9), (std::vector<std::int64_t>{3, 4, 8, 9}));
  EXPECT_FALSE(records.has_parked());
  EXPECT_EQ(records.parked_bytes(), 0u);
  EXPECT_EQ(finish(0, 9, 2).size(), 3u) << "1, 3-4 and 8-9, but not 0, which came before";
}

TEST_F(KeyedRecordsTest, WhatFailedStopsWhatIsParkedBehindIt) {
  lease(0, 7);
  lease(1, 8);
  park(2, 7);
  park(3, 8);
  ASSERT_EQ(records.cut({Offset(0), Offset(0)}, kOne, 1).size(), 1u);
  records.block(Offset(0));
  EXPECT_EQ(records.revoke_behind(Offset(0)), 0u) << "it was not leased";
  EXPECT_EQ(records.parked(), 1u);
  EXPECT_EQ(records.held(), 2u);
  EXPECT_TRUE(records.turn(records.place(7, Offset(4), true)).blocked);
  EXPECT_EQ(unpark(9), (std::vector<std::int64_t>{3}));
  EXPECT_EQ(finish(2, 3, 2).size(), 1u);
  records.end(Offset(0));
  EXPECT_EQ(records.let_go(), (std::vector<Offset>{Offset(2)}));
}

TEST_F(KeyedRecordsTest, AFreeKeyLeavesAMemberThatMayNotTakeIt) {
  lease(0, 7);
  park(1, 7);
  park(2, 7);
  finish(0, 0, 1);
  EXPECT_TRUE(records.let_go().empty());
  records.free_drained([](const MemberKey&) { return true; });
  EXPECT_EQ(records.parked(), 2u) << "it may";
  records.free_drained([](const MemberKey&) { return false; });
  EXPECT_EQ(records.parked_bytes(), 0u);
  EXPECT_EQ(records.let_go(), (std::vector<Offset>{Offset(1), Offset(2)}));
  const auto turn = records.turn(records.place(7, Offset(1), false));
  EXPECT_FALSE(turn.blocked || turn.holder);
}

// Nobody comes for free keys, which come and go.
TEST_F(KeyedRecordsTest, FreeKeysAreRememberedHoweverOftenTheyWereFree) {
  lease(0, 7);
  for (std::int64_t offset = 1; offset < 5'000; ++offset) {
    const auto record = all[static_cast<std::size_t>(offset % 10)];
    records.park(records.place(7, Offset(offset), true), kOne, batch(), record, 100);
    finish(offset - 1, offset - 1, offset == 1 ? 1 : 2);
    EXPECT_TRUE(records.let_go().empty());
    if (offset < 4'999) records.unpark(kOne, 1, records.new_loan(kOne, 2, kLater));
  }
  records.free_drained([](const MemberKey&) { return false; });
  EXPECT_EQ(records.let_go(), (std::vector<Offset>{Offset(4'999)}));
}

TEST_F(KeyedRecordsTest, AMemberThatIsGoneLeavesNothingBehind) {
  lease(0, 7);
  park(1, 7);
  lease(2, 9, kTwo);
  finish(0, 0, 1);
  EXPECT_TRUE(records.cut(kOne).empty());
  EXPECT_EQ(records.let_go(), (std::vector<Offset>{Offset(1)}));
  EXPECT_EQ(records.cut(kTwo).size(), 1u);
  EXPECT_EQ(records.leased(), 0u);
}

TEST_F(KeyedRecordsTest, AnyRangeMayBeSaid) {
  for (const std::int64_t offset : {0, 1, 2}) lease(offset, 7);
  for (const auto& [first, last] : {std::pair{INT64_MAX - 2, INT64_MAX},
                                    {INT64_MIN, INT64_MIN + 9},
                                    {std::int64_t{-300}, std::int64_t{-1}}}) {
    EXPECT_TRUE(finish(first, last, 1).empty());
    EXPECT_TRUE(records.cut({Offset(first), Offset(last)}, kOne, 1).empty());
  }
  EXPECT_EQ(finish(-1, 0, 1).size(), 1u);
  EXPECT_EQ(records.cut({Offset(1), Offset(INT64_MAX)}, kOne, 1).size(), 2u);
  EXPECT_TRUE(finish(INT64_MIN, INT64_MAX, 1).empty());
  records.extend({Offset(INT64_MIN), Offset(INT64_MAX)}, kOne, 1, kLater);
  EXPECT_EQ(records.next_deadline(), std::nullopt);
}

TEST_F(KeyedRecordsTest, WhatIsLeasedTogetherEndsTogetherUnlessItIsExtended) {
  const std::uint32_t loan = records.new_loan(kOne, 1, kSoon);
  for (const std::int64_t offset : {0, 1, 2})
    records.lease(records.place(offset, Offset(offset), true), loan);
  records.extend({Offset(1), Offset(1)}, kOne, 1, kLater);
  EXPECT_EQ(records.cut_due(kSoon).size(), 2u);
  EXPECT_EQ(records.next_deadline(), kLater);
  records.shift(std::chrono::seconds(1));
  EXPECT_TRUE(records.cut_due(kLater).empty());
  EXPECT_EQ(records.cut_due(kLater + std::chrono::seconds(1)).size(), 1u);
}

TEST_F(KeyedRecordsTest, OfADeliveryARangeEndsWhatIsLeftOfIt) {
  const std::uint32_t loan = records.new_loan(kOne, 1, kSoon);
  for (const std::int64_t offset : {0, 2, 5, 40}) {
    records.lease(records.place(offset, Offset(offset), true), loan);
    lease(offset + 1, 100, kTwo);
  }
  records.extend({Offset(2), Offset(3)}, kOne, 1, kLater);
  EXPECT_TRUE(lost(0, 50, 1).empty()) << "whatever another member has";
  ASSERT_EQ(records.cut({Offset(3), Offset(5)}, kOne, 1).size(), 1u);
  records.block(Offset(5));
  EXPECT_EQ(lost(0, 50, 1), (std::vector<OffsetRange>{{Offset(5), Offset(5)}}));
  EXPECT_TRUE(lost(6, 50, 1).empty());
  EXPECT_EQ(finish(0, 50, 1).size(), 3u) << "0, 2, 40";
  EXPECT_EQ(lost(0, 50, 1), (std::vector<OffsetRange>{{Offset(0), Offset(50)}}))
      << "nothing is known any more";
  EXPECT_EQ(records.leased(), 4u);
}

// Nobody looks at a lease that was lost before it was asked for, or after.
TEST_F(KeyedRecordsTest, WhatIsRevokedIsLostToItsDelivery) {
  const std::uint32_t loan = records.new_loan(kOne, 1, kSoon);
  for (const std::int64_t offset : {0, 1, 2})
    records.lease(records.place(offset == 2 ? 8 : 7, Offset(offset), true), loan);
  ASSERT_EQ(records.cut({Offset(0), Offset(0)}, kOne, 1).size(), 1u);
  records.block(Offset(0));
  EXPECT_EQ(records.revoke_behind(Offset(0)), 1u);
  EXPECT_EQ(lost(0, 9, 1),
            (std::vector<OffsetRange>{{Offset(0), Offset(0)}, {Offset(1), Offset(1)}}));
  EXPECT_EQ(finish(0, 9, 1), (std::vector<OffsetRange>{{Offset(2), Offset(2)}}));
}

// Each byte and the length have a say.
TEST(HashOfKey, KeysThatDifferHaveHashesThatDiffer) {
  std::set<std::uint64_t> seen{*hash_of(Bytes())};
  std::size_t keys = 1;
  for (std::size_t size = 1; size <= 40; ++size)
    for (std::size_t at = 0; at < size; ++at)
      for (const char byte : {'b', 'c'}) {
        std::string key(size, 'a');
        key[at] = byte;
        seen.insert(*hash_of(as_bytes(key)));
        ++keys;
      }
  EXPECT_EQ(seen.size(), keys);
  EXPECT_FALSE(hash_of(std::nullopt));
}

}  // namespace
}  // namespace leat::broker
