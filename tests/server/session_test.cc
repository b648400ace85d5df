// One native session without sockets: what it holds back, and how long it waits for its peer.
#include <gtest/gtest.h>

#include "server/session/native_session.h"
#include "tests/fake_checker.h"
#include "tests/fake_storage.h"
#include "tests/server/recording_output.h"

namespace leat::session {
namespace {

using namespace std::chrono_literals;

class SessionTest : public ::testing::Test, public broker::ReplySink {
 protected:
  void on_reply(const broker::RequestId& request, broker::Reply reply) override {
    session.on_reply(request.correlation, std::move(reply));
  }
  void on_push_ready(ConnectionId) override {}
  void on_subscription_ended(ConnectionId, std::uint32_t subscription, const Error& why) override {
    session.on_subscription_ended(subscription, why);
  }
  void on_room() override { session.proceed(); }
  void on_storage_failed(const Error&) override {}

  void receive(const native::Request& request) {
    std::vector<std::byte> frame;
    native::encode(CorrelationId(++correlation), request, frame);
    session.on_receive(frame);
    session.flush();
  }
  // The last reply, where it is one of these.
  template <class Reply>
  const Reply* newest() {
    session.flush();
    native::FrameView last;
    for (Bytes rest(output.sent); !rest.empty(); rest = rest.subspan(last.frame_bytes))
      last = **native::parse_frame(rest, {});
    auto decoded = native::decode_reply(last, aligned_);
    EXPECT_TRUE(decoded);
    newest_ = std::move(decoded->message);
    return std::get_if<Reply>(&newest_);
  }
  std::size_t replies() {
    session.flush();
    std::size_t count = 0;
    for (Bytes rest(output.sent); !rest.empty(); ++count)
      rest = rest.subspan((*native::parse_frame(rest, {}))->frame_bytes);
    return count;
  }

  test::FakeStorage storage;
  test::FakeChecker checker;
  ManualClock clock;
  RecordingOutput output;
  SessionOptions options;
  broker::Broker broker{{.checking_bytes = 10'000}, storage, checker, Random(1), *this, Now()};
  ConnectionMemory memory{100'000, 20'000, [] {}};
  NativeSession session{ConnectionId(1), broker, output, memory, options, clock};
  std::uint64_t correlation = 0;

 private:
  native::AlignedEnvelope aligned_;
  native::Reply newest_;
};

TEST_F(SessionTest, HoldsRequestsBackWithoutRoomAndLosesNone) {
  receive(native::Hello{});
  storage.room = false;
  for (int i = 0; i < 5; ++i) receive(native::Ping{});
  EXPECT_EQ(replies(), 1u);  // Hello's
  EXPECT_TRUE(output.paused);
  storage.room = true;
  broker.on_room();
  EXPECT_EQ(replies(), 6u);
  EXPECT_FALSE(output.paused);
}

TEST_F(SessionTest, SettingsThatMeanNothingAreRefusedOneByOne) {
  receive(native::Hello{});
  receive(native::CreateTopic{"orders", 1});
  storage.make_durable(broker);
  const TopicConfig hostile[] = {{.durability = static_cast<Durability>(255)},
                                 {.interval = std::chrono::milliseconds(-1)},
                                 {.cleanup = static_cast<Cleanup>(0)},
                                 {.on_full = static_cast<OnFull>(200)},
                                 {.retention = {.time = std::chrono::milliseconds(INT64_MIN)}},
                                 {.retention = {.records = -2}}};
  for (const TopicConfig& config : hostile) {
    for (const native::Request& request :
         {native::Request(native::ConfigureTopic{"orders", config}),
          native::Request(native::CreateTopic{"other", 1, false, config})}) {
      receive(request);
      const auto* error = newest<native::ErrorReply>();
      ASSERT_TRUE(error);
      EXPECT_EQ(error->code, ErrorCode::kInvalidRequest) << error->detail;
    }
  }
  const native::PartitionRef first{storage.find_topic("orders")->id, PartitionIndex(0)};
  receive(native::DeleteRecords{first, Offset(INT64_MIN)});
  ASSERT_TRUE(newest<native::ErrorReply>());
  EXPECT_EQ(newest<native::ErrorReply>()->code, ErrorCode::kOffsetOutOfRange);
  receive(native::DeleteRecords{first, native::DeleteRecords::kAll});
  ASSERT_TRUE(newest<native::DeleteRecordsReply>());
  EXPECT_FALSE(output.closed);
  EXPECT_FALSE(storage.find_topic("other"));
  EXPECT_EQ(storage.find_topic("orders")->config, TopicConfig());
}

// More than is checked in place.
std::vector<std::byte> large_batch() {
  RecordBatchBuilder builder;
  const std::string zeros(200'000, '0');
  builder.append({.value = as_bytes(zeros)}, 1);
  return builder.take(Compression::kGzip);
}

TEST_F(SessionTest, OfRecordsThatAreKnownTheReplySaysWhereTheyAre) {
  receive(native::Hello{});
  receive(native::CreateTopic{"orders", 1});
  const auto send = [&](std::initializer_list<const char*> ids) {
    RecordBatchBuilder builder;
    for (const char* id : ids) {
      const RecordHeader header{"leat-id", as_bytes(std::string_view(id))};
      builder.append({.value = as_bytes("v"), .headers = {&header, 1}}, 1);
    }
    receive(native::Produce{storage.find_topic("orders")->id, PartitionIndex(0), builder.finish()});
    storage.make_durable(broker);
    return *newest<native::ProduceReply>();
  };
  EXPECT_TRUE(send({"a", "b"}).known.empty());
  const native::ProduceReply sparse = send({"c", "a", "b"});
  EXPECT_EQ(sparse.base_offset, Offset(2));
  EXPECT_EQ(sparse.known, (std::vector<native::KnownRecords>{{1, 2, Offset(0)}}));
}

TEST_F(SessionTest, WhileABatchIsCheckedHeartbeatsGoOnAndWhatMustNotOvertakeItWaits) {
  receive(native::Hello{});
  receive(native::CreateTopic{"orders", 1});
  storage.make_durable(broker);
  const auto batch = large_batch();
  receive(native::Produce{storage.find_topic("orders")->id, PartitionIndex(0), batch});
  receive(native::Ping{});
  EXPECT_EQ(replies(), 3u);  // Hello's, the topic's, the ping's
  EXPECT_FALSE(output.paused);
  receive(native::DeleteTopic{"orders"});
  receive(native::Ping{});
  EXPECT_TRUE(output.paused);
  EXPECT_TRUE(storage.find_topic("orders"));
  EXPECT_EQ(replies(), 3u);
  checker.tell(broker);
  storage.make_durable(broker);
  session.proceed();
  storage.make_durable(broker);
  EXPECT_FALSE(storage.find_topic("orders"));
  EXPECT_EQ(replies(), 6u);
  EXPECT_FALSE(output.paused);
}

TEST_F(SessionTest, WhenTooManyBatchesAreCheckedItsSocketIsNotReadAndNoneIsLost) {
  receive(native::Hello{});
  receive(native::CreateTopic{"orders", 1});
  storage.make_durable(broker);
  const TopicId topic = storage.find_topic("orders")->id;
  const auto batch = large_batch();
  while (!output.paused) receive(native::Produce{topic, PartitionIndex(0), batch});
  const std::size_t sent = correlation;
  EXPECT_LE(broker.produces().waiting_bytes(), broker.options().checking_bytes);
  checker.tell_all(broker);
  EXPECT_FALSE(output.paused);
  checker.tell_all(broker);
  storage.make_durable(broker);
  EXPECT_EQ(replies(), sent);
}

TEST_F(SessionTest, APeerThatDoesNotReadIsNotReadFrom) {
  receive(native::Hello{});
  output.queued = options.output_bytes;
  receive(native::Ping{});
  EXPECT_TRUE(output.paused);
  EXPECT_EQ(replies(), 1u);
  output.queued = 0;
  session.proceed();
  EXPECT_EQ(replies(), 2u);
}

TEST_F(SessionTest, AHelloMustComeInTime) {
  ASSERT_EQ(session.deadline(), clock.time + options.frame_deadline);
  session.on_deadline();
  EXPECT_TRUE(output.closed);
  EXPECT_EQ(output.complaints, 1);
}

TEST_F(SessionTest, ABegunFrameMustComeInTimeHoweverItTrickles) {
  receive(native::Hello{});
  EXPECT_FALSE(session.deadline());  // silence between frames is fine
  std::vector<std::byte> frame;
  native::encode(CorrelationId(2), native::Request(native::Ping{}), frame);
  session.on_receive(Bytes(frame).first(1));
  const auto deadline = session.deadline();
  ASSERT_EQ(deadline, clock.time + options.frame_deadline);
  clock.time += 5s;
  session.on_receive(Bytes(frame).subspan(1, 1));
  EXPECT_EQ(session.deadline(), deadline);  // another byte buys no time
  session.on_receive(Bytes(frame).subspan(2));
  EXPECT_FALSE(session.deadline());
}

TEST_F(SessionTest, WhatIsHeldBackIsNotThePeersDelay) {
  receive(native::Hello{});
  storage.room = false;
  receive(native::Ping{});
  EXPECT_FALSE(session.deadline());
}

// ---- memory ----

// The first `bytes` of a frame of `whole`.
std::vector<std::byte> begun(std::size_t whole, std::size_t bytes) {
  std::vector<std::byte> frame(bytes);
  native::write_frame_header(
      std::span(frame).first<native::kFrameHeaderBytes>(),
      {.envelope_bytes = 8,
       .payload_bytes = static_cast<std::uint32_t>(whole - native::kFrameHeaderBytes - 8)});
  return frame;
}

TEST_F(SessionTest, RoomForAFrameIsKeptFromItsHeaderUntilItIsThrough) {
  receive(native::Hello{});
  EXPECT_EQ(memory.used(), 0u);
  session.on_receive(begun(8'000, 100));
  EXPECT_EQ(memory.used(), 8'000u);
  EXPECT_FALSE(output.paused);
  session.on_deadline();
  EXPECT_EQ(memory.used(), 8'000u);  // until it is closed
}

// Whoever receives may write the rest of a large frame where it belongs, in any pieces.
TEST_F(SessionTest, ALargeFramesRestMayBePutInItsPlace) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Random random(seed);
    ConnectionMemory ample{10'000'000, 1'000'000, [] {}};
    RecordingOutput by_call, by_room;
    NativeSession called{ConnectionId(7), broker, by_call, ample, options, clock};
    NativeSession filled{ConnectionId(8), broker, by_room, ample, options, clock};
    std::vector<std::byte> frames;
    native::encode(CorrelationId(1), native::Request(native::Hello{}), frames);
    for (std::uint64_t i = 2; i < 12; ++i) {
      const std::vector<std::byte> payload(random.below(2) == 0 ? 100 : random.below(300'000));
      native::encode(CorrelationId(i),
                     native::Request(native::Produce{{}, PartitionIndex(0), payload}), frames);
    }
    std::size_t put = 0;
    for (Bytes rest(frames); !rest.empty();) {
      const std::size_t bytes = std::min<std::size_t>(random.below(90'000) + 1, rest.size());
      const session::Session::Room room = filled.room();
      const std::size_t there = std::min(bytes, room.place.size());
      std::ranges::copy(rest.first(there), room.place.begin());
      if (there > 0)
        filled.filled(there);
      else
        filled.on_receive(rest.first(bytes));
      put += there;
      rest = rest.subspan(there > 0 ? there : bytes);
    }
    called.on_receive(frames);
    called.flush();
    filled.flush();
    EXPECT_TRUE(by_room.sent == by_call.sent) << "seed " << seed;
    EXPECT_GT(put, 0u);
    EXPECT_EQ(ample.used(), 0u);
  }
}

// Storage may keep a batch in the memory it was received in, where that holds little else.
TEST_F(SessionTest, ALargeBatchMayStayWhereItWasReceived) {
  ConnectionMemory ample{10'000'000, 1'000'000, [] {}};
  NativeSession other{ConnectionId(2), broker, output, ample, options, clock};
  const TopicId topic = Random(3).topic_id();
  ASSERT_TRUE(storage.create_topic(topic, "orders", 1, {}, WallTime()));
  std::vector<std::byte> hello, large, small;
  native::encode(CorrelationId(1), native::Request(native::Hello{}), hello);
  const auto encode = [&](std::size_t bytes, std::vector<std::byte>& frame) {
    RecordBatchBuilder builder;
    const std::string value(bytes, 'v');
    builder.append({.key = {}, .value = as_bytes(value)}, 1);
    native::encode(CorrelationId(2),
                   native::Request(native::Produce{topic, PartitionIndex(0), builder.finish()}),
                   frame);
  };
  encode(100'000, large);
  encode(100, small);
  const auto receive_in_two = [&](Bytes frames, std::size_t first) {
    other.on_receive(frames.first(first));
    other.on_receive(frames.subspan(first));
    other.flush();
  };
  const auto together = [](std::vector<std::byte> frame, const std::vector<std::byte>& behind) {
    frame.insert(frame.end(), behind.begin(), behind.end());
    return frame;
  };
  other.on_receive(hello);
  other.on_receive(large);  // in the receiver's memory
  other.on_receive(small);
  EXPECT_EQ(storage.may_stay, 0);
  receive_in_two(large, 70'000);
  EXPECT_EQ(storage.may_stay, 1);
  receive_in_two(together(large, small), 70'000);
  EXPECT_EQ(storage.may_stay, 2);
  // Little of a small frame is its batch, and what follows a begun frame is not in its memory.
  receive_in_two(small, 50);
  receive_in_two(together(small, large), 50);
  EXPECT_EQ(storage.may_stay, 2);
  // The broker holds requests back: what then lies in memory together is copied.
  storage.room = false;
  for (int i = 0; i < 3; ++i) other.on_receive(small);
  storage.room = true;
  broker.on_room();
  other.proceed();
  EXPECT_EQ(storage.may_stay, 2);
  const auto id = storage.find_topic("orders")->partitions.front();
  storage.make_durable(broker);
  for (const auto& stored : storage.result_of(id).batches)
    EXPECT_TRUE(RecordBatchView::parse(stored.bytes)->validate());
}

// However frames begin, grow and go: the bound holds, nobody waits for ever, none is lost.
TEST_F(SessionTest, ConnectionsTogetherKeepWithinTheirMemory) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    struct Other {
      RecordingOutput output;
      std::unique_ptr<NativeSession> session;
      std::vector<std::byte> unsent;
    };
    std::vector<std::unique_ptr<Other>> others;
    for (std::uint64_t id = 10; id < 30; ++id) {
      others.push_back(std::make_unique<Other>());
      Other& other = *others.back();
      other.session = std::make_unique<NativeSession>(ConnectionId(id), broker, other.output,
                                                      memory, options, clock);
      native::encode(CorrelationId(1), native::Request(native::Hello{}), other.unsent);
      const std::vector<std::byte> payload(random.below(19'000) + 100);
      native::encode(CorrelationId(2),
                     native::Request(native::Produce{{}, PartitionIndex(0), payload}),
                     other.unsent);
    }
    for (std::size_t left = others.size(); left > 0;) {
      left = 0;
      for (const auto& other : others) {
        if (other->unsent.empty()) continue;
        ++left;
        if (other->output.paused) continue;
        const std::size_t bytes =
            std::min<std::size_t>(random.below(3'000) + 1, other->unsent.size());
        other->session->on_receive(Bytes(other->unsent).first(bytes));
        other->unsent.erase(other->unsent.begin(),
                            other->unsent.begin() + static_cast<std::ptrdiff_t>(bytes));
      }
      if (memory.take_room())
        for (const auto& other : others) other->session->proceed();
    }
    for (const auto& other : others) EXPECT_EQ(other->output.complaints, 0) << "seed " << seed;
    others.clear();
    EXPECT_EQ(memory.used(), 0u) << "seed " << seed;
  }
  EXPECT_LE(memory.peak(), memory.limit());
  EXPECT_GT(memory.peak(), memory.limit() / 4);
}

TEST_F(SessionTest, AConnectionForWhoseBytesThereIsNoRoomIsToldSo) {
  receive(native::Hello{});
  ASSERT_TRUE(memory.hold(79'990));
  ASSERT_TRUE(memory.reserve(10));
  session.on_receive(begun(15'000, 100));
  EXPECT_TRUE(output.closed);
  EXPECT_EQ(memory.used(), 80'000u);
  memory.give_back(79'990, 10);
}

TEST_F(SessionTest, OutputCountsUntilItsLastHolderLetsGo) {
  auto shared = std::make_shared<ConnectionMemory>(1'000, 100, [] {});
  auto slice = ConnectionMemory::count_output(shared, nullptr, 600);
  const auto other = slice;
  EXPECT_TRUE(shared->is_full());
  slice.reset();
  EXPECT_EQ(shared->used(), 600u);
}

}  // namespace
}  // namespace leat::session
