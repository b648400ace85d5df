// Random deliveries, settlements, expiries, drops and lost connections against a model of a broker:
// grants bound what is outstanding, everyone is told once and the truth, and in the end all is
// done.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include <gtest/gtest.h>

#include "client/delivery/delivery_logic.h"
#include "protocol/base/random.h"
#include "tests/client/deliveries.h"

namespace leat {
namespace {

using native::Outcome;
using test::kTopic;

constexpr int kPartitions = 3, kBatches = 12, kMostInBatch = 7;
constexpr std::uint64_t kPrefetch = 9;

using RecordKey = std::pair<std::int32_t, std::int64_t>;  // partition, offset

class Life : public Settler {
 public:
  explicit Life(std::uint64_t seed) : random_(seed), by_key_(seed % 3 == 0), logic_(options(seed)) {
    logic_.settles_through(std::shared_ptr<Settler>(here_, this));
    granted_ = logic_.attach();
    for (int partition = 0; partition < kPartitions; ++partition) {
      std::int64_t offset = 0;
      for (int i = 0; i < kBatches; ++i) {
        const int records = 1 + static_cast<int>(random_.below(kMostInBatch));
        batches_.push_back({partition, offset, records});
        for (int r = 0; r < records; ++r) states_[{partition, offset++}] = {};
      }
    }
  }
  ~Life() override { held_.clear(); }

  void run() {
    for (int step = 0; step < 2'000; ++step) act(random_.below(100));
    finish();
  }

  void settle(Lease& lease, std::uint32_t first, std::uint32_t count, const Settlement& settlement,
              Completion<> done) override {
    auto at_once = logic_.settle(lease, first, count, settlement, done);
    if (at_once && done) done(std::move(*at_once));
  }
  void dropped(const Lease& lease) override {
    logic_.dropped(lease.generation, lease.delivery, lease.unsettled, lease.bytes);
  }
  asio::any_io_executor executor() override { return asio::system_executor(); }

 private:
  enum class State { kFree, kLeased, kDone };
  struct RecordState {
    State state = State::kFree;
    std::uint32_t attempts = 0;
    std::uint64_t delivery = 0;
  };
  struct Batch {
    std::int32_t partition;
    std::int64_t base;
    int records;
  };
  struct Copy {
    SharedRecord record;
    int membership;
    bool settled = false;
  };
  enum class Telling { kAtOnce, kAnswer, kLost };

  static ConsumerOptions options(std::uint64_t seed) {
    ConsumerOptions some;
    some.prefetch_records = kPrefetch;
    some.prefetch_bytes = seed % 2 == 0 ? 16 << 20 : 300;
    some.kind = seed % 3 == 0 ? GroupKind::kKeyShared : GroupKind::kShared;
    return some;
  }

  void act(std::uint64_t what) {
    if (what < 35)
      deliver();
    else if (what < 50)
      take(random_.below(2) == 0);
    else if (what < 75)
      settle_one();
    else if (what < 85)
      what < 80 ? send() : answer();
    else if (what < 90)
      drop();
    else if (what < 97)
      expire();
    else
      reconnect();
    if (const auto grants = logic_.wanted_grants()) granted_ = *grants;
    ASSERT_LE(queued_ + unsettled(), kPrefetch);
  }

  std::uint64_t unsettled() const {
    std::uint64_t count = 0;
    for (const Copy& copy : held_) count += copy.membership == membership_ && !copy.settled;
    return count;
  }

  // Some free records of one batch, as far as grants allow.
  void deliver() {
    if (sent_.records >= granted_.records || sent_.bytes >= granted_.bytes) return;
    const Batch& batch = batches_[random_.below(batches_.size())];
    std::vector<native::DeliveredRange> ranges;
    std::vector<std::int64_t> offsets;
    ++deliveries_;
    for (std::int64_t at = batch.base; at < batch.base + batch.records; ++at) {
      RecordState& record = states_[{batch.partition, at}];
      if (record.state != State::kFree || random_.below(4) == 0) continue;
      if (sent_.records == granted_.records) break;
      ++sent_.records;
      ++queued_;
      record.state = State::kLeased;
      ++record.attempts;
      record.delivery = deliveries_;
      offsets.push_back(at);
      if (!ranges.empty() && (by_key_ || ranges.back().last == Offset(at - 1)) &&
          ranges.back().attempt == record.attempts)
        ranges.back().last = Offset(at);
      else
        ranges.push_back({Offset(at), Offset(at), record.attempts});
    }
    if (ranges.empty()) return;
    const auto bytes =
        by_key_ ? test::batch_of(offsets) : test::batch_at(batch.base, batch.records);
    sent_.bytes += bytes.size();
    brought_[deliveries_] = {offsets.begin(), offsets.end()};
    ASSERT_TRUE(logic_.delivered({1,
                                  {kTopic, PartitionIndex(batch.partition)},
                                  "t",
                                  std::move(ranges),
                                  bytes,
                                  deliveries_}));
  }

  void take(bool many) {
    if (many) {
      const SharedRecords records = logic_.take().value();
      for (std::size_t i = 0; i < records.size(); ++i) hold(records[i]);
    } else if (auto record = logic_.next().value()) {
      hold(std::move(*record));
    }
  }
  void hold(SharedRecord record) {
    const RecordState& known = states_.at({record.partition.value, record.offset.value});
    EXPECT_EQ(as_text(*record.value), std::to_string(record.offset.value));
    EXPECT_GE(known.attempts, record.attempt());
    --queued_;
    held_.push_back({std::move(record), membership_});
  }

  void settle_one() {
    if (held_.empty()) return;
    Copy& copy = held_[random_.below(held_.size())];
    settle_one(copy, static_cast<Outcome>(1 + random_.below(4)));
  }
  void settle_one(Copy& copy, Outcome outcome) {
    const RecordKey key{copy.record.partition.value, copy.record.offset.value};
    const std::uint64_t delivery = copy.record.lease->delivery;
    const bool hopeless = copy.settled || copy.membership != membership_;
    ++asked_;
    telling_ = Telling::kAtOnce;
    Leased(copy.record.owner, copy.record.lease, copy.record.index, 1)
        .start({outcome, std::nullopt, "why"},
               [this, key, outcome, hopeless, delivery](Result<> result) {
                 ++told_;
                 const bool refused =
                     telling_ != Telling::kAnswer ||
                     refused_.contains(std::tuple_cat(key, std::tuple(outcome, delivery)));
                 EXPECT_TRUE(telling_ != Telling::kAtOnce || hopeless);
                 EXPECT_EQ(!result, refused);
               });
    if (outcome != Outcome::kExtend) copy.settled = true;
  }

  void send() {
    if (!under_way_) under_way_ = logic_.wanted_settlements();
  }
  void answer() {
    if (!under_way_) return;
    std::vector<native::SettledRange> refused;
    refused_.clear();
    for (const native::SettledRange& range : under_way_->ranges())
      for (Offset at = range.first; at <= range.last; at = at + 1)
        if (brought_[range.delivery].contains(at.value) && !apply(range, at)) {
          refused.push_back(range);
          refused.back().first = refused.back().last = at;
          refused_.insert(
              {range.partition.partition.value, at.value, range.outcome, range.delivery});
        }
    logic_.answered();
    telling_ = Telling::kAnswer;
    under_way_->finish(refused);
    under_way_.reset();
  }
  bool apply(const native::SettledRange& range, Offset at) {
    RecordState& record = states_.at({range.partition.partition.value, at.value});
    if (record.state != State::kLeased || record.delivery != range.delivery) return false;
    if (range.outcome == Outcome::kNack) record.state = State::kFree;
    if (range.outcome == Outcome::kAck || range.outcome == Outcome::kReject)
      record.state = State::kDone;
    return true;
  }

  void drop() {
    if (!held_.empty())
      held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(random_.below(held_.size())));
  }
  void expire() {
    auto it = states_.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random_.below(states_.size())));
    if (it->second.state == State::kLeased) it->second.state = State::kFree;
  }
  void reconnect() {
    telling_ = Telling::kLost;
    if (under_way_) under_way_->finish(ErrorCode::kLeaseLost);
    under_way_.reset();
    for (Parcel& parcel : logic_.detach()) parcel.finish(ErrorCode::kLeaseLost);
    for (auto& [key, record] : states_)
      if (record.state == State::kLeased) record.state = State::kFree;
    ++membership_;
    queued_ = 0;
    sent_ = {};
    granted_ = logic_.attach();
  }

  // Whatever happened: who acks what comes is through with it soon.
  void finish() {
    held_.clear();
    const auto done = [&] {
      return std::ranges::all_of(
          states_, [](const auto& entry) { return entry.second.state == State::kDone; });
    };
    for (int round = 0; round < 20'000 && !done(); ++round) {
      if (const auto grants = logic_.wanted_grants()) granted_ = *grants;
      deliver();
      take(true);
      for (Copy& copy : held_) settle_one(copy, Outcome::kAck);
      held_.clear();
      send();
      answer();
      expire();
    }
    EXPECT_TRUE(done());
    send();
    answer();
    send();
    answer();
    EXPECT_EQ(asked_, told_);
  }

  Random random_;
  const bool by_key_;
  std::vector<Batch> batches_;
  std::map<RecordKey, RecordState> states_;
  DeliveryLogic::Grants granted_, sent_;
  std::uint64_t queued_ = 0;  // delivered, not handed out
  int membership_ = 0, asked_ = 0, told_ = 0;
  Telling telling_ = Telling::kAtOnce;
  std::set<std::tuple<std::int32_t, std::int64_t, Outcome, std::uint64_t>> refused_;
  std::uint64_t deliveries_ = 0;
  std::map<std::uint64_t, std::set<std::int64_t>> brought_;  // by delivery
  std::optional<Parcel> under_way_;
  std::shared_ptr<int> here_ = std::make_shared<int>();
  DeliveryLogic logic_;
  std::vector<Copy> held_;
};

TEST(DeliveryProperty, NothingIsLostToldTwiceOrHeldBeyondTheBound) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Life(seed).run();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace leat
