#include "client/producer.h"

#include "client/producer_core.h"

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

void Producer::start_flush(State& state, Completion<> done) {
  state.core->flush(std::move(done));
}

}  // namespace leat
