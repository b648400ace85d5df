// A Storage that tests steer: durable when told, reads now or later, room or none, failure.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "protocol/base/assert.h"
#include "protocol/record_batch.h"
#include "storage/state/state.h"
#include "storage/storage.h"

namespace leat::test {

class FakeStorage final : public storage::Storage {
 public:
  // ---- what the test decides; the events reach the broker at once ----
  void make_durable(storage::StorageEvents& events) {
    durable_ = last_;
    for (auto& [id, partition] : partitions_) {
      if (partition.high_watermark == partition.next) continue;
      partition.high_watermark = partition.next;
      events.on_high_watermark(id);
    }
    events.on_durable(durable_);
  }
  static constexpr std::size_t kSources = 4;  // in partitions
  bool room = true, reads_later = false, ids_later = false, failed = false;
  std::vector<storage::ReadToken> waiting_reads;
  std::map<storage::ReadToken, storage::KnownIds> waiting_ids;  // with what is to be answered
  void answer_ids(storage::ReadToken token, storage::StorageEvents& events) {
    events.on_known_ids(token, std::move(waiting_ids.extract(token).mapped()));
  }
  LeaderEpoch epoch{1};  // of this start
  // As of a restart that lost what was not durable.
  void cut(PartitionId id, Offset end) {
    Partition& partition = partitions_.at(id);
    while (partition.next > end) {
      partition.next = RecordBatchView::parse(*partition.batches.back())->base_offset();
      partition.batches.pop_back();
    }
    std::erase_if(sources_said_,
                  [&](const Said& said) { return said.partition == id && said.base >= end; });
    sources_ = storage::SourceStore(kSources);
    for (const Said& said : sources_said_) sources_.apply({said.partition, said.name, said.to});
    partition.high_watermark = partition.next;
    std::erase_if(partition.ids, [end](const auto& known) { return known.second.offset >= end; });
    epoch = epoch + 1;
  }
  struct Read {
    PartitionId partition;
    Offset from;
    std::size_t max_bytes;
  };
  int may_stay = 0;  // batches of which storage may keep the memory
  Read last_read;
  std::map<storage::ReadToken, Read> reads;  // every one that was to be answered later
  Result<storage::ReadResult> answer(storage::ReadToken token) const {
    const Read& read = reads.at(token);
    if (read.from < bounds(read.partition).log_start) return fail(ErrorCode::kOffsetOutOfRange);
    return result_of(read.partition, read.from, read.max_bytes);
  }
  storage::ReadResult result_of(PartitionId id, Offset from = Offset(0),
                                std::size_t max_bytes = SIZE_MAX) const {
    storage::ReadResult result;
    const Partition& partition = partitions_.at(id);
    std::size_t bytes = 0;
    for (const auto& batch : partition.batches) {
      const auto view = *RecordBatchView::parse(*batch);
      if (view.last_offset() < from || view.base_offset() >= partition.high_watermark) continue;
      bytes += batch->size();
      if (bytes > max_bytes && !result.batches.empty()) break;
      result.batches.push_back({batch, Bytes(*batch)});
    }
    return result;
  }

  // ---- Storage ----
  JournalPosition reply_position() const override { return last_; }
  JournalPosition durable() const override { return durable_; }
  bool has_room() const override { return room; }
  const storage::Topic* find_topic(std::string_view name) const override {
    for (const auto& topic : topics_)
      if (topic->name == name) return topic.get();
    return nullptr;
  }
  const storage::Topic* find_topic(const TopicId& id) const override {
    for (const auto& topic : topics_)
      if (topic->id == id) return topic.get();
    return nullptr;
  }
  std::vector<const storage::Topic*> topics() const override {
    std::vector<const storage::Topic*> all;
    for (const auto& topic : topics_) all.push_back(topic.get());
    return all;
  }
  Result<JournalPosition> create_topic(const TopicId& id, std::string_view name,
                                       std::int32_t partitions, TopicConfig config,
                                       WallTime now) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    auto topic =
        std::make_unique<storage::Topic>(storage::Topic{id, std::string(name), now, {}, config});
    for (std::int32_t i = 0; i < partitions; ++i) {
      topic->partitions.push_back(next_partition_);
      partitions_[next_partition_];
      next_partition_ = next_partition_ + 1;
    }
    topics_.push_back(std::move(topic));
    return last_ = last_ + 1;
  }
  Result<JournalPosition> delete_topic(const TopicId& id) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    const auto& gone = find_topic(id)->partitions;
    sources_.apply(storage::TopicDeleted{id, gone});
    std::erase_if(sources_said_, [&](const Said& said) {
      return std::ranges::binary_search(gone, said.partition);
    });
    std::erase_if(topics_, [&](const auto& topic) { return topic->id == id; });
    return last_ = last_ + 1;
  }
  Result<JournalPosition> add_partitions(const TopicId& id, std::uint32_t count) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    for (auto& topic : topics_) {
      if (topic->id != id) continue;
      for (std::uint32_t i = 0; i < count; ++i) {
        topic->partitions.push_back(next_partition_);
        partitions_[next_partition_];
        next_partition_ = next_partition_ + 1;
      }
    }
    return last_ = last_ + 1;
  }
  Result<JournalPosition> configure_topic(const TopicId& id, TopicConfig config) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    for (auto& topic : topics_)
      if (topic->id == id) topic->config = config;
    return last_ = last_ + 1;
  }
  Result<JournalPosition> move_log_start(PartitionId id, Offset start) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    Partition& partition = partitions_.at(id);
    LEAT_ASSERT(start >= partition.log_start && start <= partition.high_watermark);
    partition.log_start = start;
    return last_ = last_ + 1;
  }
  std::vector<std::string> snapshots;  // that were begun
  std::vector<WallTime> retained;      // when retain() was called
  void retain(WallTime now) override { retained.push_back(now); }
  std::uint64_t droppable = 0;       // bytes of topics that drop their oldest records
  std::vector<std::uint64_t> drops;  // what drop_oldest() was asked for
  bool drop_oldest(std::uint64_t bytes) override {
    drops.push_back(bytes);
    if (bytes > droppable) return false;
    droppable -= bytes;
    stored_ -= std::min(stored_, bytes);
    return true;
  }
  Offset looked_from{0};
  Offset look_from(PartitionId, std::int64_t) const override { return looked_from; }
  std::size_t batches_in_run = 2;
  std::optional<storage::TimedRun> newest_run(
      PartitionId id, const std::optional<storage::TimedRun>& behind = {}) const override {
    const Partition& partition = partitions_.at(id);
    const auto follows = [](const storage::TimedRun& run, const storage::TimedRun& other) {
      return std::pair(other.newest_ms, run.first) > std::pair(run.newest_ms, other.first);
    };
    std::optional<storage::TimedRun> best;
    for (std::size_t i = 0; i < partition.batches.size(); i += batches_in_run) {
      storage::TimedRun run{Offset(0), Offset(0), INT64_MIN};
      for (std::size_t j = i; j < std::min(i + batches_in_run, partition.batches.size()); ++j) {
        const auto view = *RecordBatchView::parse(*partition.batches[j]);
        if (j == i) run.first = std::max(view.base_offset(), partition.log_start);
        run.next = std::min(view.last_offset() + 1, partition.high_watermark);
        run.newest_ms = std::max(run.newest_ms, view.max_timestamp_ms());
      }
      if (run.first >= run.next || (behind && !follows(run, *behind))) continue;
      if (!best || follows(*best, run)) best = run;
    }
    return best;
  }
  Result<storage::Appended> append(PartitionId id, const TopicConfig& config,
                                   const storage::NewBatch& added, const storage::NewIds& ids = {},
                                   const std::optional<SourceStep>& source = {}) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    Partition& partition = partitions_.at(id);
    if (added.may_stay()) {
      ++may_stay;
      assign_offset(added.place(), partition.next, epoch);
    }
    const Bytes bytes = added.bytes();
    auto batch = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
    assign_offset(*batch, partition.next, epoch);
    const auto view = *RecordBatchView::parse(*batch);
    const Offset base = partition.next;
    partition.next = view.last_offset() + 1;
    remember(partition, base, ids);
    if (source) {
      sources_said_.push_back({id, base, std::string(source->source), source->to});
      sources_.apply({id, source->source, source->to});
    }
    const bool sync = config.durability == Durability::kSync;
    if (sync) last_ = last_ + 1;
    if (!sync) partition.high_watermark = partition.next;
    producers_.apply(id, *RecordBatchView::parse(with_whole_sequence(*batch)),
                     JournalPosition(++positions_));
    epochs_.apply(id, epoch, base);
    stored_ += batch->size();
    partition.batches.push_back(std::move(batch));
    return storage::Appended{base, config.durability};
  }
  LeaderEpoch leader_epoch() const override { return epoch; }
  Offset end_of_epoch(PartitionId id, LeaderEpoch asked) const override {
    return epochs_.end_of(id, asked).value_or(partitions_.at(id).next);
  }
  std::uint64_t stored_bytes() const override { return stored_; }
  std::uint64_t stored_bytes(PartitionId id) const override {
    std::uint64_t bytes = 0;
    for (const auto& batch : partitions_.at(id).batches) bytes += batch->size();
    return bytes;
  }
  Result<storage::IssuedProducer> init_producer(std::optional<std::int64_t> id,
                                                std::int16_t asked) override {
    std::optional<storage::ProducerId> known;
    if (id) known = storage::ProducerId(*id);
    auto initialized = producers_.init(known, asked);
    if (!initialized) return fail(initialized.error());
    producers_.apply(*initialized);
    last_ = last_ + 1;
    return storage::IssuedProducer{initialized->id.value, initialized->epoch};
  }
  Result<std::optional<Offset>> check_sequence(PartitionId id,
                                               const RecordBatchView& batch) const override {
    return producers_.check(id, batch);
  }
  SourcePosition source_position(PartitionId id, std::string_view source) const override {
    return sources_.position(id, source);
  }
  Result<bool> check_source(PartitionId id, const SourceStep& step) const override {
    return sources_.check(id, step);
  }
  storage::PartitionBounds bounds(PartitionId id) const override {
    return {partitions_.at(id).log_start, partitions_.at(id).high_watermark};
  }
  storage::ReadOutcome read(PartitionId id, Offset from, std::size_t max_bytes,
                            storage::ReadToken token) override {
    LEAT_ASSERT(from >= bounds(id).log_start && from <= bounds(id).high_watermark);
    if (!reads_later) return result_of(id, from, max_bytes);
    last_read = reads[token] = {id, from, max_bytes};
    waiting_reads.push_back(token);
    return storage::ReadLater{};
  }
  storage::KnownIdsOutcome find_ids(PartitionId id, storage::IdWindow window,
                                    std::span<const storage::IdHash> ids, WallTime now,
                                    storage::ReadToken token) override {
    const Partition& partition = partitions_.at(id);
    storage::KnownIds known;
    for (const storage::IdHash& hash : ids) {
      const auto it = partition.ids.find(hash);
      const bool found = it != partition.ids.end() && within(partition, it->second, window, now);
      known.push_back(found ? std::optional(it->second.offset) : std::nullopt);
    }
    if (!ids_later) return known;
    waiting_ids[token] = std::move(known);
    return storage::ReadLater{};
  }
  const storage::Group* find_group(std::string_view group) const override {
    return groups_.find(group);
  }
  std::vector<std::string> groups() const override {
    std::set<std::string> names;
    for (const auto& [name, group] : groups_.all()) names.insert(name);
    for (const std::string_view name : offsets_.groups()) names.emplace(name);
    return {names.begin(), names.end()};
  }
  Result<JournalPosition> change_group(const storage::GroupChange& change) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    const storage::Group* group = groups_.find(change.group);
    groups_.apply(storage::GroupChanged{group ? group->epoch + 1 : 1, change});
    return last_ = last_ + 1;
  }
  Result<JournalPosition> delete_group(std::string_view group) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    groups_.apply(storage::GroupDeleted{group});
    offsets_.apply(storage::GroupDeleted{group});
    acks_.apply(storage::GroupDeleted{group});
    return last_ = last_ + 1;
  }
  Result<JournalPosition> commit_offsets(std::string_view group,
                                         std::span<const storage::OffsetCommit> offsets) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    const storage::OffsetsCommitted committed{group, {offsets.begin(), offsets.end()}};
    offsets_.apply(committed);
    acks_.apply(committed);
    return last_ = last_ + 1;
  }
  Result<JournalPosition> remove_offsets(
      std::string_view group, std::span<const storage::TopicPartition> partitions) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    const storage::OffsetsRemoved removed{group, {partitions.begin(), partitions.end()}};
    offsets_.apply(removed);
    acks_.apply(removed);
    return last_ = last_ + 1;
  }
  std::size_t group_count() const override { return groups().size(); }
  bool has_group(std::string_view group) const override {
    return groups_.find(group) || offsets_.has_group(group);
  }
  std::vector<std::pair<storage::TopicPartition, storage::Committed>> commits(
      std::string_view group) const override {
    return offsets_.commits(group);
  }
  std::optional<storage::Committed> committed(std::string_view group, const TopicId& topic,
                                              PartitionIndex partition) const override {
    return offsets_.find(group, topic, partition);
  }
  const storage::PartitionAcks* acks(std::string_view group, const TopicId& topic,
                                     PartitionIndex partition) const override {
    return acks_.find(group, {topic, partition});
  }
  Result<JournalPosition> change_acks(const storage::AcksChange& change) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    const auto known = committed(change.group, change.partition.topic, change.partition.partition);
    offsets_.apply(acks_.apply({known ? known->offset : Offset(0), change}));
    return last_ = last_ + 1;
  }
  Result<storage::Appended> dead_letter(PartitionId id, const TopicConfig& config, Bytes batch,
                                        const storage::AcksChange& change) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    static_cast<void>(change_acks(change));
    TopicConfig sync = config;
    sync.durability = Durability::kSync;
    return append(id, sync, batch);
  }
  Result<> snapshot(std::string_view name) override {
    snapshots.emplace_back(name);
    return {};
  }
  void poll(storage::StorageEvents&) override {}

 private:
  struct KnownId {
    Offset offset;
    WallTime appended;
    std::uint64_t number;
  };
  struct Partition {
    Offset log_start{0}, next{0}, high_watermark{0};
    std::map<storage::IdHash, KnownId> ids;
    std::uint64_t next_number = 0;  // of an id
    std::vector<std::shared_ptr<std::vector<std::byte>>> batches;
  };
  // Records that were taken out have used up their sequence numbers all the same.
  static std::vector<std::byte> with_whole_sequence(std::vector<std::byte> batch) {
    const std::int32_t last = RecordBatchView::parse(batch)->last_offset_delta();
    store_be(batch.data() + batch_layout::kRecordCount, last + 1);
    return batch;
  }
  static bool within(const Partition& partition, const KnownId& id, const storage::IdWindow& window,
                     WallTime now) {
    return !window.off() && now - id.appended <= window.time &&
           partition.next_number - id.number <= window.ids;
  }
  static void remember(Partition& partition, Offset base, const storage::NewIds& ids) {
    if (!ids.window) return;
    for (const storage::RecordId& id : ids.ids)
      partition.ids[id.id] = {base + id.delta, ids.now, partition.next_number++};
    std::erase_if(partition.ids, [&](const auto& id) {
      return !within(partition, id.second, *ids.window, ids.now);
    });
  }
  JournalPosition last_, durable_;
  PartitionId next_partition_{1};
  std::vector<std::unique_ptr<storage::Topic>> topics_;
  std::map<PartitionId, Partition> partitions_;
  // The real state machines, without a journal.
  storage::GroupStore groups_;
  storage::OffsetStore offsets_;
  storage::AckStore acks_;
  storage::EpochStore epochs_;
  storage::ProducerStore producers_{100};
  struct Said {
    PartitionId partition;
    Offset base;
    std::string name;
    SourcePosition to;
  };
  std::vector<Said> sources_said_;
  storage::SourceStore sources_{kSources};
  std::uint64_t positions_ = 0, stored_ = 0;
};

}  // namespace leat::test
