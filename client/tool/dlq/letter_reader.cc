#include "client/tool/dlq/letter_reader.h"

#include <algorithm>
#include <mutex>

#include "client/tool/tool.h"

namespace leat::tool {
namespace {

// Records are held for the whole of the reading, however slow that is: the broker's longest.
constexpr auto kAckTimeout = std::chrono::hours(1);

constexpr std::size_t kMostMembers = 100;  // 100,000 records each, unless the broker was told else

std::int64_t open_below(const GroupPartition& partition, Offset end) {
  const Offset from = std::max(partition.committed.value_or(Offset(0)), partition.log_start);
  return std::max<std::int64_t>(end - from - static_cast<std::int64_t>(partition.done), 0);
}

}  // namespace

Result<std::unique_ptr<LetterReader>> LetterReader::open(blocking::Client& client,
                                                         const std::string& topic, What what,
                                                         std::chrono::milliseconds timeout) {
  auto description = client.describe_topic(topic);
  if (!description) return fail(description.error());
  std::unique_ptr<LetterReader> reader(
      new LetterReader(client, std::move(*description), what, timeout));
  if (auto ok = reader->begin(); !ok) return fail(ok.error());
  return reader;
}

Result<> LetterReader::begin() {
  auto group = client_.describe_group(kRedriveGroup);
  if (!group && group.error() != ErrorCode::kUnknownGroup) return fail(group.error());
  count(group && what_ != What::kAll ? group->partitions : std::vector<GroupPartition>());
  return expected_ == 0 ? Result<>() : add_consumer();
}

Result<> LetterReader::add_consumer() {
  auto consumer = client_.consumer(options());
  if (!consumer) return fail(consumer.error());
  consumers_.push_back(std::move(*consumer));
  newest_gave_ = false;
  return {};
}

void LetterReader::count(const std::vector<GroupPartition>& partitions) {
  std::vector<std::int64_t> open;
  for (const PartitionDescription& partition : topic_.partitions)
    open.push_back(partition.high_watermark - partition.log_start);
  joins_ = what_ == What::kLease;
  for (const GroupPartition& partition : partitions) {
    const auto index = static_cast<std::size_t>(partition.partition.value);
    if (partition.topic_id != topic_.id || index >= open.size()) continue;
    open[index] = open_below(partition, end_of(partition.partition));
    with_others_ += partition.leased;
    joins_ = joins_ || partition.done > 0;
  }
  for (const std::int64_t records : open) expected_ += static_cast<std::uint64_t>(records);
}

ConsumerOptions LetterReader::options() const {
  ConsumerOptions options{.topics = {topic_.name}};
  if (what_ != What::kAll) options.group = Group{kRedriveGroup};
  options.by_hand = !joins_;
  if (!joins_) return options;
  options.kind = GroupKind::kShared;
  options.ack_timeout = kAckTimeout;
  return options;
}

Offset LetterReader::end_of(PartitionIndex partition) const {
  const auto index = static_cast<std::size_t>(partition.value);
  return index < topic_.partitions.size() ? topic_.partitions[index].high_watermark : Offset(0);
}

Result<std::span<const ConsumedRecord>> LetterReader::next() {
  given_.clear();
  auto progress = std::chrono::steady_clock::now();
  for (bool quiet = false; !consumers_.empty() && !interrupted();) {
    auto ended = at_end(quiet);
    if (!ended) return fail(ended.error());
    if (*ended) break;
    if (quiet && joins_ && newest_gave_ && consumers_.size() < kMostMembers)
      if (auto ok = add_consumer(); !ok) return fail(ok.error());
    auto records = poll();
    if (!records) return fail(records.error());
    quiet = records->empty();
    keep(*records);
    if (!given_.empty()) break;
    const auto now = std::chrono::steady_clock::now();
    if (!quiet)
      progress = now;
    else if (now - progress >= timeout_)
      return fail(ErrorCode::kTimedOut,
                  "the broker holds more records, but none came: others have them, or it is down "
                  "(--timeout waits longer)");
  }
  return std::span<const ConsumedRecord>(given_);
}

Result<std::span<const ConsumedRecord>> LetterReader::poll() {
  for (auto it = consumers_.rbegin(); it != consumers_.rend(); ++it) {
    const bool newest = it == consumers_.rbegin();
    auto records = (*it)->poll(newest ? kSignalSlice : std::chrono::milliseconds(0));
    if (!records) return records;
    if (records->empty()) continue;
    newest_gave_ = newest_gave_ || newest;
    giver_ = it->get();
    return records;
  }
  return std::span<const ConsumedRecord>();
}

// What died meanwhile is left for another time: a redriven record may die again, and again.
void LetterReader::keep(std::span<const ConsumedRecord> records) {
  for (const ConsumedRecord& record : records) {
    const bool repeated = !seen_.add(record.partition, record.offset);
    if (record.offset >= end_of(record.partition)) continue;
    if (!repeated) ++looked_;
    if (!repeated || what_ == What::kLease) given_.push_back(record);
  }
}

Result<bool> LetterReader::at_end(bool quiet) const {
  if (joins_) {
    if (looked_ + with_others_ >= expected_) return true;
    return quiet ? everything_is_leased() : Result<bool>(false);
  }
  const auto positions = consumers_.back()->positions();
  if (positions.size() < topic_.partitions.size()) return false;
  return std::ranges::all_of(positions, [this](const PartitionOffset& position) {
    return position.offset >= end_of(position.partition);
  });
}

// To this member, as far as it is alone; what is on its way to it is not with it yet.
Result<bool> LetterReader::everything_is_leased() const {
  auto group = client_.describe_group(kRedriveGroup);
  if (!group) return fail(group.error());
  std::uint64_t lag = 0, leased = 0;
  for (const GroupPartition& partition : group->partitions) {
    if (partition.topic_id != topic_.id) continue;
    lag += static_cast<std::uint64_t>(partition.lag());
    leased += partition.leased;
  }
  const bool alone = group->group.members <= consumers_.size();
  return lag <= (alone ? seen_.size() - acked_ : leased);
}

Result<std::uint64_t> LetterReader::ack(std::span<const ConsumedRecord* const> records) {
  struct Outcome {
    std::mutex mutex;
    std::uint64_t lost = 0;
    std::optional<Error> error;
    void take(const Result<>& acked) {
      const std::lock_guard lock(mutex);
      if (!acked && acked.error() == ErrorCode::kLeaseLost)
        ++lost;
      else if (!acked && !error)
        error = acked.error();
    }
  };
  if (records.empty()) return 0;
  const auto outcome = std::make_shared<Outcome>();
  const auto take = [outcome](const Result<>& acked) { outcome->take(acked); };
  for (const ConsumedRecord* record : records.first(records.size() - 1))
    if (auto ok = giver_->ack_async(*record, take); !ok) take(ok);
  take(giver_->ack(*records.back()));  // confirmed behind the others
  const std::lock_guard lock(outcome->mutex);
  if (outcome->error) return fail(*outcome->error);
  acked_ += records.size() - outcome->lost;
  return outcome->lost;
}

}  // namespace leat::tool
