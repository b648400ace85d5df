#include "client/patterns/relay/outbox_tail.h"

#include <algorithm>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "protocol/base/assert.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto kMinBackoff = 50ms, kMaxBackoff = 2'000ms;
// The server's wal_sender_timeout is a minute by default; nobody has it below some seconds.
constexpr auto kConfirmEach = 1'000ms;
constexpr auto kLagCheckedEach = 60s;
constexpr const char* kTable = "leat_outbox";

OutboxRow row_at(const SqlRows& rows, std::size_t i) {
  OutboxRow row{.sequence = rows.integer(i, 0),
                .id = rows.text(i, 1),
                .aggregate_type = rows.text(i, 2),
                .aggregate_id = rows.text(i, 3),
                .type = rows.text(i, 4),
                .payload = {},
                .headers = rows.text(i, 6),
                .traceparent = {},
                .deliver_at_ms = {}};
  if (!rows.is_null(i, 5)) row.payload = rows.bytes(i, 5);
  if (!rows.is_null(i, 7)) row.traceparent = rows.text(i, 7);
  if (!rows.is_null(i, 8)) row.deliver_at_ms = rows.integer(i, 8);
  return row;
}

}  // namespace

Result<std::unique_ptr<OutboxTail>> OutboxTail::open(blocking::Client client,
                                                     OutboxTailOptions options) {
  if (options.rows == 0 || options.bytes == 0)
    return fail(ErrorCode::kInvalidConfig, "OutboxTailOptions::rows and bytes are at least 1");
  return std::unique_ptr<OutboxTail>(new OutboxTail(std::move(client), std::move(options)));
}

OutboxTail::OutboxTail(blocking::Client client, OutboxTailOptions options)
    : client_(std::move(client)),
      options_(std::move(options)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  LEAT_ASSERT(stop_ >= 0);
}

OutboxTail::~OutboxTail() {
  ::close(stop_);
}

void OutboxTail::stop() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_, &one, sizeof one);
}

bool OutboxTail::stopped() const {
  pollfd stop{stop_, POLLIN, 0};
  return ::poll(&stop, 1, 0) > 0;
}

// ---- sessions ----

void OutboxTail::run() {
  auto backoff = kMinBackoff;
  while (!stopped()) {
    const std::uint64_t before = published_;
    const auto ended = session(false);
    if (stopped()) return;
    if (published_ > before) backoff = kMinBackoff;
    if (!ended && options_.on_problem) options_.on_problem(ended.error());
    pollfd stop{stop_, POLLIN, 0};
    ::poll(&stop, 1, static_cast<int>(backoff.count()));
    backoff = std::min(backoff * 2, kMaxBackoff);
  }
}

Result<std::uint64_t> OutboxTail::run_once() {
  const std::uint64_t before = published_;
  if (auto ok = session(true); !ok) return fail(ok.error());
  return published_ - before;
}

// Until something fails. What was sent and not confirmed comes again in the next.
Result<> OutboxTail::session(bool once) {
  auto ended = run_session(once);
  // What was published is not to be found in the table, if it can be helped.
  if (removal_ && removal_->advance(0) && stream_ && removal_->done() > done_) {
    done_ = removal_->done();
    [[maybe_unused]] const auto told = confirm();
  }
  removal_.reset();
  stream_.reset();  // whose slot is another's now
  database_.reset();
  return ended;
}

Result<> OutboxTail::run_session(bool once) {
  rows_ = std::make_unique<TailRows>(kTable);
  owners_.clear();
  checked_.clear();
  done_ = 0;
  auto database = PostgresDatabase::open(options_.slot.connection);
  if (!database) return fail(database.error());
  database_ = std::move(*database);
  removal_ = std::make_unique<RowRemoval>(*database_, options_.keep);
  const auto slot = prepare_slot(*database_, options_.slot, stop_);
  if (!slot) return fail(slot.error());
  options_.slot.begin_anew = false;  // that was now
  if (source_ != slot->source) {
    source_ = slot->source;
    publisher_ = std::make_unique<Publisher>(client_, source_, options_.publish);
  }
  const auto end = end_of_log();
  if (!end) return fail(end.error());
  log_end_ = *end;
  auto stream = ReplicationStream::open(options_.slot.connection, options_.slot.slot,
                                        options_.slot.publication, stop_);
  if (!stream) return fail(stream.error());
  stream_ = std::move(*stream);
  // Whoever reads the slot publishes the backlog: one relay at a time.
  if (!slot->backlog_done)
    if (auto ok = publish_backlog(*slot); !ok) return ok;
  return follow(once);
}

Result<pgoutput::Lsn> OutboxTail::end_of_log() {
  auto rows = database_->execute("SELECT pg_current_wal_flush_lsn()::text");
  if (!rows) return fail(rows.error());
  const auto end = pgoutput::read_lsn(rows->text(0, 0));
  if (!end) return fail(ErrorCode::kDatabaseFailed, "PostgreSQL does not say where its log ends");
  return *end;
}

// In the order of their numbers, before anything that the slot tells.
Result<> OutboxTail::publish_backlog(const OutboxSlot& slot) {
  for (;;) {
    auto found = database_->execute(
        "SELECT sequence, id::text, aggregatetype, aggregateid, type, payload, headers, "
        "traceparent, deliver_at_ms FROM leat_outbox WHERE published_ms IS NULL AND failed IS NULL "
        "AND pg_visible_in_snapshot(txid, $1::text::pg_snapshot) ORDER BY sequence "
        "LIMIT $2::text::bigint",
        {std::string_view(slot.snapshot), static_cast<std::int64_t>(options_.rows)});
    if (!found) return fail(found.error());
    if (found->empty()) return end_backlog(*database_, options_.slot);
    std::vector<PositionedRow> rows;
    rows.reserve(found->size());
    for (std::size_t i = 0; i < found->size(); ++i) {
      const OutboxRow row = row_at(*found, i);
      rows.push_back({row, {slot.begins - 1, static_cast<std::uint64_t>(row.sequence)}});
    }
    if (auto ok = publish(rows, 0, {}); !ok) return ok;
    if (auto ok = removal_->advance(0); !ok) return ok;
  }
}

// ---- following the log ----

Result<> OutboxTail::follow(bool once) {
  if (once)
    if (auto ok = confirm(true); !ok) return ok;
  while (!stopped()) {
    auto more = read();
    if (!more) return fail(more.error());
    if (rows_->rows().empty())
      removal_->add({}, rows_->whole());
    else if (auto ok = publish(rows_->rows(), rows_->whole(), rows_->transactions()); !ok)
      return ok;
    rows_->clear();
    owners_.clear();
    if (auto ok = removal_->advance(options_.rows); !ok) return ok;
    const bool moved = removal_->done() > done_;
    done_ = std::max(done_, removal_->done());
    if (moved || reply_wanted_ || steady_clock::now() - confirmed_at_ >= kConfirmEach)
      if (auto ok = confirm(once && done_ < log_end_); !ok) return ok;
    if (once && done_ >= log_end_) return {};
    if (auto ok = check_lag_now(); !ok) return ok;
    if (!*more) stream_->wait(kConfirmEach, stop_, removal_->idle() ? -1 : removal_->socket());
  }
  return {};
}

Result<> OutboxTail::check_lag_now() {
  const auto now = steady_clock::now();
  if (now - lag_checked_at_ < kLagCheckedEach) return {};
  lag_checked_at_ = now;
  if (auto ok = removal_->advance(0); !ok) return ok;
  auto lag = check_lag(*database_, options_.slot);
  if (!lag && options_.on_problem) options_.on_problem(lag.error());
  return {};
}

// What has arrived, as much as is published at a time. False: there was nothing.
Result<bool> OutboxTail::read() {
  bool any = false;
  while (rows_->rows().size() < options_.rows && rows_->bytes() < options_.bytes) {
    auto arrived = stream_->next();
    if (!arrived) return fail(arrived.error());
    if (!*arrived) break;
    any = true;
    if ((*arrived)->message.empty()) {
      rows_->reached((*arrived)->end);
      reply_wanted_ = reply_wanted_ || (*arrived)->reply_wanted;
      continue;
    }
    if (auto ok = rows_->take((*arrived)->message); !ok) return fail(ok.error());
    owners_.push_back(std::move((*arrived)->owner));
  }
  return any;
}

Result<> OutboxTail::confirm(bool ask) {
  confirmed_at_ = steady_clock::now();
  reply_wanted_ = false;
  return stream_->confirm(done_, ask);
}

// ---- publishing ----

bool OutboxTail::while_waiting() {
  if (stopped()) return false;
  if (steady_clock::now() - confirmed_at_ < kConfirmEach) return true;
  return confirm().has_value();  // else the connection is lost
}

// Until all rows are published; their removal is under way then.
Result<> OutboxTail::publish(const std::vector<PositionedRow>& rows, pgoutput::Lsn whole,
                             const std::vector<std::uint32_t>& transactions) {
  if (auto ok = check_age(rows); !ok) return ok;
  const Published published = publisher_->publish(rows, [this] { return while_waiting(); });
  if (published.unfinished != ErrorCode::kOk) return fail(published.unfinished);
  if (auto ok = settle(rows, published, whole, transactions); !ok) return ok;
  published_ += rows.size() - published.refused.size();
  return {};
}

// A database that was set back to an earlier state writes its log again from there, and what it
// tells would be taken for what is stored.
Result<> OutboxTail::check_age(const std::vector<PositionedRow>& rows) {
  std::string_view aggregate_type, type;
  for (const PositionedRow& row : rows) {
    if (row.row.aggregate_type == aggregate_type && row.row.type == type) continue;
    aggregate_type = row.row.aggregate_type;
    type = row.row.type;
    const auto routed = RoutedRow::route(row.row, options_.publish.topic);
    if (!routed || checked_.contains(routed->record().topic.name)) continue;
    const std::string& topic = routed->record().topic.name;
    const auto stored = publisher_->stored_in(topic);
    if (!stored && !(stored.error() == ErrorCode::kUnknownTopic) &&
        !(stored.error() == ErrorCode::kInvalidTopicName))
      return fail(stored.error());
    if (stored && stored->high > log_end_)
      return fail(ErrorCode::kSourceConflict,
                  "'" + topic + "' has what was committed at " + pgoutput::lsn_text(stored->high) +
                      ", but PostgreSQL's log ends at " + pgoutput::lsn_text(log_end_) +
                      ": was the database set back to an earlier state? Then drop the slot '" +
                      options_.slot.slot + "' and begin anew");
    checked_.insert(topic);
  }
  return {};
}

// Published rows go; those that never can be published stay, with the reason.
Result<> OutboxTail::settle(const std::vector<PositionedRow>& rows, const Published& published,
                            pgoutput::Lsn whole, const std::vector<std::uint32_t>& transactions) {
  std::vector<std::int64_t> done;
  done.reserve(rows.size());
  auto refused = published.refused.begin();
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (refused != published.refused.end() && refused->index == i)
      ++refused;
    else
      done.push_back(rows[i].row.sequence);
  if (published.refused.empty()) {
    removal_->add(done, whole, transactions);
    return {};
  }
  removal_->add(done, 0, transactions);
  if (auto ok = removal_->advance(0); !ok) return ok;  // then the connection is free, and sees them
  for (const Published::Refused& one : published.refused) {
    const OutboxRow& row = rows[one.index].row;
    const std::string why = one.why.message();
    auto written = database_->execute(
        "UPDATE leat_outbox SET failed = $2 WHERE sequence = $1 AND published_ms IS NULL",
        {row.sequence, std::string_view(why)});
    if (!written) return fail(written.error());
    ++refused_;
    if (options_.on_refused) options_.on_refused(row, one.why);
  }
  removal_->add({}, whole);
  return {};
}

}  // namespace leat::patterns
