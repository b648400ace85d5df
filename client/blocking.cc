#include "client/blocking.h"

#include <algorithm>

#include "client/call.h"
#include "client/client.h"
#include "client/producer_core.h"
#include "client/reader.h"
#include "client/requests.h"

namespace leat::blocking {

// ---- the client ----

Result<Client> Client::connect(ClientOptions options) {
  return connect(std::move(options), nullptr);
}

Result<Client> Client::connect(ClientOptions options, std::unique_ptr<Connector> connector) {
  auto link = Link::open(std::move(options), std::move(connector));
  if (!link) return fail(link.error());
  auto up = wait_for<void>(**link, [&](Completion<> done) { (*link)->connect(std::move(done)); });
  if (!up) return fail(up.error());
  return Client(std::move(*link));
}

Client::Client(const leat::Client& client) : link_(client.link_) {}

leat::Client Client::async() const {
  return leat::Client(link_);
}

Result<std::chrono::nanoseconds> Client::ping() {
  return wait_for<std::chrono::nanoseconds>(
      *link_, [&](auto done) { requests::ping(*link_, std::move(done)); });
}

Result<TopicDescription> Client::create_topic(std::string_view name, std::int32_t partitions,
                                              bool if_not_exists, TopicConfig config) {
  return wait_for<TopicDescription>(*link_, [&](auto done) {
    requests::create_topic(*link_, {std::string(name), partitions, if_not_exists, config},
                           std::move(done));
  });
}

Result<TopicDescription> Client::configure_topic(std::string_view name, const TopicConfig& config) {
  return wait_for<TopicDescription>(*link_, [&](auto done) {
    requests::configure_topic(*link_, std::string(name), config, std::move(done));
  });
}

Result<Offset> Client::delete_records(const TopicPartition& partition,
                                      std::optional<Offset> before) {
  return wait_for<Offset>(*link_, [&](auto done) {
    requests::delete_records(*link_, partition, before, std::move(done));
  });
}

Result<std::string> Client::create_snapshot(std::string_view name) {
  return wait_for<std::string>(*link_, [&](auto done) {
    requests::create_snapshot(*link_, std::string(name), std::move(done));
  });
}

Result<> Client::reset() {
  return wait_for<void>(*link_, [&](auto done) { requests::reset(*link_, std::move(done)); });
}

Result<TopicDescription> Client::add_partitions(std::string_view name, std::int32_t total) {
  return wait_for<TopicDescription>(*link_, [&](auto done) {
    requests::add_partitions(*link_, std::string(name), total, std::move(done));
  });
}

Result<> Client::delete_topic(std::string_view name) {
  return wait_for<void>(*link_, [&](auto done) {
    requests::delete_topic(*link_, std::string(name), std::move(done));
  });
}

Result<std::vector<TopicDescription>> Client::list_topics() {
  return wait_for<std::vector<TopicDescription>>(
      *link_, [&](auto done) { requests::list_topics(*link_, std::move(done)); });
}

Result<TopicDescription> Client::describe_topic(std::string_view name, bool auto_create) {
  return wait_for<TopicDescription>(*link_, [&](auto done) {
    requests::describe_topic(*link_, std::string(name), auto_create, std::move(done));
  });
}

Result<FoundOffset> Client::find_offset(const TopicPartition& partition, Timestamp time) {
  return wait_for<FoundOffset>(
      *link_, [&](auto done) { requests::find_offset(*link_, partition, time, std::move(done)); });
}

Result<std::vector<SourcePosition>> Client::source_positions(std::string_view topic,
                                                             std::string source) {
  auto described = describe_topic(topic);
  if (!described) return fail(described.error());
  auto stored = wait_for<requests::StoredSource>(*link_, [&](auto done) {
    requests::source_positions(*link_, described->id, std::move(source),
                               link_->options().request_timeout, std::move(done));
  });
  if (!stored) return fail(stored.error());
  return std::move(stored->positions);
}

Result<std::vector<GroupListing>> Client::list_groups() {
  return wait_for<std::vector<GroupListing>>(
      *link_, [&](auto done) { requests::list_groups(*link_, std::move(done)); });
}

Result<GroupDescription> Client::describe_group(std::string_view name) {
  return wait_for<GroupDescription>(*link_, [&](auto done) {
    requests::describe_group(*link_, std::string(name), std::move(done));
  });
}

Result<> Client::delete_group(std::string_view name) {
  return wait_for<void>(*link_, [&](auto done) {
    requests::delete_group(*link_, std::string(name), std::move(done));
  });
}

Result<> Client::set_offsets(std::string_view group, std::vector<PartitionOffset> offsets) {
  return wait_for<void>(*link_, [&](auto done) {
    requests::set_offsets(*link_, std::string(group), std::move(offsets), std::move(done));
  });
}

Result<std::unique_ptr<Producer>> Client::producer(const Topic& topic,
                                                   const ProducerOptions& options) {
  auto description = describe_topic(topic.name, true);
  if (!description) return fail(description.error());
  return std::unique_ptr<Producer>(
      new Producer(link_, ProducerCore::open(*link_, options), std::move(*description)));
}

Result<std::unique_ptr<Consumer>> Client::consumer(ConsumerOptions options) {
  auto state = open_consumer(link_, std::move(options));
  std::unique_ptr<Consumer> consumer(new Consumer(state));
  // Reading goes on through lost connections by itself; a caller of this one wants to be told.
  auto ok = wait_for<void>(
      *link_, [&](Completion<> done) { state->core->start(std::move(done)); },
      2 * link_->options().request_timeout);
  if (!ok) return fail(ok.error());
  return consumer;
}

// ---- the producer ----

Producer::Producer(std::shared_ptr<Link> link, std::shared_ptr<ProducerCore> core,
                   TopicDescription topic)
    : link_(std::move(link)),
      core_(std::move(core)),
      topic_(std::move(topic)),
      number_(core_->topic(topic_)) {}

Producer::~Producer() {
  core_->close();
}

Result<> Producer::send(const OutgoingRecord& record, Completion<Ack> handler) {
  return core_->send(number_, record, handler, core_->options().delivery_timeout);
}

Result<> Producer::send(const Record& record, Completion<Ack> handler) {
  return core_->send(core_->topic(record.topic.name), record, handler,
                     core_->options().delivery_timeout);
}

Result<Ack> Producer::send_and_wait(const OutgoingRecord& record) {
  return wait_for<Ack>(*link_, [&](Completion<Ack> done) {
    const auto patience = core_->options().delivery_timeout;
    if (auto ok = core_->send(number_, record, done, patience); !ok) return done(fail(ok.error()));
    core_->hurry();
  });
}

Result<> Producer::flush(std::chrono::milliseconds timeout) {
  if (auto ok = link_->check_process(); !ok) return ok;
  if (link_->on_own_thread())
    return fail(ErrorCode::kNotAllowed, "a handler cannot wait for what its own thread does");
  auto done = std::make_shared<std::promise<void>>();
  auto flushed = done->get_future();
  core_->flush([done](const Result<>&) { done->set_value(); });
  if (flushed.wait_for(timeout) == std::future_status::ready) return {};
  return fail(ErrorCode::kTimedOut, "records are still unacknowledged");
}

// ---- the consumer ----

Consumer::Consumer(std::shared_ptr<ConsumerState> state)
    : state_(std::move(state)), given_(std::make_unique<SharedRecords>()) {}

Consumer::~Consumer() {
  // In a handler there is no waiting: the words of parting are sent all the same.
  if (!state_->link->check_process() || state_->link->on_own_thread()) {
    state_->core->close([](const Result<>&) {});
    return;
  }
  [[maybe_unused]] const auto closed = wait_for<void>(
      *state_->link, [this](Completion<> done) { state_->core->close(std::move(done)); });
}

Result<std::span<const ConsumedRecord>> Consumer::poll(std::chrono::milliseconds timeout) {
  *given_ = {};  // what nobody has any more makes room
  auto records = state_->core->poll(timeout);
  if (!records) return fail(records.error());
  *given_ = std::move(*records);
  return std::span<const ConsumedRecord>(given_->records);
}

Result<> Consumer::commit() {
  return wait_for<void>(*state_->link,
                        [this](Completion<> done) { state_->core->commit(std::move(done)); });
}

Result<> Consumer::commit(const std::vector<PartitionOffset>& offsets) {
  return wait_for<void>(*state_->link,
                        [&](Completion<> done) { state_->core->commit(offsets, std::move(done)); });
}

void Consumer::commit_async(Completion<> done) {
  state_->core->commit(std::move(done));
}

// A copy of the record does as well.
Result<> Consumer::start(const ConsumedRecord& record, const Settlement& settlement,
                         Completion<> done) {
  const auto& all = given_->records;
  const bool is_one =
      !std::less<>{}(&record, all.data()) && std::less<>{}(&record, all.data() + all.size());
  const auto at = is_one
                      ? all.begin() + (&record - all.data())
                      : std::ranges::lower_bound(all, record.offset, {}, &ConsumedRecord::offset);
  if (at == all.end() || at->offset != record.offset || at->partition != record.partition)
    return fail(ErrorCode::kLeaseLost, "it is not of what the latest poll() gave");
  const auto index = static_cast<std::uint32_t>(at - all.begin());
  Leased(given_->owner, given_->lease, given_->first + index, 1).start(settlement, std::move(done));
  return {};
}

Result<> Consumer::settle(const ConsumedRecord& record, const Settlement& settlement) {
  return wait_for<void>(*state_->link, [&](Completion<> done) {
    const auto held = std::make_shared<Completion<>>(std::move(done));
    const auto finish = [held](Result<> result) { (*held)(std::move(result)); };
    if (auto ok = start(record, settlement, finish); !ok) finish(std::move(ok));
  });
}

Result<> Consumer::ack(const ConsumedRecord& record) {
  return settle(record, {});
}
Result<> Consumer::nack(const ConsumedRecord& record,
                        std::optional<std::chrono::milliseconds> delay) {
  return settle(record, {.outcome = native::Outcome::kNack, .delay = delay, .reason = {}});
}
Result<> Consumer::extend(const ConsumedRecord& record) {
  return settle(record, {.outcome = native::Outcome::kExtend, .delay = {}, .reason = {}});
}
Result<> Consumer::reject(const ConsumedRecord& record, std::string reason) {
  return settle(record,
                {.outcome = native::Outcome::kReject, .delay = {}, .reason = std::move(reason)});
}
Result<> Consumer::ack_async(const ConsumedRecord& record, Completion<> done) {
  return start(record, {}, std::move(done));
}

Result<> Consumer::ack_all() {
  return wait_for<void>(*state_->link, [this](Completion<> done) {
    if (given_->size() == 0) return done(Result<>());
    Leased(given_->owner, given_->lease, given_->first, static_cast<std::uint32_t>(given_->size()))
        .start({}, std::move(done));
  });
}

Result<> Consumer::seek(const TopicPartition& partition, Offset to) {
  return state_->core->seek(partition, to);
}
void Consumer::keep_leases(std::chrono::milliseconds time) {
  state_->core->keep_leases(time);
}
Result<> Consumer::pause(const TopicPartition& partition) {
  return state_->core->pause(partition, true);
}
Result<> Consumer::resume(const TopicPartition& partition) {
  return state_->core->pause(partition, false);
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

}  // namespace leat::blocking
