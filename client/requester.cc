#include "client/requester.h"

#include <array>
#include <charconv>
#include <cstdio>

#include "client/request_reply/requester_core.h"
#include "client/requests.h"
#include "protocol/names.h"
#include "protocol/reserved_headers.h"

namespace leat {
namespace {

// 128 random bits: two seeds, as one Random has 64.
std::string random_id() {
  std::array<char, 33> text;
  std::snprintf(text.data(), text.size(), "%016llx%016llx",
                static_cast<unsigned long long>(Random::from_system().next()),
                static_cast<unsigned long long>(Random::from_system().next()));
  return text.data();
}

// In front of others of the same name.
template <std::size_t kCount>
void put_headers(OutgoingRecord& record, const std::array<RecordHeader, kCount>& headers) {
  record.headers.insert(record.headers.begin(), headers.begin(), headers.end());
}

}  // namespace

// ---- the core ----

RequesterCore::RequesterCore(Link& link, RequesterOptions options)
    : link_(link), options_(std::move(options)), logic_(random_id(), options_.timeout) {}

std::shared_ptr<RequesterCore> RequesterCore::open(Link& link, RequesterOptions options) {
  std::shared_ptr<RequesterCore> core(new RequesterCore(link, std::move(options)));
  core->producer_ = ProducerCore::open(
      link, {.linger = std::chrono::milliseconds(0), .delivery_timeout = core->options_.timeout});
  link.run([&] {
    core->timer_.emplace(link.executor());
    core->begin();
  });
  return core;
}

void RequesterCore::close() {
  if (!link_.check_process()) return leave_to_parent(shared_from_this());
  link_.run([this] {
    closed_ = true;
    timer_.reset();
    give_up({ErrorCode::kClosed, "the requester was destroyed"});
    producer_->close();
  });
}

void RequesterCore::request(Number number, const Record& record, Done done) {
  if (auto ok = link_.check_process(); !ok) return done(fail(ok.error()));
  if (in_flight_.fetch_add(1) >= options_.max_in_flight) {
    --in_flight_;
    return done(fail(ErrorCode::kQueueFull, std::to_string(options_.max_in_flight) +
                                                " requests wait for their reply (max_in_flight)"));
  }
  OutgoingRecord asked = record;
  if (!asked.context) asked.context = MessageScope::current();  // it is sent on another thread
  auto given = std::make_shared<std::pair<RequesterLogic::Request, Done>>(
      RequesterLogic::Request{record.topic.name, OwnedRecord(std::move(asked))}, std::move(done));
  link_.post([self = shared_from_this(), number, given] {
    self->accept(number, std::move(given->first), std::move(given->second));
  });
}

// ---- the link's thread ----

void RequesterCore::accept(Number number, RequesterLogic::Request request, Done done) {
  if (closed_) return finish(std::move(done), fail(ErrorCode::kClosed));
  logic_.add(number, std::move(request), std::move(done), clock_.now());
  arm_timer();
  if (reading_ == Reading::kYes)
    send(number);
  else if (reading_ == Reading::kNot)
    begin();
}

void RequesterCore::send(Number number) {
  const auto request = logic_.take_unsent(number);
  if (!request) return;
  const std::string id = logic_.correlation_id(number);
  OutgoingRecord record = request->record.borrow();
  put_headers<3>(record, {{{reserved_headers::kReplyTo, as_bytes(options_.reply_topic)},
                           {reserved_headers::kReplyPartition, as_bytes(partition_)},
                           {reserved_headers::kCorrelationId, as_bytes(id)}}});
  // The id it is answered by is the request's own.
  if (record.context && !record.context->correlation_id.empty())
    put_headers<1>(record,
                   {{{reserved_headers::kFlowId, as_bytes(record.context->correlation_id)}}});
  AckHandler stored = [self = shared_from_this(), number](const Result<Ack>& ack) {
    // Its time is up here, too: the timer says so in the requester's words.
    if (!ack && ack.error() != ErrorCode::kTimedOut) self->fail_one(number, ack.error());
  };
  auto ok = producer_->send(producer_->topic(request->topic), record, stored,
                            std::chrono::milliseconds(0));
  if (!ok) fail_one(number, ok.error());
}

void RequesterCore::begin() {
  reading_ = Reading::kBeginning;
  requests::describe_topic(
      link_, options_.reply_topic, true,
      [self = shared_from_this()](const Result<TopicDescription>& topic) { self->found(topic); });
}

void RequesterCore::found(const Result<TopicDescription>& topic) {
  if (closed_) return;
  if (!topic) return give_up(topic.error());
  const auto partition = static_cast<std::int32_t>(random_.below(topic->partitions.size()));
  partition_ = std::to_string(partition);
  consumer_ = std::make_shared<ConsumerCore>(
      link_, ConsumerOptions{.topics = {options_.reply_topic},
                             .partitions = {PartitionIndex(partition)},
                             .start = StartFrom::latest()});
  consumer_->trace_nothing();
  consumer_->start([self = shared_from_this(), consumer = consumer_](const Result<>& started) {
    self->begun(consumer, started);
  });
}

// It knows where it begins: from now on no reply is missed.
void RequesterCore::begun(const Consumer& consumer, const Result<>& started) {
  if (consumer != consumer_) return;
  if (!started) return give_up(started.error());
  reading_ = Reading::kYes;
  for (const Number number : logic_.unsent()) send(number);
  read(consumer);
}

void RequesterCore::read(const Consumer& consumer) {
  if (consumer != consumer_) return;
  consumer->poll(consumer->new_wait(),
                 [self = shared_from_this(), consumer](const Result<SharedRecords>& records) {
                   self->received(consumer, records);
                 });
}

void RequesterCore::received(const Consumer& consumer, const Result<SharedRecords>& records) {
  if (consumer != consumer_) return;
  // After a cut it goes on from the end of the log.
  if (!records && records.error() != ErrorCode::kLogTruncated) return give_up(records.error());
  if (records)
    for (const ConsumedRecord& record : *records) {
      if (Done done = logic_.answered(record))
        finish(std::move(done), SharedRecord{record, records->owner});
      else
        ++dropped_;
    }
  // Not at once: much may be held, and each reading would be inside the one before.
  link_.post([self = shared_from_this(), consumer] { self->read(consumer); });
}

// No reply can come any more to what waits; unless the broker is only away and nothing was sent:
// then each waits until its own time is up.
void RequesterCore::give_up(const Error& why) {
  const bool away = reading_ == Reading::kBeginning && why == ErrorCode::kTimedOut;
  reading_ = Reading::kNot;
  if (const Consumer consumer = std::exchange(consumer_, nullptr))
    consumer->close([](const Result<>&) {});
  if (away && logic_.next_deadline()) return begin();
  Outcomes outcomes;
  logic_.fail_all(why, outcomes);
  tell(outcomes);
}

void RequesterCore::arm_timer() {
  const auto next = logic_.next_deadline();
  if (!next || timer_armed_ || !timer_) return;
  timer_armed_ = true;
  timer_->expires_at(*next);
  timer_->async_wait([weak = weak_from_this()](std::error_code error) {
    const auto self = weak.lock();
    if (error || !self) return;
    self->timer_armed_ = false;
    Outcomes outcomes;
    self->logic_.expire(self->clock_.now(), outcomes);
    self->tell(outcomes);
    self->arm_timer();
  });
}

void RequesterCore::tell(Outcomes& outcomes) {
  for (auto& outcome : outcomes) finish(std::move(outcome.done), fail(std::move(outcome.error)));
}

void RequesterCore::fail_one(Number number, Error why) {
  if (Done done = logic_.take(number)) finish(std::move(done), fail(std::move(why)));
}

// There is room for the next request in the handler of this one.
void RequesterCore::finish(Done done, Result<SharedRecord> result) {
  --in_flight_;
  done(std::move(result));
}

// ---- the face ----

Requester& Requester::operator=(Requester&& other) noexcept {
  std::swap(state_, other.state_);  // `other` closes what was here
  return *this;
}

Requester::~Requester() {
  if (state_) state_->core->close();
}

Requester::Wait Requester::prepare(const std::shared_ptr<State>& state) {
  return {state, state->core->new_number()};
}

void Requester::start(State& state, const Wait& wait, const Record& record,
                      Completion<SharedRecord> done) {
  state.core->request(wait.number, record, std::move(done));
}

// Not at once: the handler must not run inside of whoever cancels it.
void Requester::cancel(const Wait& wait) {
  if (const auto state = wait.state.lock())
    state->link->post([core = state->core, number = wait.number] { core->cancel(number); });
}

std::uint64_t Requester::dropped() const {
  return state_->core->dropped();
}

// ---- replies ----

Result<Record> make_reply(const ConsumedRecord& request, OutgoingRecord answer) {
  const auto text = [&](std::string_view name) -> std::optional<std::string_view> {
    const auto header = request.headers.find(name);
    if (!header || !header->value) return std::nullopt;
    return as_text(*header->value);
  };
  const auto topic = text(reserved_headers::kReplyTo);
  const auto partition = text(reserved_headers::kReplyPartition);
  const auto id = text(reserved_headers::kCorrelationId);
  if (!topic || !partition || !id)
    return fail(ErrorCode::kInvalidRequest, "the record asks for no reply");
  if (auto ok = validate_topic_name(*topic); !ok)
    return fail(ErrorCode::kInvalidRequest, "the record's leat-reply-to is '" + escaped(*topic) +
                                                "', which is no topic's name");
  PartitionIndex to;
  const char* end = partition->data() + partition->size();
  if (const auto parsed = std::from_chars(partition->data(), end, to.value);
      parsed.ec != std::errc() || parsed.ptr != end)
    return fail(ErrorCode::kInvalidRequest, "the record's leat-reply-partition is '" +
                                                escaped(*partition) + "', which is no number");
  answer.partition = to;
  if (!answer.context)
    answer.context = std::make_shared<const MessageContext>(MessageContext::child_of(request));
  if (const auto flow = text(reserved_headers::kFlowId))
    put_headers<1>(answer, {{{reserved_headers::kFlowId, as_bytes(*flow)}}});
  put_headers<1>(answer, {{{reserved_headers::kCorrelationId, as_bytes(*id)}}});
  return Record(Topic(std::string(*topic)), std::move(answer));
}

}  // namespace leat
