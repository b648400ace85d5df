// A Kafka session on a broker whose storage the test steers: requests and responses as bytes.
//
//   const auto response = ask<kafka::HeartbeatResponse>(kafka::HeartbeatRequest{…}, 4);
//   ASSERT_TRUE(response);
#pragma once

#include <deque>
#include <map>
#include <optional>

#include <gtest/gtest.h>

#include "server/session/kafka/kafka_session.h"
#include "tests/fake_checker.h"
#include "tests/fake_storage.h"
#include "tests/server/recording_output.h"

namespace leat::session {

class KafkaFixture : public ::testing::Test, public broker::ReplySink {
 protected:
  explicit KafkaFixture(broker::BrokerOptions broker_options = {})
      : broker(broker_options, storage, checker, Random(1), *this, now()) {}

  // One more client, numbered from 1; the first is there.
  struct Client {
    Client(KafkaFixture& f, std::uint64_t number)
        : session(ConnectionId(number), f.broker, output, f.memory, f.options, f.facts, f.clock,
                  "/10.0.0." + std::to_string(number)) {}
    RecordingOutput output;
    KafkaSession session;
    std::map<std::int32_t, std::int16_t> versions;  // by correlation
  };
  Client& client(std::uint64_t number = 1) {
    auto& found = clients[number];
    if (!found) found = std::make_unique<Client>(*this, number);
    return *found;
  }
  void disconnect(std::uint64_t number) {
    broker.on_connection_closed(ConnectionId(number), now());
    clients.erase(number);
  }

  void on_reply(const broker::RequestId& request, broker::Reply reply) override {
    if (const auto it = clients.find(request.connection.value); it != clients.end())
      it->second->session.on_reply(request.correlation, std::move(reply));
  }
  void on_push_ready(ConnectionId) override {}
  void on_subscription_ended(ConnectionId, std::uint32_t, const Error&) override {}
  void on_room() override {
    for (auto& [number, client] : clients) client->session.proceed();
  }
  void on_storage_failed(const Error&) override {}

  // Sends a request; its correlation id.
  template <class Request>
  std::int32_t send(const Request& request, std::int16_t version, std::uint64_t number = 1,
                    std::string_view client_id = "test") {
    Client& to = client(number);
    std::vector<std::byte> frame;
    const auto open =
        kafka::begin_request({Request::kApi, version, ++correlation, client_id}, frame);
    const auto encoded = kafka::encode(request, version, frame);
    EXPECT_TRUE(encoded) << encoded.error().message();
    kafka::finish_frame(open, frame);
    to.versions[correlation] = version;
    to.session.on_receive(frame);
    settle();
    return correlation;
  }
  // What may leave leaves; deliver() makes what was written durable first.
  void settle() {
    for (auto& [number, client] : clients) {
      client->session.flush();
      client->session.proceed();
      client->session.flush();
    }
  }
  void deliver() {
    storage.make_durable(broker);
    settle();
  }
  void pass(Duration time) {
    clock.time += time;
    broker.on_time(now());
    deliver();
  }
  // The next response that was sent to a client, whose text and bytes are views into what the
  // fixture keeps; nullopt: there is none.
  template <class Response>
  std::optional<Response> take(std::uint64_t number = 1) {
    Client& from = client(number);
    const auto frame = kafka::parse_frame(from.output.sent, std::size_t{64} << 20);
    EXPECT_TRUE(frame);
    if (!frame || !*frame) return std::nullopt;
    kept.emplace_back((*frame)->content.begin(), (*frame)->content.end());
    from.output.sent.erase(
        from.output.sent.begin(),
        from.output.sent.begin() + static_cast<std::ptrdiff_t>((*frame)->frame_bytes));
    last_correlation = load_be<std::int32_t>(kept.back().data());
    const std::int16_t version = from.versions.at(last_correlation);
    const auto response = kafka::parse_response(kept.back(), Response::kApi, version);
    EXPECT_TRUE(response);
    if (!response) return std::nullopt;
    auto decoded = kafka::decode<Response>(response->body, version, std::size_t{16} << 20);
    EXPECT_TRUE(decoded) << decoded.error().message();
    if (!decoded) return std::nullopt;
    return std::move(*decoded);
  }
  template <class Response, class Request>
  std::optional<Response> ask(const Request& request, std::int16_t version,
                              std::uint64_t number = 1) {
    send(request, version, number);
    deliver();
    return take<Response>(number);
  }

  TopicId create(std::string_view name = "orders", std::int32_t partitions = 2,
                 TopicConfig config = {}) {
    broker.create_topic({ConnectionId(1'000), CorrelationId(1)}, {name, partitions, false, config},
                        now());
    storage.make_durable(broker);
    return storage.find_topic(name)->id;
  }
  Now now() const { return {clock.time, clock.wall}; }

  test::FakeStorage storage;
  test::FakeChecker checker;
  ManualClock clock;
  SessionOptions options;
  KafkaFacts facts{
      .host = "broker.example", .port = 9092, .cluster_id = "cluster", .data_dir = "/data"};
  broker::Broker broker;
  ConnectionMemory memory{64 << 20, 16 << 20, [] {}};
  std::map<std::uint64_t, std::unique_ptr<Client>> clients;
  std::int32_t correlation = 0, last_correlation = 0;
  std::deque<std::vector<std::byte>> kept;
};

}  // namespace leat::session
