#include "server/session/kafka/kafka_session.h"

namespace leat::session {

void KafkaConnection::on_reply(CorrelationId call, broker::Reply& reply) {
  auto node = calls_.extract(call);
  if (node.empty()) return;
  AnyExchange& exchange = *node.mapped().exchange;
  node.mapped().then(reply);
  exchange.answered();
}

// ---- in ----

FramedSession::Taken KafkaSession::take_frame(Bytes received) {
  const auto frame = kafka::parse_frame(received, options_.kafka_frame_bytes);
  if (!frame) {
    refuse(frame.error());
    return {};
  }
  if (!*frame) return {};
  const auto request = kafka::parse_request((*frame)->content);
  if (!request) {
    refuse(request.error());
    return {};
  }
  if (must_wait(request->header.api)) return {.held_back = true};
  auto exchange = begin(*request);
  if (!exchange) {
    refuse(exchange.error());
    return {};
  }
  if (!*exchange) return {.held_back = true};
  note(request->header);
  if (request->header.api == kafka::ApiKey::kFetch) ++fetching_;
  exchanges_.push_back(std::move(*exchange));
  return {.bytes = (*frame)->frame_bytes};
}

Result<std::unique_ptr<AnyExchange>> KafkaSession::begin(const kafka::Request& request) {
  const kafka::RequestHeader& header = request.header;
  const kafka::ApiInfo& api = kafka::api_info(header.api);
  if (api.supports(header.version)) return handler_of(header.api).begin(request, connection_);
  if (header.api == kafka::ApiKey::kApiVersions)
    return unsupported_api_versions(header, connection_);
  return fail(ErrorCode::kUnsupportedVersion,
              "Kafka's " + std::string(api.name) + " " + std::to_string(header.version));
}

// What reads waits for what the same client produced before, as it would if one request were
// carried out at a time, which is what Kafka does. Of fetches one at a time holds records.
bool KafkaSession::must_wait(kafka::ApiKey api) const {
  switch (api) {
    case kafka::ApiKey::kProduce:
    case kafka::ApiKey::kApiVersions:
    case kafka::ApiKey::kHeartbeat:
      return false;
    case kafka::ApiKey::kFetch:
      return fetching_ > 0;
    default:
      return broker_.produces().waits(id_);
  }
}

std::size_t KafkaSession::begun_frame(Bytes received) const {
  if (received.size() < kafka::kLengthBytes) return 0;
  const auto length = load_be<std::int32_t>(received.data());
  if (length < 0 || static_cast<std::size_t>(length) > options_.kafka_frame_bytes) return 0;
  return kafka::kLengthBytes + static_cast<std::size_t>(length);
}

bool KafkaSession::blocked() const {
  return output_waits() || exchanges_.size() >= options_.kafka_requests_in_flight ||
         !broker_.accepts_records() || output_.queued_bytes(id_) >= options_.output_bytes;
}

void KafkaSession::note(const kafka::RequestHeader& header) {
  const kafka::ApiInfo* api = &kafka::api_info(header.api);
  std::uint32_t& seen = seen_[static_cast<std::size_t>(api - kafka::kApis)];
  const std::uint32_t bit = std::uint32_t{1} << (header.version & 31);
  if ((seen & bit) != 0) return;
  seen |= bit;
  output_.trace(id_, "event=kafka_api api=" + std::string(api->name) +
                         " version=" + std::to_string(header.version));
}

// ---- out ----

void KafkaSession::on_reply(CorrelationId call, broker::Reply reply) {
  if (!closing_) connection_.on_reply(call, reply);
}

void KafkaSession::flush() {
  while (!exchanges_.empty() && exchanges_.front()->done()) {
    const auto exchange = std::move(exchanges_.front());
    exchanges_.pop_front();
    if (!send(*exchange)) return;
  }
}

namespace {

// A response, and what it views, until it has left.
struct Sent {
  std::vector<std::byte> bytes;
  std::vector<std::shared_ptr<const void>> kept;
};

}  // namespace

// False: the connection is being closed instead.
bool KafkaSession::send(AnyExchange& exchange) {
  if (exchange.api() == kafka::ApiKey::kFetch) --fetching_;
  if (exchange.fatal()) {
    refuse(*exchange.fatal());
    return false;
  }
  if (exchange.silent()) return true;
  auto sent = std::make_shared<Sent>();
  const auto borrowed = exchange.encode(sent->bytes);
  if (!borrowed) {
    refuse(borrowed.error());
    return false;
  }
  sent->kept = exchange.take_kept();
  const Bytes bytes(sent->bytes);
  std::size_t at = 0;
  for (const kafka::Borrowed& piece : *borrowed) {
    if (piece.at > at) output_.send(id_, sent, bytes.subspan(at, piece.at - at));
    output_.send(id_, sent, piece.bytes);
    at = piece.at;
  }
  if (at < bytes.size()) output_.send(id_, sent, bytes.subspan(at));
  return true;
}

// Kafka has no frame for what belongs to no request: the connection is closed, and the log says
// why.
void KafkaSession::refuse(const Error& error) {
  output_.complain(id_, error.message());
  exchanges_.clear();
  close();
}

}  // namespace leat::session
