#include "server/session/native_session.h"

#include <algorithm>

namespace leat::session {
namespace {

template <class... Case>
struct Overloaded : Case... {
  using Case::operator()...;
};
template <class... Case>
Overloaded(Case...) -> Overloaded<Case...>;

constexpr std::byte kZeros[native::kFrameAlignment]{};

native::PartitionState state_of(const storage::PartitionBounds& bounds) {
  return {bounds.log_start, bounds.high_watermark};
}

native::TopicState state_of(const broker::TopicDescription& topic) {
  native::TopicState state{topic.id, topic.name, topic.created.time_since_epoch().count(), {}};
  for (const auto& bounds : topic.partitions) state.partitions.push_back(state_of(bounds));
  return state;
}

// The broker's reply in the protocol's words; borrows from `reply`.
native::Reply encode_reply(const broker::Reply& reply) {
  return std::visit(
      Overloaded{
          [](const Error& error) -> native::Reply {
            return native::ErrorReply{error.code, error.detail};
          },
          [](const broker::TopicDeleted&) -> native::Reply { return native::DeleteTopicReply{}; },
          [](const broker::OffsetsCommitted&) -> native::Reply {
            return native::CommitOffsetsReply{};
          },
          [](const broker::TopicDescription& topic) -> native::Reply {
            return native::TopicReply{state_of(topic)};
          },
          [](const std::vector<broker::TopicDescription>& topics) -> native::Reply {
            native::TopicsReply all;
            for (const auto& topic : topics) all.topics.push_back(state_of(topic));
            return all;
          },
          [](const broker::Produced& produced) -> native::Reply {
            return native::ProduceReply{produced.base};
          },
          [](const broker::Fetched& fetched) -> native::Reply {
            return native::FetchReply{fetched.bounds.log_start, fetched.bounds.high_watermark, {}};
          },
          [](const broker::GroupOffsets& offsets) -> native::Reply {
            native::FetchOffsetsReply all;
            for (const auto& o : offsets.offsets)
              all.offsets.push_back({o.topic, o.partition, o.offset, o.metadata});
            return all;
          }},
      reply);
}

}  // namespace

NativeSession::NativeSession(ConnectionId id, broker::Broker& broker, SessionOutput& output,
                             const SessionOptions& options, const Clock& clock)
    : id_(id), broker_(broker), output_(output), options_(options), clock_(clock) {
  update_deadline();
}

void NativeSession::on_receive(Bytes bytes) {
  if (closing_) return;
  if (received_.empty()) {
    const std::size_t used = process(bytes);
    received_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(used), bytes.end());
  } else {
    received_.insert(received_.end(), bytes.begin(), bytes.end());
    proceed();
  }
  update_deadline();
}

void NativeSession::proceed() {
  if (closing_ || blocked()) return;
  if (paused_) {
    paused_ = false;
    output_.resume(id_);
  }
  const std::size_t used = process(received_);
  received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(used));
  if (received_.empty()) received_.shrink_to_fit();
  update_deadline();
}

// Handles whole frames from the front; returns how many bytes they had. Stops, and stops reading
// from the peer, where the broker or the peer's own appetite for replies demands it.
std::size_t NativeSession::process(Bytes bytes) {
  std::size_t used = 0;
  held_back_ = false;
  while (!closing_ && used < bytes.size()) {
    if (blocked()) {
      held_back_ = true;
      if (!paused_) output_.pause(id_);
      paused_ = true;
      break;
    }
    auto frame = native::parse_frame(bytes.subspan(used),
                                     greeted_ ? options_.limits : native::kLimitsBeforeHello);
    if (!frame) {
      refuse(frame.error());
      break;
    }
    if (!*frame) break;
    handle(**frame);
    used += (*frame)->frame_bytes;
  }
  return closing_ ? bytes.size() : used;
}

bool NativeSession::blocked() const {
  return in_flight_ >= options_.requests_in_flight || !broker_.accepts_records() ||
         output_.queued_bytes(id_) + replies_.size() >= options_.output_bytes;
}

void NativeSession::handle(const native::FrameView& frame) {
  CorrelationId correlation;
  auto request = native::decode_request(frame, aligned_, correlation);
  if (!request && request.error() == ErrorCode::kUnsupportedRequest)
    return send_reply(correlation,
                      native::ErrorReply{request.error().code, request.error().detail});
  if (!request) return refuse(request.error());
  if (const auto* greeting = std::get_if<native::Hello>(&request->message))
    return hello(request->correlation, *greeting);
  if (!greeted_) return refuse({ErrorCode::kMalformedFrame, "the first message must be Hello"});
  ++in_flight_;
  dispatch(request->correlation, request->message);
}

void NativeSession::hello(CorrelationId correlation, const native::Hello& hello) {
  if (hello.min_version > native::kProtocolVersion ||
      hello.max_version < native::kProtocolVersion) {
    const std::string detail = "the client speaks versions " + std::to_string(hello.min_version) +
                               " to " + std::to_string(hello.max_version) + ", this broker " +
                               std::to_string(native::kProtocolVersion);
    send_reply(correlation, native::ErrorReply{ErrorCode::kUnsupportedVersion, detail});
    closing_ = true;
    flush();
    return output_.close_when_drained(id_);
  }
  greeted_ = true;
  send_reply(correlation,
             native::HelloReply{
                 .version = native::kProtocolVersion,
                 .server_name = options_.server_name,
                 .max_envelope_bytes = static_cast<std::uint32_t>(options_.limits.envelope_bytes),
                 .max_payload_bytes = static_cast<std::uint32_t>(options_.limits.payload_bytes),
                 .max_batch_bytes = static_cast<std::uint32_t>(broker_.options().batch_bytes)});
}

void NativeSession::dispatch(CorrelationId correlation, const native::Request& request) {
  const broker::RequestId id{id_, correlation};
  std::visit(
      Overloaded{
          [](const native::Hello&) {},  // handled before
          [&](const native::Ping&) {
            --in_flight_;
            send_reply(correlation, native::Pong{});
          },
          [&](const native::CreateTopic& r) {
            broker_.create_topic(id, r.name, r.partitions, r.if_not_exists, clock_.wall_now());
          },
          [&](const native::DeleteTopic& r) { broker_.delete_topic(id, r.name); },
          [&](const native::ListTopics&) { broker_.list_topics(id); },
          [&](const native::DescribeTopic& r) {
            broker_.describe_topic(id, r.name, r.auto_create, clock_.wall_now());
          },
          [&](const native::Produce& r) { broker_.produce(id, r.topic, r.partition, r.batch); },
          [&](const native::Fetch& r) {
            broker_.fetch(id,
                          {.topic = r.topic,
                           .partition = r.partition,
                           .offset = r.offset,
                           .max_bytes = r.max_bytes,
                           .max_wait = std::chrono::milliseconds(r.max_wait_ms)},
                          clock_.now());
          },
          [&](const native::CommitOffsets& r) {
            std::vector<storage::OffsetCommit> offsets;
            offsets.reserve(r.offsets.size());
            for (const auto& o : r.offsets)
              offsets.push_back({o.topic, o.partition, o.offset, o.metadata});
            broker_.commit_offsets(id, r.group, offsets);
          },
          [&](const native::FetchOffsets& r) {
            std::vector<std::pair<TopicId, PartitionIndex>> partitions;
            partitions.reserve(r.partitions.size());
            for (const auto& p : r.partitions) partitions.emplace_back(p.topic, p.partition);
            broker_.fetch_offsets(id, r.group, partitions);
          },
          [&](const auto&) {
            --in_flight_;
            send_reply(correlation, native::ErrorReply{ErrorCode::kUnsupportedRequest, {}});
          }},
      request);
}

void NativeSession::on_reply(CorrelationId correlation, broker::Reply reply) {
  if (in_flight_ > 0) --in_flight_;
  if (auto* fetched = std::get_if<broker::Fetched>(&reply); fetched && !fetched->batches.empty())
    return send_fetched(correlation, std::move(*fetched));
  send_reply(correlation, encode_reply(reply));
}

void NativeSession::send_reply(CorrelationId correlation, const native::Reply& reply) {
  native::encode(correlation, reply, replies_);
}

// The batches go out from where they lie: the tail cache, or what a cold read brought.
void NativeSession::send_fetched(CorrelationId correlation, broker::Fetched fetched) {
  std::size_t bytes = 0;
  for (const auto& batch : fetched.batches) bytes += batch.bytes.size();
  native::encode_head(
      correlation, native::FetchReply{fetched.bounds.log_start, fetched.bounds.high_watermark, {}},
      bytes, replies_);
  flush();
  for (auto& batch : fetched.batches) output_.send(id_, std::move(batch.owner), batch.bytes);
  if (const std::size_t padding = native::payload_padding(bytes); padding > 0)
    output_.send(id_, nullptr, Bytes(kZeros, padding));
}

void NativeSession::flush() {
  if (replies_.empty()) return;
  auto owner = std::make_shared<std::vector<std::byte>>(std::move(replies_));
  replies_ = {};
  const Bytes bytes(*owner);
  output_.send(id_, std::move(owner), bytes);
}

void NativeSession::refuse(const Error& error) {
  output_.complain(id_, error.message());
  send_reply(CorrelationId(0), native::ErrorReply{error.code, error.detail});
  closing_ = true;
  flush();
  output_.close_when_drained(id_);
}

void NativeSession::update_deadline() {
  const bool waits = !closing_ && (!greeted_ || (!received_.empty() && !held_back_));
  if (!waits)
    deadline_.reset();
  else if (!deadline_)
    deadline_ = clock_.now() + options_.frame_deadline;
}

void NativeSession::on_deadline() {
  refuse({ErrorCode::kTimedOut,
          greeted_ ? "a frame was begun and not completed in time" : "no Hello arrived in time"});
  deadline_.reset();
}

}  // namespace leat::session
