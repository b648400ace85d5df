#include "client/consumer.h"

#include "client/consumer_core.h"
#include "client/delivery/delivery_core.h"

namespace leat {
namespace {
std::error_code code_of(const Result<>& result) {
  return result ? std::error_code() : make_error_code(result.error().code);
}
}  // namespace

std::shared_ptr<ConsumerState> open_consumer(std::shared_ptr<Link> link, ConsumerOptions options) {
  if (!options.leases()) {
    auto core = std::make_shared<ConsumerCore>(*link, std::move(options));
    return std::make_shared<ConsumerState>(std::move(link), std::move(core));
  }
  auto core = std::make_shared<DeliveryCore>(*link, std::move(options));
  auto state = std::make_shared<ConsumerState>(std::move(link), core);
  // Whoever settles a record keeps the link, too, for as long as that takes.
  core->settles_through(std::shared_ptr<Settler>(state, core.get()));
  return state;
}

Consumer::Consumer(std::shared_ptr<State> state) : state_(std::move(state)) {
  state_->core->start({});  // next() and poll() tell what goes wrong
}

Consumer& Consumer::operator=(Consumer&& other) noexcept {
  std::swap(state_, other.state_);  // `other` closes what was here
  return *this;
}

Consumer::~Consumer() {
  if (state_) state_->core->close([](const Result<>&) {});
}

Consumer::Wait Consumer::prepare(const std::shared_ptr<State>& state) {
  return {state, state->core->new_wait()};
}

// Not at once: the handler must not run inside of whoever cancels it.
void Consumer::cancel(const Wait& wait) {
  if (const auto state = wait.state.lock())
    state->link->post([core = state->core, id = wait.id] { core->cancel(id); });
}

void Consumer::start_next(State& state, const Wait& wait, Completion<SharedRecord> done) {
  state.core->next(wait.id, std::move(done));
}
void Consumer::start_poll(State& state, const Wait& wait, Completion<SharedRecords> done) {
  state.core->poll(wait.id, std::move(done));
}
void Consumer::start_commit(State& state, Completion<> done) {
  state.core->commit(std::move(done));
}
void Consumer::start_commit(State& state, const std::vector<PartitionOffset>& offsets,
                            Completion<> done) {
  state.core->commit(offsets, std::move(done));
}
void Consumer::start_close(State& state, Completion<> done) {
  state.core->close(std::move(done));
}

void Consumer::keep_leases(std::chrono::milliseconds time) {
  state_->core->keep_leases(time);
}
std::error_code Consumer::seek(const TopicPartition& partition, Offset to) {
  return code_of(state_->core->seek(partition, to));
}
std::error_code Consumer::pause(const TopicPartition& partition) {
  return code_of(state_->core->pause(partition, true));
}
std::error_code Consumer::resume(const TopicPartition& partition) {
  return code_of(state_->core->pause(partition, false));
}
std::vector<PartitionOffset> Consumer::positions() const {
  return state_->core->positions();
}
std::vector<TopicPartition> Consumer::assignment() const {
  return state_->core->assignment();
}
std::int64_t Consumer::skipped() const {
  return state_->core->skipped();
}

}  // namespace leat
