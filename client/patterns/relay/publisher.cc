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

Published Publisher::publish(const std::vector<PositionedRow>& rows,
                             const std::function<bool()>& waiting) {
  Published published;
  if (!producer_ || pace_ != Pace::kBatches) begin_anew(Pace::kBatches);
  publish_from(0, rows, Pace::kBatches, waiting, published);
  if (published.unfinished == ErrorCode::kOk) return published;
  if (is_refusal(published.unfinished)) {
    // Something of a batch was refused: which, is seen one by one. What is stored is known.
    published = {};
    for (std::size_t from = 0; from < rows.size();) {
      begin_anew(Pace::kOneByOne);
      published.unfinished = ErrorCode::kOk;
      publish_from(from, rows, Pace::kOneByOne, waiting, published);
      if (published.unfinished == ErrorCode::kOk) break;
      if (!is_refusal(published.unfinished)) break;
      from = pending_->failed->first + 1;
      published.refused.push_back({pending_->failed->first, published.unfinished});
      published.unfinished = ErrorCode::kOk;
    }
  }
  producer_.reset();  // one that failed is broken
  known_.clear();
  return published;
}

void Publisher::publish_from(std::size_t first, const std::vector<PositionedRow>& rows, Pace pace,
                             const std::function<bool()>& waiting, Published& published) {
  const auto give_up = [&](const Error& why) { published.unfinished = why; };
  for (std::size_t i = first; i < rows.size(); ++i) {
    const std::size_t most = pace == Pace::kBatches ? options_.buffer_bytes : 0;
    if (!wait_for(most, waiting)) return give_up(ErrorCode::kClosed);
    if (failed()) break;
    if (auto sent = send(i, rows[i], published); !sent) return give_up(sent.error());
  }
  if (!wait_for(0, waiting)) return give_up(ErrorCode::kClosed);
  if (pending_->failed) give_up(pending_->failed->second);
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
Result<> Publisher::send(std::size_t index, const PositionedRow& row, Published& published) {
  auto routed = RoutedRow::route(row.row, options_.topic);
  Result<> known = routed ? know(routed->record().topic.name) : fail(routed.error());
  if (!known && is_refusal(known.error())) {
    published.refused.push_back({index, known.error()});
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
