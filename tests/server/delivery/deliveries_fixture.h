// Members of a shared group on a storage that the test steers, and what each was delivered.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "server/broker/delivery/deliveries.h"
#include "tests/server/broker_fixture.h"

namespace leat::broker {

using namespace std::chrono_literals;

class DeliveriesFixture : public BrokerFixture {
 protected:
  using BrokerFixture::BrokerFixture;
  Now when() const { return {now, WallTime(1'000'000'000ms) + wall}; }
  void pass(std::chrono::milliseconds time) {
    now += time;
    wall += time;
    broker.on_time(when());
    broker.deliveries().dispatch(when());
  }
  AttachRequest request(GroupKind kind = GroupKind::kShared) {
    return {.subscription = 1,
            .group = "g",
            .kind = kind,
            .topics = {"orders"},
            .grants = {1'000, 1 << 20},
            .settings = {}};
  }
  void attach(std::uint64_t connection, const AttachRequest& request) {
    by_key = request.kind == GroupKind::kKeyShared;
    broker.deliveries().attach(next(connection), request, when());
    storage.make_durable(broker);
    broker.deliveries().dispatch(when());
  }
  void settle(std::uint64_t connection, std::int64_t first, std::int64_t last, Outcome outcome,
              std::optional<std::chrono::milliseconds> delay = {}, std::string_view reason = {}) {
    SettleRequest request{1, {}, reason};
    Settlement& settlement = request.settlements.emplace_back();
    settlement.partition = {orders, PartitionIndex(0)};
    settlement.range = {Offset(first), Offset(last)};
    settlement.outcome = outcome;
    settlement.delay = delay;
    settlement.delivery = number[connection][first];
    broker.deliveries().settle(next(connection), request, when());
    storage.make_durable(broker);
    broker.deliveries().dispatch(when());
  }
  void write(const std::vector<std::string_view>& keys) {
    RecordBatchBuilder builder;
    for (const std::string_view key : keys) builder.append({as_bytes(key), as_bytes("v"), {}}, 1);
    broker.produces().produce(next(), orders, PartitionIndex(0), builder.finish(), at());
    storage.make_durable(broker);
    broker.deliveries().dispatch(when());
  }
  struct Got {
    std::int64_t offset;
    std::uint32_t attempt;
    friend bool operator==(const Got&, const Got&) = default;
    friend void PrintTo(const Got& got, std::ostream* to) {
      *to << got.offset << " at attempt " << got.attempt;
    }
  };
  // What the connection takes: what was delivered, of which the batches hold every record, and by
  // key no other.
  std::vector<Got> take(std::uint64_t connection) {
    std::vector<Got> got;
    while (auto delivered = broker.deliveries().next(ConnectionId(connection))) {
      const std::set<Offset> held = records_in(*delivered);
      const std::size_t before = got.size();
      for (const auto& [range, attempt] : delivered->ranges)
        for (Offset at = range.first; at <= range.last; at = at + 1) {
          if (by_key && !held.contains(at)) continue;
          EXPECT_TRUE(held.contains(at)) << at.value;
          number[connection][at.value] = delivered->number;
          got.push_back({at.value, attempt});
        }
      EXPECT_EQ(got.size() - before, delivered->records);
      EXPECT_TRUE(!by_key || held.size() == delivered->records);
      broker.deliveries().dispatch(when());
    }
    return got;
  }
  static std::set<Offset> records_in(const DeliveredBatches& delivered) {
    std::set<Offset> held;
    for (const auto& stored : delivered.batches)
      for (Bytes rest = stored.bytes; !rest.empty();) {
        const auto batch = *RecordBatchView::parse(rest);
        EXPECT_TRUE(batch.check());
        const auto reader = *RecordReader::open(batch);
        for (const auto& record : reader) held.insert(record.offset);
        rest = rest.subspan(batch.bytes().size());
      }
    return held;
  }
  static std::vector<Got> firsts(std::int64_t first, std::int64_t last) {
    std::vector<Got> all;
    for (; first <= last; ++first) all.push_back({first, 1});
    return all;
  }

  bool by_key = false;  // as of the latest attach()
  std::chrono::milliseconds wall{0};
  std::map<std::uint64_t, std::map<std::int64_t, std::uint64_t>> number;  // of whose delivery
  TopicId orders = create("orders", 1);
};

}  // namespace leat::broker
