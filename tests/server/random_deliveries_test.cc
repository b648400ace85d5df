// Random members, acks, time-outs, restarts and standstills against a model of what a delivery
// promises: one holder of a lease, nothing acked again, nothing lost, attempts counted, each key in
// order.
#include "tests/server/deliveries_fixture.h"

namespace leat::broker {
namespace {

struct Model {
  enum class State { kOpen, kLeased, kDone };
  struct Record {
    std::string key;
    State state = State::kOpen;
    std::uint64_t member = 0;
    std::uint32_t failed = 0;
    MonotonicTime deadline{};
  };
  std::vector<Record> records;
};

class RandomDeliveries : public DeliveriesFixture, public ::testing::WithParamInterface<int> {
 protected:
  static constexpr auto kTimeout = 1'000ms;

  void join(std::uint64_t connection) {
    if (members.contains(connection)) return;
    AttachRequest one = request(kind);
    one.ack_timeout = kTimeout;
    const std::uint64_t records = 1 + random.below(20);
    one.grants = {records, 1 << 20};
    attach(connection, one);
    ASSERT_TRUE(last<Attached>());
    members[connection] = records;
  }
  void leave(std::uint64_t connection, bool lost) {
    if (!members.erase(connection)) return;
    for (auto& record : model.records)
      if (record.state == Model::State::kLeased && record.member == connection) {
        record.state = Model::State::kOpen;
        if (lost) ++record.failed;
      }
    if (lost)
      broker.on_connection_closed(ConnectionId(connection), when());
    else
      broker.deliveries().detach(next(connection), 1, when());
    storage.make_durable(broker);
    broker.deliveries().dispatch(when());
  }
  // A retry takes back what the member had of the key behind it.
  void fail(std::size_t at) {
    auto& record = model.records[at];
    record.state = Model::State::kOpen;
    ++record.failed;
    if (kind == GroupKind::kKeyShared)
      for (std::size_t i = at + 1; i < model.records.size(); ++i)
        if (auto& later = model.records[i];
            later.key == record.key && later.state == Model::State::kLeased)
          later.state = Model::State::kOpen;
  }
  void expire() {
    std::vector<std::size_t> due;
    for (std::size_t i = 0; i < model.records.size(); ++i)
      if (model.records[i].state == Model::State::kLeased && model.records[i].deadline <= now)
        due.push_back(i);
    for (const std::size_t at : due) fail(at);
  }
  void collect() {
    for (const auto& [connection, grant] : members)
      for (const Got& got : take(connection)) {
        auto& record = model.records[static_cast<std::size_t>(got.offset)];
        ASSERT_EQ(record.state, Model::State::kOpen) << got.offset << ": acked, or another's";
        ASSERT_EQ(got.attempt, record.failed + 1) << got.offset;
        if (kind == GroupKind::kKeyShared)
          for (std::int64_t i = 0; i < got.offset; ++i) {
            const auto& before = model.records[static_cast<std::size_t>(i)];
            if (before.key != record.key || before.state == Model::State::kDone) continue;
            ASSERT_EQ(before.state, Model::State::kLeased) << got.offset << " overtakes " << i;
            ASSERT_EQ(before.member, connection) << got.offset << " is of the key of " << i;
          }
        record.state = Model::State::kLeased;
        record.member = connection;
        record.deadline = now + kTimeout;
      }
  }
  void settle_some(std::uint64_t connection) {
    std::vector<std::size_t> mine;
    for (std::size_t i = 0; i < model.records.size(); ++i)
      if (model.records[i].state == Model::State::kLeased && model.records[i].member == connection)
        mine.push_back(i);
    if (mine.empty()) return;
    const std::size_t at = mine[random.below(mine.size())];
    const auto offset = static_cast<std::int64_t>(at);
    switch (random.below(5)) {
      case 0:
        settle(connection, offset, offset, Outcome::kNack,
               std::chrono::milliseconds(random.below(300)));
        fail(at);
        break;
      case 1:
        settle(connection, offset, offset, Outcome::kExtend);
        model.records[at].deadline = now + kTimeout;
        break;
      default:
        settle(connection, offset, offset, Outcome::kAck);
        model.records[at].state = Model::State::kDone;
    }
    ASSERT_TRUE(last<Settled>());
    ASSERT_TRUE(last<Settled>()->refused.empty()) << offset;
    members[connection] += random.below(3);
    broker.deliveries().grant(ConnectionId(connection), 1, {members[connection], 1 << 20});
    broker.deliveries().dispatch(when());
  }
  void restart() {
    members.clear();
    for (auto& record : model.records)
      if (record.state == Model::State::kLeased) record.state = Model::State::kOpen;
    for (std::uint64_t connection = 1; connection < 6; ++connection)
      broker.deliveries().detach(next(connection), 1, when());  // forgets, counts nothing
  }
  // The machine was suspended: leases are theirs still who had them (rule 11).
  void stand_still() {
    const auto time = std::chrono::milliseconds(2'000 + random.below(60'000));
    now += time;
    wall += time;
    const auto due = broker.deliveries().next_deadline();
    const Duration gap = due ? now - *due : Duration(0);
    if (gap > 1s)
      for (auto& record : model.records) record.deadline += gap;
    broker.on_time(when());
    broker.deliveries().dispatch(when());
    expire();
  }
  void step() {
    const std::uint64_t connection = 1 + random.below(5);
    switch (random.below(12)) {
      case 0:
      case 1:
        return join(connection);
      case 2:
        return leave(connection, random.below(2) == 0);
      case 3:
        if (random.below(20) == 0) restart();
        if (random.below(4) == 0) stand_still();
        return;
      case 4: {
        std::vector<std::string> keys;
        RecordBatchBuilder builder;
        for (std::uint64_t i = 0; i <= random.below(8); ++i)
          keys.push_back("k" + std::to_string(random.below(6)));
        for (const std::string& key : keys) {
          builder.append({as_bytes(key), as_bytes("v"), {}}, 1);
          model.records.push_back({.key = key});
        }
        broker.produces().produce(next(9), orders, PartitionIndex(0), builder.finish(), at());
        storage.make_durable(broker);
        return broker.deliveries().dispatch(when());
      }
      case 5: {
        const auto time = std::chrono::milliseconds(random.below(400));
        pass(time);
        expire();
        return;
      }
      default:
        if (members.contains(connection)) settle_some(connection);
    }
  }

  Random random{static_cast<std::uint64_t>(GetParam())};
  GroupKind kind = GetParam() % 2 == 0 ? GroupKind::kShared : GroupKind::kKeyShared;
  Model model;
  std::map<std::uint64_t, std::uint64_t> members;  // connection and what it was granted
};

TEST_P(RandomDeliveries, LoseNothingAndRepeatNothingThatWasAcked) {
  for (int i = 0; i < 600; ++i) {
    step();
    if (!HasFatalFailure()) collect();
    if (HasFatalFailure()) FAIL() << "seed " << GetParam() << ", step " << i;
  }
  // Everything that is left comes to one member that acks it all.
  for (std::uint64_t connection = 1; connection < 6; ++connection) leave(connection, false);
  AttachRequest one = request(kind);
  one.grants = {1 << 20, 1 << 30};
  attach(7, one);
  members[7] = 0;
  for (int i = 0; i < 500; ++i) {
    pass(100ms);
    expire();
    collect();
    if (HasFatalFailure()) FAIL() << "seed " << GetParam();
    for (std::size_t at = 0; at < model.records.size(); ++at)
      if (model.records[at].state == Model::State::kLeased) {
        const auto offset = static_cast<std::int64_t>(at);
        settle(7, offset, offset, Outcome::kAck);
        model.records[at].state = Model::State::kDone;
      }
  }
  for (std::size_t at = 0; at < model.records.size(); ++at)
    EXPECT_EQ(model.records[at].state, Model::State::kDone) << at << " of seed " << GetParam();
  EXPECT_EQ(storage.committed("g", orders, PartitionIndex(0))->offset.value,
            static_cast<std::int64_t>(model.records.size()));
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomDeliveries, ::testing::Range(1, 101));

}  // namespace
}  // namespace leat::broker
