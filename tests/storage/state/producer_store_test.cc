// Which batch is the next one, which has been here, and which cannot be: against a plain model.
#include "storage/state/producer_store.h"

#include <gtest/gtest.h>

#include "protocol/base/random.h"

namespace leat::storage {
namespace {

constexpr PartitionId kPartition{1};

std::vector<std::byte> batch_of(std::int64_t producer, std::int16_t epoch, std::int32_t sequence,
                                int records, Offset base = Offset(0)) {
  RecordBatchBuilder builder;
  for (int i = 0; i < records; ++i) builder.append({.key = {}, .value = as_bytes("v")}, 1);
  auto batch = builder.take();
  store_be(batch.data() + batch_layout::kProducerId, producer);
  store_be(batch.data() + batch_layout::kProducerEpoch, epoch);
  store_be(batch.data() + batch_layout::kBaseSequence, sequence);
  assign_offset(batch, base, LeaderEpoch(1));
  return batch;
}

class ProducerStoreTest : public ::testing::Test {
 protected:
  ProducerStoreTest() { store.apply(ProducerInitialized{ProducerId(0), 0}); }

  Result<std::optional<Offset>> check(std::int16_t epoch, std::int32_t sequence, int records = 1,
                                      std::int64_t producer = 0) {
    const auto batch = batch_of(producer, epoch, sequence, records);
    return store.check(kPartition, *RecordBatchView::parse(batch));
  }
  void append(std::int16_t epoch, std::int32_t sequence, int records = 1, std::int64_t producer = 0,
              PartitionId partition = kPartition) {
    const auto batch = batch_of(producer, epoch, sequence, records, Offset(next));
    store.apply(partition, *RecordBatchView::parse(batch), JournalPosition(++position));
    next += records;
  }

  ProducerStore store{3};
  std::int64_t next = 0;
  std::uint64_t position = 0;
};

TEST_F(ProducerStoreTest, SequencesWrapBehindTheLargest) {
  append(0, 0x7ffffffe, 3);  // 2^31 - 2, 2^31 - 1, 0
  EXPECT_FALSE(*check(0, 1));
  EXPECT_EQ(check(0, 2).error(), ErrorCode::kOutOfSequence);
  EXPECT_EQ(**check(0, 0x7ffffffe, 3), Offset(0));
  EXPECT_EQ(check(0, 0x7ffffff0, 1).error(), ErrorCode::kDuplicateSequence);
}

TEST_F(ProducerStoreTest, ARetryMustBeTheSameBatch) {
  append(0, 0, 4);
  EXPECT_TRUE(*check(0, 0, 4));
  EXPECT_EQ(check(0, 0, 3).error(), ErrorCode::kDuplicateSequence);
  EXPECT_EQ(check(0, 2, 2).error(), ErrorCode::kDuplicateSequence);
  EXPECT_EQ(check(0, -1).error(), ErrorCode::kInvalidBatch);
  EXPECT_EQ(check(-1, 0).error(), ErrorCode::kInvalidBatch);
}

TEST_F(ProducerStoreTest, ANewEpochFencesTheOldAndBeginsAtZero) {
  append(0, 0, 1);
  EXPECT_EQ(check(1, 1).error(), ErrorCode::kOutOfSequence);
  EXPECT_FALSE(*check(1, 0));
  append(1, 0, 1);
  EXPECT_EQ(check(0, 1).error(), ErrorCode::kProducerFenced);
  EXPECT_TRUE(*check(1, 0));
  EXPECT_FALSE(*check(1, 1));
}

TEST_F(ProducerStoreTest, OnlyIssuedIdsAndTheirCurrentEpochGoOn) {
  EXPECT_EQ(check(0, 0, 1, 1).error(), ErrorCode::kUnknownProducer);
  EXPECT_EQ(store.init(ProducerId(1), 0).error(), ErrorCode::kUnknownProducer);
  EXPECT_EQ(store.init(ProducerId(0), 1).error(), ErrorCode::kProducerFenced);
  auto raised = store.init(ProducerId(0), 0);
  ASSERT_TRUE(raised);
  store.apply(*raised);
  EXPECT_EQ(check(0, 0).error(), ErrorCode::kProducerFenced);
  EXPECT_FALSE(*check(1, 0));
  auto fresh = store.init(std::nullopt, -1);
  ASSERT_TRUE(fresh);
  EXPECT_EQ(fresh->id, ProducerId(1));
}

TEST_F(ProducerStoreTest, TheOneIdleLongestIsForgottenBeyondTheLimit) {
  for (std::int64_t producer = 1; producer <= 3; ++producer)
    store.apply(ProducerInitialized{ProducerId(producer), 0});
  for (std::int64_t producer = 0; producer < 3; ++producer) append(0, 0, 1, producer);
  append(0, 1, 1, 0);  // the eldest is busy again
  append(0, 0, 1, 3);
  EXPECT_EQ(store.size(), 3u);
  EXPECT_TRUE(*check(0, 1, 1, 0));
  EXPECT_FALSE(*check(0, 0, 1, 1));  // forgotten
  EXPECT_TRUE(*check(0, 0, 1, 2));
}

TEST_F(ProducerStoreTest, ADeletedTopicTakesItsPartitionsAlong) {
  append(0, 0);
  append(0, 0, 1, 0, PartitionId(9));
  store.apply(TopicDeleted{TopicId{}, {kPartition}});
  EXPECT_EQ(store.size(), 1u);
  EXPECT_FALSE(*check(0, 0));
  EXPECT_EQ(check(0, 5).error(), ErrorCode::kOutOfSequence);  // unknown here
}

TEST_F(ProducerStoreTest, AgreesWithAModelOnAnyOrderOfSends) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    ProducerStore fresh(10);
    fresh.apply(ProducerInitialized{ProducerId(0), 0});
    std::vector<std::pair<std::int32_t, int>> stored;  // base sequence, records; index is the order
    std::vector<Offset> bases;
    std::int32_t next_sequence = 0;
    std::int64_t offset = 0;
    for (int step = 0; step < 300; ++step) {
      const int records = 1 + static_cast<int>(random.below(3));
      std::int32_t sequence = next_sequence;
      if (!stored.empty() && random.below(3) == 0)
        sequence = stored[random.below(stored.size())].first;
      else if (random.below(8) == 0)
        sequence += 1 + static_cast<std::int32_t>(random.below(5));
      const auto batch = batch_of(0, 0, sequence, records, Offset(offset));
      const auto verdict = fresh.check(kPartition, *RecordBatchView::parse(batch));
      const std::size_t oldest = stored.size() > 5 ? stored.size() - 5 : 0;
      std::optional<Offset> known;
      for (std::size_t i = oldest; i < stored.size(); ++i)
        if (stored[i] == std::pair(sequence, records)) known = bases[i];
      if (known) {
        ASSERT_TRUE(verdict && *verdict) << seed;
        EXPECT_EQ(**verdict, *known);
      } else if (sequence == next_sequence) {
        ASSERT_TRUE(verdict && !*verdict) << seed;
        fresh.apply(kPartition, *RecordBatchView::parse(batch),
                    JournalPosition(static_cast<std::uint64_t>(step) + 1));
        stored.emplace_back(sequence, records);
        bases.emplace_back(offset);
        next_sequence = sequence + records;
        offset += records;
      } else {
        EXPECT_EQ(verdict.error(), sequence < next_sequence ? ErrorCode::kDuplicateSequence
                                                            : ErrorCode::kOutOfSequence)
            << seed;
      }
    }
  }
}

}  // namespace
}  // namespace leat::storage
