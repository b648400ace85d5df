// Random members, acks, time-outs, restarts, standstills, slow reads, connections without room and
// moves of the log start against a model of what a delivery promises: one holder of a lease,
// nothing acked again, nothing lost, attempts counted, each key in order.
//
//   LEAT_DELIVERIES_SEEDS  how many histories
//   LEAT_DELIVERIES_SEED   the first one's seed
#include <cstdlib>

#include "tests/server/delivery/deliveries_fixture.h"

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
    // By the wall clock; 0: at once, for ever.
    std::int64_t due_ms = 0, expires_ms = 0;
    bool placed = false;  // delivered since the group has members
  };
  std::vector<Record> records;
};

class RandomDeliveries : public DeliveriesFixture, public ::testing::WithParamInterface<int> {
 protected:
  static constexpr auto kTimeout = 1'000ms;

  void join(std::uint64_t connection) {
    if (members.contains(connection)) return;
    if (members.empty())
      for (auto& record : model.records) record.placed = false;
    AttachRequest one = request(kind);
    one.ack_timeout = kTimeout;
    const std::uint64_t records = 1 + random.below(20);
    one.grants = {records, 1 << 20};
    attach(connection, one);
    ASSERT_TRUE(last<Attached>());
    members[connection] = records;
    brought[connection].clear();
  }
  void leave(std::uint64_t connection, bool lost) {
    if (!members.erase(connection)) return;
    stuck.erase(connection);
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
  // All that is there: what is taken makes room for more, also for who took before.
  void collect() {
    bool any = true;
    while (any && !HasFatalFailure()) collect_some(any);
  }
  void collect_some(bool& any) {
    any = false;
    // What was due once stays so when the clock is set back; what is taken now may have been given
    // when it was looked at last.
    latest_wall_ms = std::max(latest_wall_ms, wall_ms());
    const std::int64_t given_ms = std::min(std::exchange(collected_ms, wall_ms()), wall_ms());
    for (const auto& [connection, grant] : members) {
      if (stuck.contains(connection)) continue;
      for (const Got& got : take(connection)) {
        any = true;
        collect_one(got, connection, given_ms);
        if (HasFatalFailure()) return;
      }
      late.erase(connection);
    }
  }
  void collect_one(const Got& got, std::uint64_t connection, std::int64_t given_ms) {
    auto& record = model.records[static_cast<std::size_t>(got.offset)];
    ASSERT_EQ(record.state, Model::State::kOpen) << got.offset << ": acked, or another's";
    // What failed in vain with a connection that took nothing is not known.
    ASSERT_TRUE(got.attempt == record.failed + 1 || (sticks && got.attempt > record.failed))
        << got.offset << ": attempt " << got.attempt << " after " << record.failed;
    ASSERT_LE(record.due_ms, latest_wall_ms) << got.offset << " is delayed";
    ASSERT_TRUE(record.expires_ms == 0 || record.expires_ms > given_ms || late.contains(connection))
        << got.offset;
    if (kind == GroupKind::kKeyShared)
      check_order(static_cast<std::size_t>(got.offset), connection);
    record.state = Model::State::kLeased;
    record.failed = got.attempt - 1;
    record.placed = true;
    record.member = connection;
    record.deadline = now + kTimeout;
    brought[connection][number[connection][got.offset]].insert(got.offset);
    if (!late.contains(connection)) return;
    settle(connection, got.offset, got.offset, Outcome::kExtend);  // it has been leased for a while
    ASSERT_TRUE(last<Settled>()->refused.empty()) << got.offset << " has no lease";
  }
  // A connection that has no room takes nothing until it has.
  void stick_or_not(std::uint64_t connection) {
    if (stuck.erase(connection))
      late.insert(connection);
    else if (members.contains(connection))
      stuck.insert(connection);
  }
  void let_all_take() {
    late.merge(stuck);
    stuck.clear();
    collect();
  }
  // A delayed record has no place in its key's order until it was delivered.
  void check_order(std::size_t got, std::uint64_t connection) {
    const auto& record = model.records[got];
    for (std::size_t i = 0; i < model.records.size(); ++i) {
      const auto& other = model.records[i];
      if (i == got || other.key != record.key) continue;
      if (other.state == Model::State::kLeased) {
        ASSERT_EQ(other.member, connection) << got << " is of the key of " << i;
      }
      const bool expired = other.expires_ms != 0 && other.expires_ms <= latest_wall_ms;
      const bool placed = other.due_ms == 0 || other.placed;
      if (i > got || other.state != Model::State::kOpen || expired || !placed) continue;
      FAIL() << got << " overtakes " << i;
    }
  }
  std::int64_t wall_ms() const { return when().wall.time_since_epoch().count(); }
  // In half of the seeds.
  void write_some() {
    std::vector<std::string> texts;
    RecordBatchBuilder builder;
    const bool timed = GetParam() % 4 > 1;
    for (std::uint64_t i = 0; i <= random.below(8); ++i) {
      Model::Record record{.key = "k" + std::to_string(random.below(6))};
      texts.clear();
      texts.reserve(2);
      std::vector<RecordHeader> headers;
      const auto time = [&](std::string_view name, std::int64_t& at, std::uint64_t within) {
        at = wall_ms() + static_cast<std::int64_t>(random.below(within));
        texts.push_back(std::to_string(at));
        headers.push_back({name, as_bytes(texts.back())});
      };
      if (timed && random.below(3) == 0) time("leat-deliver-at", record.due_ms, 3'000);
      if (timed && random.below(6) == 0) time("leat-expires-at", record.expires_ms, 5'000);
      builder.append({as_bytes(record.key), as_bytes("v"), headers}, 1);
      model.records.push_back(std::move(record));
    }
    broker.produces().produce(next(9), orders, PartitionIndex(0), builder.finish(), at());
    storage.make_durable(broker);
    broker.deliveries().dispatch(when());
  }
  // By key, all that its delivery brought around the record; of others' between nothing is said.
  void ack_around(std::size_t at, std::uint64_t connection) {
    const auto offset = static_cast<std::int64_t>(at);
    const std::int64_t first = offset - static_cast<std::int64_t>(random.below(40));
    const std::int64_t last = offset + static_cast<std::int64_t>(random.below(40));
    const std::uint64_t delivery = number[connection][offset];
    std::set<std::int64_t> lost;
    for (const std::int64_t one : brought[connection][delivery]) {
      auto& record = model.records[static_cast<std::size_t>(one)];
      if (one < first || one > last || record.state == Model::State::kDone) continue;
      const bool has = record.state == Model::State::kLeased && record.member == connection &&
                       number[connection][one] == delivery;
      if (has)
        record.state = Model::State::kDone;
      else
        lost.insert(one);
    }
    const std::uint64_t of_first = std::exchange(number[connection][first], delivery);
    settle(connection, first, last, Outcome::kAck);  // names that
    number[connection][first] = of_first;
    ASSERT_TRUE(this->last<Settled>());
    std::set<std::int64_t> refused;
    for (const Settlement& part : this->last<Settled>()->refused)
      for (Offset one = part.range.first; one <= part.range.last; one = one + 1)
        refused.insert(one.value);
    const auto counts_as_done = [this](std::int64_t one) {
      const std::int64_t expires_ms = model.records[static_cast<std::size_t>(one)].expires_ms;
      return expires_ms != 0 && expires_ms <= latest_wall_ms;
    };
    std::erase_if(refused, counts_as_done);
    std::erase_if(lost, counts_as_done);
    ASSERT_EQ(refused, lost);
  }
  void settle_some(std::uint64_t connection) {
    std::vector<std::size_t> mine;
    for (std::size_t i = 0; i < model.records.size(); ++i)
      if (model.records[i].state == Model::State::kLeased && model.records[i].member == connection)
        mine.push_back(i);
    if (mine.empty()) return;
    const std::size_t at = mine[random.below(mine.size())];
    const auto offset = static_cast<std::int64_t>(at);
    if (kind == GroupKind::kKeyShared && random.below(4) == 0) return ack_around(at, connection);
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
    stuck.clear();
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
    latest_wall_ms = std::max(latest_wall_ms, wall_ms());
    const auto due = broker.deliveries().next_deadline();
    const Duration gap = due ? now - *due : Duration(0);
    if (gap > 1s)
      for (auto& record : model.records) record.deadline += gap;
    broker.on_time(when());
    broker.deliveries().dispatch(when());
    expire();
  }
  void answer_reads() {
    for (const storage::ReadToken token : std::exchange(storage.waiting_reads, {}))
      broker.on_read(token, storage.answer(token));
    broker.on_time(when());
    broker.deliveries().dispatch(when());
  }
  // Not beyond what somebody has.
  void move_log_start() {
    let_all_take();
    const PartitionId id = partition_id(orders);
    std::int64_t to = storage.bounds(id).log_start.value;
    for (auto left = random.below(10); left > 0; --left, ++to) {
      if (to >= static_cast<std::int64_t>(model.records.size())) break;
      auto& record = model.records[static_cast<std::size_t>(to)];
      if (record.state == Model::State::kLeased) break;
      record.state = Model::State::kDone;
    }
    ASSERT_TRUE(storage.move_log_start(id, Offset(to)));
    broker.deliveries().dispatch(when());
  }
  void change_the_world() {
    if (random.below(20) == 0) restart();
    if (random.below(4) == 0) stand_still();
    if (random.below(4) == 0) wall += std::chrono::milliseconds(random.below(4'000)) - 2'000ms;
    if (random.below(20) == 0) wall -= 6'000ms;
    if (random.below(4) == 0) storage.reads_later = !storage.reads_later;
    if (random.below(8) == 0) move_log_start();
  }
  void step() {
    if (random.below(3) == 0) {
      answer_reads();
      collect();
      if (HasFatalFailure()) return;
    }
    const std::uint64_t connection = 1 + random.below(5);
    if (sticks && random.below(8) == 0) return stick_or_not(connection);
    switch (random.below(12)) {
      case 0:
      case 1:
        return join(connection);
      case 2:
        return leave(connection, random.below(2) == 0);
      case 3:
        return change_the_world();
      case 4:
        return write_some();
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
  std::int64_t latest_wall_ms = 0, collected_ms = 0;
  std::map<std::uint64_t, std::uint64_t> members;  // connection and what it was granted
  // By key only where nothing is delayed: what came due for such a connection and timed out would
  // take back, unseen, what is known to be leased.
  const bool sticks = GetParam() % 8 > 3 && (kind == GroupKind::kShared || GetParam() % 4 < 2);
  std::set<std::uint64_t> stuck, late;  // take nothing; have just begun to again
  // By connection and delivery, since it joined.
  std::map<std::uint64_t, std::map<std::uint64_t, std::set<std::int64_t>>> brought;
};

TEST_P(RandomDeliveries, LoseNothingAndRepeatNothingThatWasAcked) {
  for (int i = 0; i < 600; ++i) {
    step();
    if (!HasFatalFailure()) collect();
    if (HasFatalFailure()) FAIL() << "seed " << GetParam() << ", step " << i;
  }
  // Everything that is left comes to one member that acks it all.
  for (std::uint64_t connection = 1; connection < 6; ++connection) leave(connection, false);
  for (auto& record : model.records) record.placed = false;
  storage.reads_later = false;
  answer_reads();
  wall += 60s;  // the clock is set right
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
    EXPECT_TRUE(model.records[at].state == Model::State::kDone || model.records[at].expires_ms > 0)
        << at << " of seed " << GetParam();
  EXPECT_EQ(storage.committed("g", orders, PartitionIndex(0))->offset.value,
            static_cast<std::int64_t>(model.records.size()));
}

int from_environment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atoi(text) : otherwise;
}

const int kFirst = from_environment("LEAT_DELIVERIES_SEED", 1);
INSTANTIATE_TEST_SUITE_P(Seeds, RandomDeliveries,
                         ::testing::Range(kFirst,
                                          kFirst + from_environment("LEAT_DELIVERIES_SEEDS", 300)));

}  // namespace
}  // namespace leat::broker
