// Reading ahead by itself: what a sweep wants, what is kept within which memory, and how it comes
// out.
#include "server/broker/delivery/read_ahead.h"

#include <memory>
#include <set>

#include <gmock/gmock.h>

namespace leat::broker {
namespace {

constexpr std::int64_t kNow = 1'000'000;

// A log of batches of ten records, and when each is due.
class ReadAheadTest : public ::testing::Test {
 protected:
  void write(const std::vector<std::int64_t>& due_in_ms, std::size_t value_bytes = 10) {
    const std::string value(value_bytes, 'v');
    for (std::size_t i = 0; i < due_in_ms.size(); i += 10) {
      RecordBatchBuilder builder;
      for (std::size_t j = i; j < std::min(i + 10, due_in_ms.size()); ++j) {
        builder.append({{}, as_bytes(value), {}}, static_cast<std::int64_t>(j));
        delayed.add({Offset(end + builder.record_count() - 1)}, kNow + due_in_ms[j]);
      }
      auto batch = std::make_shared<std::vector<std::byte>>(builder.take());
      assign_offset(*batch, Offset(end), LeaderEpoch(1));
      log.push_back({batch, Bytes(*batch)});
      end += static_cast<std::int64_t>(std::min<std::size_t>(10, due_in_ms.size() - i));
    }
  }
  storage::ReadResult batch_of(Offset offset) const {
    return {{log[static_cast<std::size_t>(offset.value / 10)]}};
  }
  std::vector<std::int64_t> sweep(ReadAhead& ahead) const {
    std::vector<std::int64_t> read_from;
    while (const auto from = ahead.next()) {
      read_from.push_back(from->value);
      ahead.keep(batch_of(*from));
    }
    return read_from;
  }
  static std::vector<std::int64_t> offsets_of(const storage::ReadResult& read) {
    std::vector<std::int64_t> offsets;
    for (const auto& stored : read.batches)
      for (Bytes rest = stored.bytes; !rest.empty();) {
        const auto batch = *RecordBatchView::parse(rest);
        EXPECT_TRUE(batch.check());
        for (const RecordView& record : batch) offsets.push_back(record.offset.value);
        rest = rest.subspan(batch.bytes().size());
      }
    return offsets;
  }
  std::size_t batches_of(const storage::ReadResult& read) const {
    std::size_t batches = 0;
    for (const auto& stored : read.batches)
      for (Bytes rest = stored.bytes; !rest.empty(); ++batches)
        rest = rest.subspan(RecordBatchView::parse(rest)->bytes().size());
    return batches;
  }
  // All that is due by then.
  std::pair<int, int> come_due(ReadAhead& ahead, std::int64_t now_ms) {
    int at_hand = 0, others = 0;
    while (const auto record = delayed.take_due(now_ms))
      ++(ahead.is_due(record->offset) ? at_hand : others);
    return {at_hand, others};
  }

  DelayedRecords delayed{1'000};
  std::vector<storage::StoredBatches> log;
  std::int64_t end = 0;
  AheadMemory memory{100'000};
};

using testing::ElementsAre;

TEST_F(ReadAheadTest, OneSweepReadsEachBatchOnceAndKeepsWhatIsDueSoon) {
  std::vector<std::int64_t> due;
  for (std::int64_t i = 0; i < 40; ++i) due.push_back(i % 4 == 0 ? 1'000 - i : 60'000);
  for (std::int64_t i = 0; i < 10; ++i) due.push_back(60'000);
  write(due);
  ReadAhead ahead(memory);
  ahead.look(delayed, kNow);
  EXPECT_THAT(sweep(ahead), ElementsAre(0, 12, 20, 32)) << "nothing of the last batch is due";
  EXPECT_EQ(ahead.kept(), 10u);
  EXPECT_FALSE(ahead.is_sweeping());
  EXPECT_EQ(come_due(ahead, kNow + 1'000), std::pair(10, 0));
  EXPECT_THAT(offsets_of(ahead.some_at_hand(100, 1 << 20)),
              ElementsAre(0, 4, 8, 12, 16, 20, 24, 28, 32, 36));
}

TEST_F(ReadAheadTest, ItLooksAgainInTimeForTheNext) {
  write({5'000, 6'500, 100'000});
  ReadAhead ahead(memory);
  EXPECT_EQ(ahead.next_look_ms(delayed), kNow + 5'000 - ReadAhead::kFurthestMs);
  ahead.look(delayed, kNow);
  EXPECT_FALSE(ahead.is_sweeping()) << "too early";
  ahead.look(delayed, kNow + 3'000);
  EXPECT_THAT(sweep(ahead), ElementsAre(0));
  std::int64_t now = kNow + 3'000;
  std::vector<std::int64_t> read_from;
  while (read_from.empty()) {
    const auto next_ms = ahead.next_look_ms(delayed);
    ASSERT_TRUE(next_ms && *next_ms > now && *next_ms < kNow + 6'500);
    now = *next_ms;
    ahead.look(delayed, now);
    read_from = sweep(ahead);
  }
  EXPECT_THAT(read_from, ElementsAre(1)) << "the second, out of the same batch";
  EXPECT_EQ(come_due(ahead, kNow + 6'500), std::pair(2, 0));
  EXPECT_EQ(ahead.next_look_ms(delayed), kNow + 100'000 - ReadAhead::kFurthestMs);
}

TEST_F(ReadAheadTest, WhatOthersReadNeedNotBeReadAgain) {
  write(std::vector<std::int64_t>(30, 500));
  ReadAhead ahead(memory);
  ahead.look(delayed, kNow);
  ahead.keep(batch_of(Offset(15)));
  EXPECT_EQ(ahead.kept(), 10u);
  EXPECT_THAT(sweep(ahead), ElementsAre(0, 20));
  EXPECT_EQ(ahead.kept(), 30u);
}

TEST_F(ReadAheadTest, WhatIsDueBeforeItWasReadIsNotKept) {
  write({100, 200, 300});
  ReadAhead ahead(memory);
  ahead.look(delayed, kNow);
  EXPECT_EQ(come_due(ahead, kNow + 200), std::pair(0, 2));
  EXPECT_THAT(sweep(ahead), ElementsAre(2));
  EXPECT_EQ(ahead.kept(), 1u);
  EXPECT_EQ(come_due(ahead, kNow + 300), std::pair(1, 0));
}

TEST_F(ReadAheadTest, MemoryIsBoundedAndWhoComesLaterFindsSome) {
  write(std::vector<std::int64_t>(800, 1'000), 100);
  std::optional<ReadAhead> first(memory), second(memory);
  first->look(delayed, kNow);
  EXPECT_LE(memory.used_bytes, memory.limit_bytes * 3 / 4) << "set apart";
  sweep(*first);
  const std::size_t kept = first->kept();
  EXPECT_GT(kept, 50u);
  second->look(delayed, kNow);
  sweep(*second);
  EXPECT_GT(second->kept(), 10u);
  for (int i = 0; i < 20; ++i)
    for (auto* ahead : {&*first, &*second}) {
      ahead->look(delayed, kNow + i);
      sweep(*ahead);
      EXPECT_LE(memory.used_bytes, memory.limit_bytes);
      EXPECT_EQ(first->used_bytes() + second->used_bytes(), memory.used_bytes);
    }
  // What came out makes room for more.
  come_due(*first, kNow + 1'000);
  for (const std::int64_t offset : offsets_of(first->some_at_hand(1'000, 1 << 20)))
    EXPECT_TRUE(first->forget(Offset(offset)));
  EXPECT_EQ(first->used_bytes(), 0u);
  second.reset();
  first.reset();
  EXPECT_EQ(memory.used_bytes, 0u);
}

TEST_F(ReadAheadTest, RecordsLargerThanTheMemoryAreReadWhenTheyAreDue) {
  write({500, 500, 500}, 200'000);
  ReadAhead ahead(memory);
  ahead.look(delayed, kNow);
  sweep(ahead);
  EXPECT_EQ(ahead.kept(), 0u);
  EXPECT_EQ(memory.used_bytes, 0u);
  EXPECT_EQ(come_due(ahead, kNow + 500), std::pair(0, 3));
}

TEST_F(ReadAheadTest, WithoutMemoryNothingIsReadAhead) {
  write({500, 5'000});
  AheadMemory none{0};
  ReadAhead ahead(none);
  EXPECT_FALSE(ahead.next_look_ms(delayed));
  ahead.look(delayed, kNow);
  EXPECT_FALSE(ahead.is_sweeping());
}

TEST_F(ReadAheadTest, ItGivesUpwardsThenFromTheLowestAgain) {
  write(std::vector<std::int64_t>(30, 100));
  ReadAhead ahead(memory);
  ahead.look(delayed, kNow);
  sweep(ahead);
  come_due(ahead, kNow + 100);
  EXPECT_THAT(offsets_of(ahead.some_at_hand(3, 1 << 20)), ElementsAre(0, 1, 2));
  EXPECT_THAT(offsets_of(ahead.some_at_hand(100, 1)), ElementsAre(3)) << "one always passes";
  const auto rest = ahead.some_at_hand(100, 1 << 20);
  EXPECT_EQ(offsets_of(rest).size(), 26u);
  EXPECT_EQ(batches_of(rest), 3u) << "records of one batch go out in one";
  EXPECT_THAT(offsets_of(ahead.some_at_hand(2, 1 << 20)), ElementsAre(0, 1));
  EXPECT_THAT(ahead.forget({Offset(5), Offset(6)}), ElementsAre(Offset(5), Offset(6)));
  EXPECT_FALSE(ahead.forget(Offset(5)));
  EXPECT_THAT(offsets_of(ahead.some_at_hand(4, 1 << 20)), ElementsAre(2, 3, 4, 7));
}

TEST_F(ReadAheadTest, WhatTheLogStartHasPassedIsGone) {
  write(std::vector<std::int64_t>(30, 100));
  ReadAhead ahead(memory);
  ahead.look(delayed, kNow);
  ASSERT_EQ(ahead.next(), Offset(0));
  ahead.keep(batch_of(Offset(0)));
  delayed.trim(Offset(15));
  ahead.trim(Offset(15));
  EXPECT_EQ(ahead.kept(), 0u);
  EXPECT_THAT(sweep(ahead), ElementsAre(15, 20));
  EXPECT_EQ(come_due(ahead, kNow + 100), std::pair(15, 0));
  ahead.trim(Offset(29));
  EXPECT_THAT(offsets_of(ahead.some_at_hand(100, 1 << 20)), ElementsAre(29));
}

TEST_F(ReadAheadTest, WhenTheClockIsSetBackItBeginsAnew) {
  write(std::vector<std::int64_t>(20, 1'000));
  ReadAhead ahead(memory);
  ahead.look(delayed, kNow);
  sweep(ahead);
  EXPECT_EQ(ahead.kept(), 20u);
  ahead.look(delayed, kNow - 1'000);
  EXPECT_EQ(ahead.kept(), 20u) << "by a little";
  ahead.look(delayed, kNow - 3'600'000);
  EXPECT_EQ(memory.used_bytes, 0u);
  ahead.look(delayed, kNow - 500);
  EXPECT_THAT(sweep(ahead), ElementsAre(0, 10));
  EXPECT_EQ(come_due(ahead, kNow + 1'000), std::pair(20, 0));
}

TEST_F(ReadAheadTest, WhatIsNotInItsBatchAnyMoreIsNotKept) {
  write({100, 100, 100});
  const auto whole = *RecordBatchView::parse(log[0].bytes);
  const auto rest =
      *filter_records(whole, [](const RecordView& record) { return record.offset != Offset(1); });
  ReadAhead ahead(memory);
  ahead.look(delayed, kNow);
  ASSERT_EQ(ahead.next(), Offset(0));
  ahead.keep({{{nullptr, Bytes(rest.bytes)}}});
  EXPECT_FALSE(ahead.next());
  EXPECT_EQ(come_due(ahead, kNow + 100), std::pair(2, 1));
  EXPECT_THAT(offsets_of(ahead.some_at_hand(100, 1 << 20)), ElementsAre(0, 2));
}

}  // namespace
}  // namespace leat::broker
