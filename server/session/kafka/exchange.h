// A request of a Kafka client that is being carried out: the calls of the broker it still waits
// for, and what its response is made of. Lives at one address from its frame to its response.
// One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/kafka/codec.h"
#include "protocol/kafka/frame.h"
#include "server/session/kafka/kafka_connection.h"

namespace leat::session {

class AnyExchange {
 public:
  AnyExchange(KafkaConnection& connection, const kafka::RequestHeader& header)
      : connection_(connection),
        api_(header.api),
        correlation_(header.correlation_id),
        version_(header.version),
        client_id_(header.client_id.value_or("")) {}
  virtual ~AnyExchange() = default;
  AnyExchange(const AnyExchange&) = delete;
  AnyExchange& operator=(const AnyExchange&) = delete;

  kafka::ApiKey api() const { return api_; }
  std::int16_t version() const { return version_; }
  std::string_view client_id() const { return client_id_; }
  std::int32_t correlation() const { return correlation_; }
  broker::Broker& broker() const { return connection_.broker; }
  const KafkaFacts& facts() const { return connection_.facts; }
  Now now() const { return {connection_.clock.now(), connection_.clock.wall_now()}; }
  // What lives as long as the connection.
  KafkaConnection& of_connection() const { return connection_; }

  // The id for one call of the broker, whose reply `then` gets, perhaps before the call returns: so
  // what `then` writes to must have its place already. It may expect more. The response leaves when
  // nothing is expected any longer and the request has been carried out.
  broker::RequestId expect(std::function<void(broker::Reply&)> then) {
    ++open_;
    return connection_.expect(*this, std::move(then));
  }
  // What the response's views point into.
  std::string_view keep(std::string text) {
    auto kept = std::make_shared<const std::string>(std::move(text));
    const std::string_view view = *kept;
    kept_.push_back(std::move(kept));
    return view;
  }
  void keep(std::shared_ptr<const void> owner) { kept_.push_back(std::move(owner)); }
  // For requests that want no answer.
  void no_response() { silent_ = true; }
  // Nothing is answered: the connection is closed, with one line in the log that says why.
  void close(Error why) {
    if (!fatal_) fatal_ = std::move(why);
  }

  // ---- the session's ----
  void begun() { ++open_; }  // until carried_out()
  void carried_out() { --open_; }
  void answered() { --open_; }
  bool done() const { return open_ == 0 || fatal_; }
  bool silent() const { return silent_; }
  const std::optional<Error>& fatal() const { return fatal_; }
  std::vector<std::shared_ptr<const void>> take_kept() { return std::move(kept_); }
  // Appends a frame; what is borrowed belongs between its bytes.
  virtual Result<std::vector<kafka::Borrowed>> encode(std::vector<std::byte>& to) const = 0;

 private:
  KafkaConnection& connection_;
  const kafka::ApiKey api_;
  const std::int32_t correlation_;
  const std::int16_t version_;
  const std::string client_id_;
  std::size_t open_ = 0;
  bool silent_ = false;
  std::optional<Error> fatal_;
  std::vector<std::shared_ptr<const void>> kept_;
};

template <class Response>
class Exchange final : public AnyExchange {
 public:
  using AnyExchange::AnyExchange;
  Response response;

  Result<std::vector<kafka::Borrowed>> encode(std::vector<std::byte>& to) const override {
    const auto frame = kafka::begin_response(correlation(), Response::kApi, version(), to);
    auto borrowed = kafka::encode_around(response, version(), to);
    if (!borrowed) {
      to.resize(frame.start);
      return borrowed;
    }
    std::size_t bytes = 0;
    for (const kafka::Borrowed& piece : *borrowed) bytes += piece.bytes.size();
    kafka::finish_frame(frame, to, bytes);
    return borrowed;
  }
};

}  // namespace leat::session
