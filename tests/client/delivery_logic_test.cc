// A member of a shared group without a broker: what it hands out, what it may be sent, what it
// says.
#include "client/delivery/delivery_logic.h"

#include <map>

#include <gtest/gtest.h>

#include "tests/client/deliveries.h"

namespace leat {
namespace {

using namespace std::chrono_literals;
using native::Outcome;
using test::batch_at;
using test::kTopic;
using test::range;
using test::text_of;

const std::string kOk = "ok";

class DeliveryLogicTest : public ::testing::Test, public Settler {
 protected:
  DeliveryLogicTest() { make({}); }
  void make(ConsumerOptions options) {
    options.group = Group{"g"};
    if (options.kind == GroupKind::kPartitioned) options.kind = GroupKind::kShared;
    logic.emplace(options);
    logic->settles_through(std::shared_ptr<Settler>(here, this));
    granted = logic->attach();
  }
  void settle(Lease& lease, std::uint32_t first, std::uint32_t count, const Settlement& settlement,
              Completion<> done) override {
    auto at_once = logic->settle(lease, first, count, settlement, done);
    if (at_once && done) done(std::move(*at_once));
  }
  void dropped(const Lease& lease) override {
    logic->dropped(lease.generation, lease.delivery, lease.unsettled, lease.bytes);
  }
  asio::any_io_executor executor() override { return asio::system_executor(); }

  Result<> deliver(const std::vector<std::byte>& batches,
                   std::vector<native::DeliveredRange> ranges, std::int32_t partition = 0) {
    return logic->delivered({7, {kTopic, PartitionIndex(partition)}, "t", ranges, batches});
  }
  // All records of a batch.
  void deliver(std::int64_t base, int records, std::int32_t partition = 0) {
    EXPECT_TRUE(deliver(batch_at(base, records), {range(base, base + records - 1)}, partition));
  }
  // "10 11(2) ": values, with the attempt where it is not the first.
  std::string values() {
    auto records = logic->take();
    if (!records) return "error " + std::string(error_info(records.error().code).name);
    std::string text;
    for (const ConsumedRecord& record : *records) {
      EXPECT_EQ(as_text(*record.value), std::to_string(record.offset.value));
      text.append(as_text(*record.value));
      if (record.attempt() != 1) text += "(" + std::to_string(record.attempt()) + ")";
      text += " ";
    }
    return text;
  }
  SharedRecord next() { return logic->next().value().value(); }
  SharedRecords take() { return logic->take().value(); }
  // Settles, and notes under `name` what became of it.
  void settle(const std::string& name, const SharedRecord& record, Settlement settlement = {}) {
    Leased(record.owner, record.lease, record.index, 1).start(settlement, note(name));
  }
  Completion<> note(const std::string& name) {
    return [this, name](const Result<>& result) {
      EXPECT_FALSE(became.contains(name)) << "told twice";
      became[name] = result ? kOk : std::string(error_info(result.error().code).name);
    };
  }
  static Settlement nack(std::optional<std::chrono::milliseconds> delay = {}) {
    return {Outcome::kNack, delay, {}};
  }
  std::string wanted() {
    sent = logic->wanted_settlements();
    return sent ? text_of(sent->ranges()) : "";
  }
  void answer(std::vector<native::SettledRange> refused = {}) {
    logic->answered();
    sent->finish(refused);
  }
  native::SettledRange refusal(std::int64_t first, std::int64_t last, Outcome outcome) {
    return {{kTopic, PartitionIndex(0)}, outcome, 0, Offset(first), Offset(last)};
  }
  std::uint64_t grant() {
    if (const auto grants = logic->wanted_grants()) granted = *grants;
    return granted.records;
  }

  std::shared_ptr<int> here = std::make_shared<int>();
  std::map<std::string, std::string> became;
  DeliveryLogic::Grants granted;
  std::optional<Parcel> sent;
  std::optional<DeliveryLogic> logic;
};

// ---- handing out ----

TEST_F(DeliveryLogicTest, OnlyWhatIsInTheRangesIsHandedOutInOrder) {
  auto batches = batch_at(10, 5);
  const auto second = batch_at(20, 5);
  batches.insert(batches.end(), second.begin(), second.end());
  ASSERT_TRUE(deliver(batches, {range(11, 12), range(14, 14, 3), range(23, 24)}));
  deliver(0, 2, 1);
  EXPECT_EQ(values(), "11 12 14(3) 23 24 ");
  EXPECT_EQ(values(), "0 1 ");
  EXPECT_EQ(values(), "");
}

TEST_F(DeliveryLogicTest, OneByOneAndManyMix) {
  deliver(5, 4);
  const SharedRecord first = next();
  EXPECT_EQ(first.offset, Offset(5));
  EXPECT_EQ(first.topic, "t");
  const SharedRecords rest = take();
  ASSERT_EQ(rest.size(), 3u);
  settle("6", rest[0]);
  settle("5", first);
  EXPECT_EQ(wanted(), "ack 0:5-6");
}

TEST_F(DeliveryLogicTest, ARangeAcrossAdjoiningBatchesIsOne) {
  auto batches = batch_at(0, 3);
  const auto second = batch_at(3, 3);
  batches.insert(batches.end(), second.begin(), second.end());
  ASSERT_TRUE(deliver(batches, {range(1, 4, 2)}));
  EXPECT_EQ(values(), "1(2) 2(2) 3(2) 4(2) ");
}

TEST_F(DeliveryLogicTest, WhatCannotBeUnderstoodIsRefused) {
  auto apart = batch_at(0, 3);
  const auto second = batch_at(10, 3);
  apart.insert(apart.end(), second.begin(), second.end());
  const std::vector<std::vector<native::DeliveredRange>> malformed = {
      {range(2, 1)},               // ends before it begins
      {range(0, 1), range(1, 2)},  // overlap
      {range(1, 2), range(0, 0)},  // descend
      {range(0, 3)},               // beyond the batch
      {range(5, 6)},               // between batches
      {range(12, 13)},             // beyond the last
      {range(2, 10)},              // across a gap
  };
  for (const auto& ranges : malformed) {
    const auto refused = deliver(apart, ranges);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), ErrorCode::kMalformedFrame);
  }
  EXPECT_FALSE(deliver({}, {range(0, 0)}));
  EXPECT_TRUE(deliver(apart, {}));
  EXPECT_EQ(values(), "");
}

TEST_F(DeliveryLogicTest, ADamagedBatchIsToldOnceAndTheRestGoesOn) {
  make({.prefetch_records = 4});
  auto damaged = batch_at(0, 4);
  damaged.back() ^= std::byte{1};
  ASSERT_TRUE(deliver(damaged, {range(0, 3)}));
  EXPECT_EQ(grant(), 8u);  // nobody is at work on what cannot be read
  deliver(4, 2);
  EXPECT_EQ(values(), "error CorruptBatch");
  EXPECT_EQ(values(), "4 5 ");
  EXPECT_EQ(values(), "");
}

TEST_F(DeliveryLogicTest, WhatCannotBeDecompressedLeavesNothingOutstanding) {
  make({.prefetch_records = 3, .prefetch_bytes = 1, .decompressed_bytes = 1'000});
  RecordBatchBuilder builder;
  const std::string large(10'000, 'x');
  for (int i = 0; i < 3; ++i) builder.append({{}, as_bytes(large), {}}, 1);
  auto compressed = builder.take(Compression::kGzip);
  assign_offset(compressed, Offset(5), LeaderEpoch(0));
  auto batches = batch_at(0, 3);
  batches.insert(batches.end(), compressed.begin(), compressed.end());
  ASSERT_TRUE(deliver(batches, {range(1, 1), range(5, 7)}));
  EXPECT_EQ(values(), "1 ");
  EXPECT_EQ(values(), "error BatchTooLarge");
  ASSERT_TRUE(deliver(batches, {range(5, 7)}));
  EXPECT_EQ(values(), "error BatchTooLarge");
  EXPECT_EQ(values(), "");
  EXPECT_EQ(grant(), 4u + 3u + 3u);
  EXPECT_EQ(granted.bytes, 2 * batches.size() + 1);
}

// Compaction took 11 and 14: nobody would ever settle them.
TEST_F(DeliveryLogicTest, WhatHoldsNoRecordIsAckedByItself) {
  make({.prefetch_records = 5});
  const auto whole = batch_at(10, 5);
  const auto sparse = filter_records(*RecordBatchView::parse(whole), [](const RecordView& record) {
    return record.offset != Offset(11) && record.offset != Offset(14);
  });
  ASSERT_TRUE(sparse && sparse->changed);
  ASSERT_TRUE(deliver(sparse->bytes, {range(10, 14)}));
  const SharedRecords records = take();
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(wanted(), "ack 0:11-11 ack 0:14-14");
  EXPECT_EQ(grant(), 7u);
}

// ---- grants ----

TEST_F(DeliveryLogicTest, RecordsAreGrantedAsOthersAreSettledOrDropped) {
  make({.prefetch_records = 4});
  EXPECT_EQ(granted.records, 4u);
  deliver(0, 4);
  EXPECT_EQ(grant(), 4u);
  SharedRecords records = take();
  EXPECT_EQ(grant(), 4u);  // handed out is not settled
  settle("0", records[0]);
  EXPECT_EQ(grant(), 5u);
  settle("1", records[1], {Outcome::kExtend, {}, {}});
  EXPECT_EQ(grant(), 5u);
  settle("2", records[2], nack());
  EXPECT_EQ(grant(), 6u);
  records = {};
  EXPECT_EQ(grant(), 8u);
}

TEST_F(DeliveryLogicTest, AGrantIsWorthItsFrame) {
  make({.prefetch_records = 100});
  deliver(0, 40);
  SharedRecords records = take();
  for (std::size_t i = 0; i < 40; ++i) settle(std::to_string(i), records[i]);
  EXPECT_EQ(grant(), 100u);  // 60 may come already
  deliver(40, 10);
  records = take();
  for (std::size_t i = 0; i < 10; ++i) settle(std::to_string(40 + i), records[i]);
  EXPECT_EQ(grant(), 150u);
}

TEST_F(DeliveryLogicTest, BytesAreOutstandingAsLongAsARecordInThem) {
  const std::size_t size = batch_at(0, 3).size();
  make({.prefetch_bytes = size + 1});
  const auto bytes = [&] {
    grant();
    return granted.bytes;
  };
  EXPECT_EQ(bytes(), size + 1);
  deliver(0, 3);
  EXPECT_EQ(bytes(), size + 1);
  deliver(3, 3);  // one batch always passes
  SharedRecords first = take(), second = take();
  settle("0", first[0]);
  settle("1", first[1]);
  EXPECT_EQ(bytes(), size + 1);
  settle("2", first[2]);
  EXPECT_EQ(bytes(), 2 * size + 1);
  first = {};
  second = {};
  EXPECT_EQ(bytes(), 3 * size + 1);
}

TEST_F(DeliveryLogicTest, WithoutRoomThereIsStillRoomForOne) {
  make({.prefetch_records = 0, .prefetch_bytes = 0});
  EXPECT_EQ(granted, (DeliveryLogic::Grants{1, 1}));
  deliver(0, 1);
  settle("0", next());
  EXPECT_EQ(grant(), 2u);
}

// ---- settling ----

TEST_F(DeliveryLogicTest, WhatIsGatheredIsMergedAndOneRequestIsUnderWay) {
  deliver(0, 10);
  deliver(0, 2, 1);
  const SharedRecords zero = take(), one = take();
  settle("a0", zero[0]);
  EXPECT_EQ(wanted(), "ack 0:0-0");
  for (const std::size_t i : {3u, 1u, 2u, 5u}) settle("a" + std::to_string(i), zero[i]);
  settle("b0", one[0]);
  settle("n6", zero[6], nack(500ms));
  settle("n7", zero[7], nack(500ms));
  settle("n8", zero[8], nack());
  settle("e4", zero[4], {Outcome::kExtend, {}, {}});
  settle("a4", zero[4]);
  EXPECT_EQ(logic->wanted_settlements().has_value(), false);
  EXPECT_TRUE(became.empty());
  answer();
  EXPECT_EQ(became["a0"], kOk);
  EXPECT_EQ(became.size(), 1u);
  EXPECT_EQ(wanted(), "extend 0:4-4 ack 0:1-5 nack(500) 0:6-7 nack 0:8-8 ack 1:0-0");
  answer();
  EXPECT_EQ(became.size(), 11u);
  for (const auto& [name, what] : became) EXPECT_EQ(what, kOk) << name;
  EXPECT_EQ(wanted(), "");
}

TEST_F(DeliveryLogicTest, WhoseRecordWasRefusedIsTold) {
  deliver(0, 10);
  const SharedRecords records = take();
  for (const std::size_t i : {0u, 1u, 2u, 3u}) settle("a" + std::to_string(i), records[i]);
  settle("e5", records[5], {Outcome::kExtend, {}, {}});
  settle("a5", records[5]);
  settle("n6", records[6], nack(1ms));
  EXPECT_EQ(wanted(), "extend 0:5-5 ack 0:0-3 ack 0:5-5 nack(1) 0:6-6");
  answer({refusal(6, 6, Outcome::kNack), refusal(1, 2, Outcome::kAck),
          refusal(5, 5, Outcome::kExtend)});
  const std::map<std::string, std::string> expected = {
      {"a0", kOk}, {"a1", "LeaseLost"}, {"a2", "LeaseLost"}, {"a3", kOk},
      {"a5", kOk}, {"e5", "LeaseLost"}, {"n6", "LeaseLost"}};
  EXPECT_EQ(became, expected);
}

TEST_F(DeliveryLogicTest, ARecordIsSettledOnceAndAllIsTheRest) {
  deliver(0, 5);
  const SharedRecords records = take();
  settle("nack", records[2], nack());
  settle("again", records[2]);
  EXPECT_EQ(became["again"], "LeaseLost");
  const auto all = [&](const std::string& name) {
    Leased(records.owner, records.lease, records.first, 5).start({}, note(name));
  };
  all("all");
  all("nothing left");
  EXPECT_EQ(became["nothing left"], kOk);
  EXPECT_EQ(wanted(), "ack 0:0-1 ack 0:3-4 nack 0:2-2");
  answer({refusal(4, 4, Outcome::kAck)});
  EXPECT_EQ(became["nack"], kOk);
  EXPECT_EQ(became["all"], "LeaseLost");
}

// What refused a record between those of ack_all() is no concern of it.
TEST_F(DeliveryLogicTest, ARefusalBetweenIsNotAll) {
  ASSERT_TRUE(deliver(batch_at(0, 5), {range(0, 1), range(3, 4)}));
  ASSERT_TRUE(deliver(batch_at(0, 5), {range(2, 2)}));
  const SharedRecords outer = take(), inner = take();
  Leased(outer.owner, outer.lease, 0, 4).start({}, note("all"));
  settle("between", inner[0]);
  EXPECT_EQ(wanted(), "ack 0:0-4");
  answer({refusal(2, 2, Outcome::kAck)});
  EXPECT_EQ(became["all"], kOk);
  EXPECT_EQ(became["between"], "LeaseLost");
}

TEST_F(DeliveryLogicTest, ARequestHasSoManyRangesAtMost) {
  make({.prefetch_records = 50'000});
  deliver(0, 50'000);
  std::size_t records = 0;
  for (SharedRecords some = take(); some.size() > 0; some = take()) {
    EXPECT_LE(some.size(), Parcel::kMostRanges);
    for (std::size_t i = 0; i < some.size(); i += 2)
      settle(std::to_string(some[i].offset.value), some[i]);
    records += some.size();
  }
  EXPECT_EQ(records, 50'000u);
  std::size_t acked = 0;
  for (std::string text = wanted(); !text.empty(); text = wanted()) {
    EXPECT_LE(sent->ranges().size(), Parcel::kMostRanges);
    acked += sent->ranges().size();
    answer();
  }
  EXPECT_EQ(acked, 25'000u);
  EXPECT_EQ(became.size(), 25'000u);
}

// Of a key_shared group: batches of some records, which are all the member's.
TEST_F(DeliveryLogicTest, ByKeyARangeSpansWhatIsOthers) {
  make({.kind = GroupKind::kKeyShared});
  auto batches = test::batch_of({10, 13, 14, 18});
  const auto second = test::batch_of({20, 29});
  batches.insert(batches.end(), second.begin(), second.end());
  ASSERT_TRUE(deliver(batches, {range(10, 13), range(14, 14, 3), range(18, 30)}));
  const auto records = take();
  ASSERT_EQ(records.size(), 6u);
  EXPECT_EQ(records[1].attempt(), 1u);
  EXPECT_EQ(records[2].attempt(), 3u);
  EXPECT_EQ(records[3].attempt(), 1u);
  const auto settle_at = [&](std::uint32_t index, Settlement settlement = {}) {
    Leased(records.owner, records.lease, index, 1)
        .start(settlement, note(std::to_string(records[index].offset.value)));
  };
  settle_at(5);
  settle_at(0);
  settle_at(1);
  settle_at(3);
  settle_at(4);
  EXPECT_EQ(wanted(), "ack 0:10-13 ack 0:18-29") << "14 is not settled, and is not to be spanned";
  answer({refusal(13, 13, Outcome::kAck)});
  EXPECT_EQ(became["10"], kOk);
  EXPECT_EQ(became["13"], "LeaseLost");
  EXPECT_EQ(became["29"], kOk);
  settle_at(2, nack(0ms));
  EXPECT_EQ(wanted(), "nack(0) 0:14-14");
}

TEST_F(DeliveryLogicTest, ByKeyWhatBatchesHoldIsOutstanding) {
  make({.kind = GroupKind::kKeyShared, .prefetch_records = 10});
  ASSERT_TRUE(deliver(test::batch_of({0, 100, 200, 300, 400, 500}), {range(0, 1'000)}));
  EXPECT_EQ(grant(), 10u) << "of ten, six came";
  {
    const auto records = take();
    EXPECT_EQ(records.size(), 6u);
    Leased(records.owner, records.lease, 0, 6).start({}, {});
  }
  EXPECT_EQ(grant(), 16u);
  EXPECT_EQ(deliver(test::batch_of({2'000}), {}).error(), ErrorCode::kMalformedFrame);
}

TEST_F(DeliveryLogicTest, WhatIsRejectedForAnotherReasonGoesByItself) {
  deliver(0, 6);
  const SharedRecords records = take();
  const auto reject = [](const char* reason) { return Settlement{Outcome::kReject, {}, reason}; };
  settle("0", records[0], reject("broken"));
  settle("1", records[1], reject("broken"));
  settle("2", records[2]);
  settle("3", records[3], reject(""));
  settle("4", records[4], reject("odd"));
  const std::pair<const char*, const char*> expected[] = {
      {"ack 0:2-2 reject 0:0-1", "broken"}, {"reject 0:3-3", ""}, {"reject 0:4-4", "odd"}};
  for (const auto& [ranges, reason] : expected) {
    EXPECT_EQ(wanted(), ranges);
    EXPECT_EQ(sent->reason(), reason);
    answer();
  }
}

TEST_F(DeliveryLogicTest, ATooLongReasonIsRefusedByItself) {
  deliver(0, 2);
  const SharedRecords records = take();
  settle("0", records[0], {Outcome::kReject, {}, std::string(1'025, 'x')});
  settle("1", records[1]);
  EXPECT_EQ(became["0"], "InvalidRequest");
  EXPECT_EQ(wanted(), "ack 0:1-1");
  settle("again", records[0], {Outcome::kReject, {}, std::string(1'024, 'x')});
  answer();
  EXPECT_EQ(wanted(), "reject 0:0-0");
}

TEST_F(DeliveryLogicTest, DelaysAreWhatTheProtocolCanSay) {
  deliver(0, 3);
  const SharedRecords records = take();
  settle("0", records[0], nack(-5ms));
  settle("1", records[1], nack(std::chrono::hours(24 * 365)));
  EXPECT_EQ(wanted(), "nack(0) 0:0-0 nack(4294967294) 0:1-1");
}

TEST_F(DeliveryLogicTest, ByItselfItAcksWhatTheCallerCameBackFrom) {
  make({.auto_ack = true});
  deliver(0, 5);
  SharedRecord record = next();
  EXPECT_EQ(wanted(), "");
  logic->came_for_more();
  record = next();
  settle("1", record, nack());
  logic->came_for_more();  // settled by the caller
  take();
  EXPECT_EQ(wanted(), "ack 0:0-0 nack 0:1-1");
  answer();
  logic->came_for_more();
  EXPECT_EQ(wanted(), "ack 0:2-4");
}

// ---- extending all ----

TEST_F(DeliveryLogicTest, AllLeasesAreExtendedHandedOutOrNot) {
  const auto deliver_as = [&](std::uint64_t number, std::int64_t base, std::int32_t partition) {
    const auto batches = batch_at(base, 5);
    ASSERT_TRUE(logic->delivered({7,
                                  {kTopic, PartitionIndex(partition)},
                                  "t",
                                  {range(base, base + 1), range(base + 4, base + 4)},
                                  batches,
                                  number}));
  };
  EXPECT_FALSE(logic->has_leases());
  logic->extend_all();
  EXPECT_EQ(wanted(), "");
  deliver_as(1, 10, 0);
  deliver_as(2, 20, 1);
  auto records = take();
  logic->extend_all();
  logic->extend_all();  // the first is not sent yet
  EXPECT_EQ(wanted(), "extend 0:10-14 extend 1:20-24");
  answer();

  Leased(records.owner, records.lease, 0, 3).start({}, note("first"));
  logic->extend_all();  // in the same request as the acks, of what is left
  EXPECT_EQ(wanted(), "extend 1:20-24 ack 0:10-11 ack 0:14-14");
  answer({{{kTopic, PartitionIndex(1)}, Outcome::kExtend, 0, Offset(20), Offset(21), 2}});
  EXPECT_EQ(became["first"], kOk);

  records = take();
  Leased(records.owner, records.lease, 0, 1).start({}, {});
  EXPECT_TRUE(logic->has_leases());
  records = {};  // the others are dropped
  EXPECT_FALSE(logic->has_leases());
  EXPECT_EQ(wanted(), "ack 1:20-20");
  answer();
  logic->extend_all();
  EXPECT_EQ(wanted(), "");
}

TEST_F(DeliveryLogicTest, ByKeyAllLeasesAreExtended) {
  make({.kind = GroupKind::kKeyShared});
  ASSERT_TRUE(deliver(test::batch_of({10, 13, 18}), {range(10, 30)}));
  logic->extend_all();
  EXPECT_EQ(wanted(), "extend 0:10-18");
  answer();
  EXPECT_TRUE(logic->detach().empty());
  EXPECT_FALSE(logic->has_leases());
}

// ---- lost connections ----

TEST_F(DeliveryLogicTest, WhatCameOverALostConnectionIsNotSettled) {
  make({.prefetch_records = 4});
  deliver(0, 4);
  const SharedRecord kept = next();
  SharedRecord unanswered = next(), unsent = next();
  settle("unanswered", unanswered);
  EXPECT_EQ(wanted(), "ack 0:1-1");
  settle("unsent", unsent);
  for (Parcel& parcel : logic->detach()) parcel.finish(ErrorCode::kLeaseLost);
  EXPECT_EQ(became, (std::map<std::string, std::string>{{"unsent", "LeaseLost"}}));
  sent->finish(ErrorCode::kLeaseLost);
  EXPECT_EQ(became["unanswered"], "LeaseLost");
  EXPECT_FALSE(logic->holds_something());  // the fourth comes again
  EXPECT_EQ(logic->attach().records, 4u);
  settle("stale", kept);
  EXPECT_EQ(became["stale"], "LeaseLost");
  EXPECT_EQ(wanted(), "");
  deliver(0, 4);
  EXPECT_EQ(grant(), 4u);
  unanswered = unsent = {};  // of the earlier membership: no room
  EXPECT_EQ(grant(), 4u);
  EXPECT_EQ(values(), "0 1 2 3 ");
}

TEST_F(DeliveryLogicTest, RecordsOutliveWhatTheyCameFrom) {
  deliver(0, 1);
  const SharedRecord record = next();
  here.reset();
  logic.reset();
  EXPECT_EQ(as_text(*record.value), "0");
  settle("late", record);
  EXPECT_EQ(became["late"], "Closed");
  settle("partitioned", SharedRecord{});
  EXPECT_EQ(became["partitioned"], "InvalidRequest");
}

TEST(CheckLeasing, SaysWhatMakesNoSense) {
  const auto options = [] {
    ConsumerOptions some{.topics = {"t"}, .group = Group{"g"}};
    some.kind = GroupKind::kShared;
    return some;
  };
  EXPECT_TRUE(check_leasing(options()));
  std::vector<ConsumerOptions> wrong(7, options());
  wrong[0].group.reset();
  wrong[1].by_hand = true;
  wrong[2].partitions = {PartitionIndex(0)};
  wrong[3].start = StartFrom::last(3);
  wrong[4].start = StartFrom::offset(3);
  wrong[5].ignore_committed = true;
  wrong[6].auto_commit = 1s;
  for (const ConsumerOptions& one : wrong) {
    const auto refused = check_leasing(one);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), ErrorCode::kInvalidRequest);
    EXPECT_FALSE(refused.error().detail.empty());
  }
}

}  // namespace
}  // namespace leat
