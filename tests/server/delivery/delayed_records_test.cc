// Delayed records against a model that knows them all: each comes out once, not before it is due,
// and as soon as it is when what is to be read again has been; never more are known than may be.
#include "server/broker/delivery/delayed_records.h"

#include <set>

#include <gtest/gtest.h>

#include "protocol/base/random.h"

namespace leat::broker {
namespace {

class Model {
 public:
  explicit Model(std::size_t most) : most_(most), delayed_(most) {}

  void add(std::int64_t due_ms) {
    delayed_.add({Offset(next_), position_of(next_)}, due_ms);
    log_[next_++] = due_ms;
    check();
  }
  void plain(std::int64_t records) { next_ += records; }
  void trim(std::int64_t start) {
    delayed_.trim(Offset(start));
    log_.erase(log_.begin(), log_.lower_bound(start));
    start_ = start;
    check();
  }
  // Reads `records` offsets again, if that is wanted.
  bool scan(std::int64_t now_ms, std::int64_t records) {
    const auto range = delayed_.to_scan(now_ms);
    if (!range) return false;
    EXPECT_LT(range->last.value, next_);
    EXPECT_GE(range->first.value, start_);
    const std::int64_t end = std::min(range->first.value + records, range->last.value + 1);
    for (auto it = log_.lower_bound(range->first.value); it != log_.end() && it->first < end; ++it)
      delayed_.found({Offset(it->first), position_of(it->first)}, it->second);
    delayed_.scanned(Offset(end));
    scanned += end - range->first.value;
    check();
    return true;
  }
  void take(std::int64_t now_ms) {
    if (const auto next_ms = delayed_.next_look_ms(now_ms)) {
      EXPECT_GT(*next_ms, now_ms);
    }
    while (const auto record = delayed_.take_due(now_ms)) {
      const auto it = log_.find(record->offset.value);
      ASSERT_NE(it, log_.end()) << "twice, or never there";
      EXPECT_LE(it->second, now_ms);
      EXPECT_EQ(record->position, position_of(it->first));
      taken_.insert(record->offset.value);
      log_.erase(it);  // done: a scan does not find it
    }
  }
  // As a member that has it, and is not done yet.
  void take_and_keep(std::int64_t now_ms) {
    if (const auto record = delayed_.take_due(now_ms)) {
      EXPECT_TRUE(taken_.insert(record->offset.value).second) << "twice";
    }
  }
  void expect_none_due(std::int64_t now_ms) {
    for (const auto& [offset, due_ms] : log_)
      EXPECT_TRUE(due_ms > now_ms || taken_.contains(offset)) << offset;
  }
  std::int64_t next() const { return next_; }
  bool empty() const { return delayed_.size() == 0; }
  const DelayedRecords& delayed() const { return delayed_; }

  std::int64_t scanned = 0;

 private:
  static std::uint32_t position_of(std::int64_t offset) {
    return static_cast<std::uint32_t>(offset * 7919);
  }
  void check() const {
    EXPECT_LE(delayed_.known(), most_);
    EXPECT_LE(delayed_.ranges(), 2'001u);
  }

  const std::size_t most_;
  DelayedRecords delayed_;
  std::map<std::int64_t, std::int64_t> log_;  // what is not done
  std::set<std::int64_t> taken_;
  std::int64_t next_ = 0, start_ = 0;
};

class RandomDelays : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(RandomDelays, EachComesOutOnceAndInTime) {
  Random random(GetParam());
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(n)));
  };
  Model model(static_cast<std::size_t>(5 + below(300)));
  const std::int64_t spread = 1 + below(40'000), sparse = 1 + below(20'000);
  std::int64_t now = 1'000'000;
  for (int step = 0; step < 3'000; ++step) {
    switch (below(10)) {
      case 0:
        now += below(spread);
        break;
      case 1:
        model.plain(below(sparse));
        break;
      case 2:
        model.scan(now, 1 + below(100'000));
        break;
      case 3:
        model.take_and_keep(now);
        break;
      case 4:
        if (below(50) == 0) model.trim(below(model.next() + 1));
        break;
      default:
        model.add(now + (below(4) == 0 ? spread : below(spread)));
    }
    if (below(200) != 0) continue;
    do model.take(now);
    while (model.scan(now, 50'000));
    model.expect_none_due(now);
  }
  now += spread;
  do model.take(now);
  while (model.scan(now, 50'000));
  model.expect_none_due(now);
  EXPECT_TRUE(model.empty());
}

TEST_P(RandomDelays, TheNearestAreThoseDueFirst) {
  Random random(GetParam());
  DelayedRecords delayed(200);
  std::vector<DelayedRecords::Entry> all;
  const auto records = static_cast<std::int64_t>(random.below(200));
  for (std::int64_t i = 0; i < records; ++i) {
    all.emplace_back(static_cast<std::int64_t>(random.below(300)),
                     DelayedRecords::Delayed{Offset(i)});
    delayed.add({Offset(i)}, all.back().due_ms());
  }
  std::ranges::sort(all);
  auto from = DelayedRecords::Entry::at(static_cast<std::int64_t>(random.below(100)));
  const auto until = DelayedRecords::Entry::at(static_cast<std::int64_t>(random.below(300)));
  const std::size_t most = 1 + random.below(100);
  std::vector<DelayedRecords::Entry> seen, expected;
  std::ranges::copy_if(all, std::back_inserter(expected),
                       [&](const auto& entry) { return entry >= from && entry < until; });
  while (from < until) {
    auto near = delayed.near(from, until, most);
    EXPECT_LE(near.records.size(), most);
    EXPECT_LE(near.until, until);
    std::ranges::sort(near.records);
    seen.insert(seen.end(), near.records.begin(), near.records.end());
    ASSERT_GT(near.until, from);
    from = near.until;
  }
  EXPECT_EQ(seen, expected);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomDelays, ::testing::Range<std::uint64_t>(0, 60));

TEST(DelayedRecords, ManyThatAreDueAtOnceAreNotReadAgainAndAgain) {
  Model model(1'000);
  for (int i = 0; i < 5'000; ++i) model.add(50'000);
  for (int i = 0; i < 1'000; ++i) model.scan(49'000, 10'000);
  EXPECT_LE(model.scanned, 10'000);
  do model.take(50'000);
  while (model.scan(50'000, 10'000));
  EXPECT_TRUE(model.empty());
  EXPECT_LE(model.scanned, 30'000);
}

TEST(DelayedRecords, AMillionTakeSixteenBytesEach) {
  DelayedRecords delayed(1'000'000);
  Random random(1);
  for (int i = 0; i < 1'000'000; ++i)
    delayed.add({Offset(i)}, static_cast<std::int64_t>(random.below(60'000)));
  EXPECT_EQ(delayed.known(), 1'000'000u);
  EXPECT_EQ(delayed.ranges(), 0u);
  EXPECT_EQ(delayed.size(), 1'000'000u);
}

}  // namespace
}  // namespace leat::broker
