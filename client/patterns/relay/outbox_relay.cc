#include "client/patterns/relay/outbox_relay.h"

#include <algorithm>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/patterns/outbox.h"
#include "protocol/base/assert.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto kMinBackoff = 50ms, kMaxBackoff = 5'000ms;
// Transactions that are waited for are about to end, most of them.
constexpr auto kSoon = 2ms;

class Time final : public OutboxWakeup {
  void wait(std::chrono::milliseconds most, int stop) override {
    pollfd stopped{stop, POLLIN, 0};
    ::poll(&stopped, 1, static_cast<int>(most.count()));
  }
};

}  // namespace

std::unique_ptr<OutboxWakeup> wake_by_time() {
  return std::make_unique<Time>();
}

Result<std::unique_ptr<OutboxRelay>> OutboxRelay::open(blocking::Client client, Database& database,
                                                       std::unique_ptr<OutboxWakeup> wakeup,
                                                       OutboxRelayOptions options) {
  if (options.name.empty()) options.name = new_message_id();
  if (options.lease < 1'000ms)
    return fail(ErrorCode::kInvalidConfig, "OutboxRelayOptions::lease is at least a second");
  auto reader = OutboxReader::open(
      database,
      {.name = options.name, .rows = options.rows, .lease = options.lease, .keep = options.keep});
  if (!reader) return fail(reader.error());
  return std::unique_ptr<OutboxRelay>(new OutboxRelay(std::move(client), std::move(*reader),
                                                      std::move(wakeup), std::move(options)));
}

OutboxRelay::OutboxRelay(blocking::Client client, OutboxReader reader,
                         std::unique_ptr<OutboxWakeup> wakeup, OutboxRelayOptions options)
    : client_(std::move(client)),
      reader_(std::move(reader)),
      wakeup_(std::move(wakeup)),
      options_(std::move(options)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  LEAT_ASSERT(stop_ >= 0);
}

OutboxRelay::~OutboxRelay() {
  ::close(stop_);
}

void OutboxRelay::stop() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_, &one, sizeof one);
}

bool OutboxRelay::stopped() const {
  pollfd stop{stop_, POLLIN, 0};
  return ::poll(&stop, 1, 0) > 0;
}

void OutboxRelay::run() {
  auto backoff = kMinBackoff;
  while (!stopped()) {
    auto more = step();
    if (!more) {
      if (stopped()) break;
      if (options_.on_problem) options_.on_problem(more.error());
      pollfd stop{stop_, POLLIN, 0};
      ::poll(&stop, 1, static_cast<int>(backoff.count()));
      backoff = std::min(backoff * 2, kMaxBackoff);
      continue;
    }
    backoff = kMinBackoff;
    if (*more) continue;
    const auto most = reader_.waits_for_others() ? kSoon : options_.look_again;
    wakeup_->wait(std::min(most, std::max(options_.lease / 3, 1ms)), stop_);
  }
  reader_.release();
}

Result<std::uint64_t> OutboxRelay::run_once() {
  const std::uint64_t before = published_;
  auto more = step();
  for (; more && (*more || reader_.waits_for_others()); more = step())
    if (!*more) wakeup_->wait(kSoon, stop_);
  if (held_since_) tell_of_holders();  // it does not wait
  reader_.release();
  if (!more) return fail(more.error());
  return published_ - before;
}

Result<> OutboxRelay::renew() {
  if (steady_clock::now() < renew_at_ && reader_.lanes() > 0) return {};
  if (auto ok = reader_.renew_leases(); !ok) return ok;
  renew_at_ = steady_clock::now() + options_.lease / 3;
  note_holders();
  return {};
}

// Relays that live give a new one its share within a lease: until then there is nothing to tell.
void OutboxRelay::note_holders() {
  if (reader_.held_by_others() == ErrorCode::kOk) {
    held_since_.reset();
    told_of_holders_ = false;
    return;
  }
  const auto now = steady_clock::now();
  if (!held_since_) held_since_ = now;
  if (now - *held_since_ >= options_.lease) tell_of_holders();
}

void OutboxRelay::tell_of_holders() {
  if (!std::exchange(told_of_holders_, true) && options_.on_problem)
    options_.on_problem(reader_.held_by_others());
}

// A round of each lane that has something. False: none has.
Result<bool> OutboxRelay::step() {
  if (auto ok = renew(); !ok) return fail(ok.error());
  auto rounds = reader_.next(std::exchange(refused_rows_, {}), std::exchange(unfinished_, {}));
  if (!rounds) return fail(rounds.error());
  Result<> all;
  const auto note = [&](const OutboxRound& round, Result<> ok) {
    if (ok) return true;
    unfinished_.insert(round.lane);  // to be given again
    if (all) all = std::move(ok);
    return false;
  };
  std::vector<const OutboxRound*> begun;  // lanes are on their way together
  for (const OutboxRound& round : *rounds)
    if (note(round, begin(round))) begun.push_back(&round);
  for (const OutboxRound* round : begun) note(*round, end(*round));
  if (!all) return fail(all.error());
  return !rounds->empty();
}

Publisher& OutboxRelay::publisher(int lane) {
  std::unique_ptr<Publisher>& publisher = publishers_[lane];
  if (!publisher)
    publisher = std::make_unique<Publisher>(
        client_, "outbox/" + reader_.identity() + "/" + std::to_string(lane), options_.publish);
  return *publisher;
}

// The broker may be away for longer than a lease; where it cannot be renewed it runs out.
bool OutboxRelay::while_waiting() {
  (void)renew();
  return !stopped();
}

Result<> OutboxRelay::begin(const OutboxRound& round) {
  Publisher& to = publisher(round.lane);
  if (!round.again)
    if (auto ok = check_age(round, to); !ok) return ok;
  std::vector<PositionedRow> rows;
  rows.reserve(round.rows.size());
  // By its own number, so that it keeps its position when rows of the round are gone.
  for (const OutboxRow& row : round.rows)
    rows.push_back(
        {row,
         {static_cast<std::uint64_t>(round.number), static_cast<std::uint64_t>(row.sequence)}});
  to.begin(std::move(rows), [this] { return while_waiting(); });
  return {};
}

Result<> OutboxRelay::end(const OutboxRound& round) {
  const Published published = publisher(round.lane).end([this] { return while_waiting(); });
  for (const Published::Refused& refused : published.refused) {
    const OutboxRow& row = round.rows[refused.index];
    refused_rows_.push_back({row.sequence, refused.why.message()});
    ++refused_;
    if (options_.on_refused) options_.on_refused(row, refused.why);
  }
  if (published.unfinished != ErrorCode::kOk) return fail(published.unfinished);
  published_ += round.rows.size() - published.refused.size();
  return {};
}

// A database that was restored from a backup counts its rounds from an older one, and what it
// published would be taken for what is stored already.
Result<> OutboxRelay::check_age(const OutboxRound& round, Publisher& to) {
  for (const OutboxRow& row : round.rows) {
    auto routed = RoutedRow::route(row, options_.publish.topic);
    if (!routed || checked_.contains({round.lane, routed->record().topic.name})) continue;
    const std::string& topic = routed->record().topic.name;
    const auto stored = to.stored_in(topic);
    if (stored && stored->high >= static_cast<std::uint64_t>(round.number))
      return fail(ErrorCode::kSourceConflict,
                  "round " + std::to_string(round.number) +
                      " of the outbox is to be published to '" + topic + "', which has round " +
                      std::to_string(stored->high) +
                      " already: was the database restored from a backup? Then empty the table "
                      "leat_outbox_identity, so that the outbox is taken for another one");
    if (!stored && !(stored.error() == ErrorCode::kUnknownTopic) &&
        !(stored.error() == ErrorCode::kInvalidTopicName))
      return fail(stored.error());
    checked_.insert({round.lane, topic});
  }
  return {};
}

}  // namespace leat::patterns
