#include "client/patterns/relay/publisher.h"

#include <algorithm>

#include "client/error_code.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostTopics = 10'000;  // known to be there, until they are asked for again

ProducerOptions producer_options(const std::string& source, bool one_by_one) {
  ProducerOptions options;
  options.linger = 0ms;
  options.source = source;
  options.delivery_timeout = std::chrono::hours(24);  // `waiting` decides
  if (one_by_one) {
    options.batch_bytes = 1;
    options.max_in_flight = 1;
  }
  return options;
}

Error error_of(const std::error_code& code) {
  return {code.category() == leat_category() ? static_cast<ErrorCode>(code.value())
                                             : ErrorCode::kClosed,
          error_detail()};
}

}  // namespace

bool is_refusal(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidRequest:
    case ErrorCode::kInvalidTopicName:
    case ErrorCode::kInvalidBatch:
    case ErrorCode::kBatchTooLarge:
      return true;
    default:
      return false;
  }
}

// What is on its way; the handlers' also when the publisher is gone.
struct Publisher::Pending {
  std::mutex mutex;
  std::condition_variable settled;
  std::size_t bytes = 0, records = 0;
  // The first that failed: all behind it in its partition fail with it.
  std::optional<std::pair<std::size_t, Error>> failed;
};

Publisher::Publisher(blocking::Client client, std::string source, PublisherOptions options)
    : client_(std::move(client)),
      source_(std::move(source)),
      options_(std::move(options)),
      pending_(std::make_shared<Pending>()) {}
Publisher::~Publisher() = default;

void Publisher::begin_anew(Pace pace) {
  producer_.reset();  // what it has pending fails
  pending_ = std::make_shared<Pending>();
  pace_ = pace;
  producer_.emplace(client_.async().producer(producer_options(source_, pace == Pace::kOneByOne)));
}

// Topics are made here, so that they have the partitions that are wanted.
Result<> Publisher::know(const std::string& topic) {
  if (known_.contains(topic)) return {};
  auto found = client_.describe_topic(topic);
  if (!found && found.error() == ErrorCode::kUnknownTopic) {
    if (options_.partitions == 0)
      return fail(ErrorCode::kUnknownTopic, "'" + topic + "'; make it with: leat topic create " +
                                                topic + ", or let the relay make topics");
    found = client_.create_topic(topic, options_.partitions, true);
  }
  if (!found) return fail(found.error());
  if (known_.size() >= kMostTopics) known_.clear();
  known_.insert(topic);
  return {};
}

void Publisher::begin(std::vector<PositionedRow> rows, const std::function<bool()>& waiting) {
  rows_ = std::move(rows);
  published_ = {};
  if (!producer_ || pace_ != Pace::kBatches) begin_anew(Pace::kBatches);
  send_from(0, waiting);
}

Published Publisher::end(const std::function<bool()>& waiting) {
  wait_for_all(waiting);
  if (is_refusal(published_.unfinished)) publish_one_by_one(waiting);
  if (published_.unfinished != ErrorCode::kOk || pace_ == Pace::kOneByOne) {
    producer_.reset();  // one that failed is broken
    known_.clear();
  }
  rows_.clear();
  return std::move(published_);
}

// Something of a batch was refused: which, is seen so. What is stored is known.
void Publisher::publish_one_by_one(const std::function<bool()>& waiting) {
  published_ = {};
  for (std::size_t from = 0; from < rows_.size();) {
    begin_anew(Pace::kOneByOne);
    send_from(from, waiting);
    wait_for_all(waiting);
    if (!is_refusal(published_.unfinished)) return;
    from = pending_->failed->first + 1;
    published_.refused.push_back(
        {pending_->failed->first, std::exchange(published_.unfinished, ErrorCode::kOk)});
  }
}

void Publisher::send_from(std::size_t first, const std::function<bool()>& waiting) {
  const std::size_t most = pace_ == Pace::kBatches ? options_.buffer_bytes : 0;
  for (std::size_t i = first; i < rows_.size(); ++i) {
    Result<> sent;
    if (!wait_for(most, waiting))
      sent = fail(ErrorCode::kClosed);
    else if (failed())
      return;
    else
      sent = send(i);
    if (sent) continue;
    published_.unfinished = sent.error();
    return;
  }
}

void Publisher::wait_for_all(const std::function<bool()>& waiting) {
  if (published_.unfinished != ErrorCode::kOk) return;
  if (!wait_for(0, waiting))
    published_.unfinished = ErrorCode::kClosed;
  else if (pending_->failed)
    published_.unfinished = pending_->failed->second;
}

// Until no more than so many bytes are on their way.
bool Publisher::wait_for(std::size_t most, const std::function<bool()>& waiting) {
  std::unique_lock lock(pending_->mutex);
  const auto enough = [&] { return most == 0 ? pending_->records == 0 : pending_->bytes <= most; };
  while (!pending_->settled.wait_for(lock, 200ms, enough)) {
    lock.unlock();
    if (!waiting()) return false;
    lock.lock();
  }
  return true;
}

bool Publisher::failed() const {
  const std::lock_guard lock(pending_->mutex);
  return pending_->failed.has_value();
}

// Error: nothing more can be sent now.
Result<> Publisher::send(std::size_t index) {
  const PositionedRow& row = rows_[index];
  auto routed = RoutedRow::route(row.row, options_.topic);
  Result<> known = routed ? know(routed->record().topic.name) : fail(routed.error());
  if (!known && is_refusal(known.error())) {
    published_.refused.push_back({index, known.error()});
    return {};
  }
  if (!known) return known;
  Record record = routed->record();
  record.source_position = row.position;
  const std::size_t bytes = row.row.payload.value_or(Bytes()).size() + 100;
  {
    const std::lock_guard lock(pending_->mutex);
    pending_->bytes += bytes;
    ++pending_->records;
  }
  producer_->send(record, [pending = pending_, index, bytes](std::error_code error, const Ack&) {
    const std::lock_guard lock(pending->mutex);
    pending->bytes -= bytes;
    --pending->records;
    if (error && (!pending->failed || index < pending->failed->first))
      pending->failed.emplace(index, error_of(error));
    pending->settled.notify_all();
  });
  return {};
}

Result<SourcePosition> Publisher::stored_in(const std::string& topic) {
  auto positions = client_.source_positions(topic, source_);
  if (!positions) return fail(positions.error());
  SourcePosition furthest;
  for (const SourcePosition& position : *positions) furthest = std::max(furthest, position);
  return furthest;
}

}  // namespace leat::patterns
