#include "client/producer.h"

#include "client/producer_core.h"
#include "client/requester.h"

namespace leat {

Producer& Producer::operator=(Producer&& other) noexcept {
  std::swap(state_, other.state_);  // `other` closes what was here
  return *this;
}

Producer::~Producer() {
  if (state_) state_->core->close();
}

void Producer::start(State& state, const Record& record, Completion<Ack> done) {
  ProducerCore& core = *state.core;
  auto ok = core.send(core.topic(record.topic.name), record, done, std::chrono::milliseconds(0));
  if (!ok) done(fail(ok.error()));
}

void Producer::start_reply(State& state, const ConsumedRecord& request, Bytes answer,
                           Completion<Ack> done) {
  const auto reply = make_reply(request, {.value = answer});
  if (!reply) return done(fail(reply.error()));
  start(state, *reply, std::move(done));
}

void Producer::start_flush(State& state, Completion<> done) {
  state.core->flush(std::move(done));
}

}  // namespace leat
