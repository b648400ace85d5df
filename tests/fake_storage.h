// A Storage that tests steer: durable when told, reads now or later, room or none, failure.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "protocol/record_batch.h"
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
  bool room = true, reads_later = false, failed = false;
  std::vector<storage::ReadToken> waiting_reads;
  storage::ReadResult result_of(PartitionId id) const {
    storage::ReadResult result;
    for (const auto& batch : partitions_.at(id).batches)
      result.batches.push_back({batch, Bytes(*batch)});
    return result;
  }

  // ---- Storage ----
  JournalPosition last_appended() const override { return last_; }
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
                                       std::int32_t partitions, WallTime now) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    auto topic = std::make_unique<storage::Topic>(storage::Topic{id, std::string(name), now, {}});
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
    std::erase_if(topics_, [&](const auto& topic) { return topic->id == id; });
    return last_ = last_ + 1;
  }
  Result<storage::Appended> append(PartitionId id, Bytes bytes) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    Partition& partition = partitions_.at(id);
    auto batch = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
    assign_offset(*batch, partition.next, LeaderEpoch(0));
    const Offset base = partition.next;
    partition.next = base + RecordBatchView::parse(*batch)->record_count();
    partition.batches.push_back(std::move(batch));
    return storage::Appended{base, last_ = last_ + 1};
  }
  storage::PartitionBounds bounds(PartitionId id) const override {
    return {Offset(0), partitions_.at(id).high_watermark};
  }
  storage::ReadOutcome read(PartitionId id, Offset, std::size_t,
                            storage::ReadToken token) override {
    if (!reads_later) return result_of(id);
    waiting_reads.push_back(token);
    return storage::ReadLater{};
  }
  Result<JournalPosition> commit_offsets(std::string_view group,
                                         std::span<const storage::OffsetCommit> offsets) override {
    if (failed) return fail(ErrorCode::kStorageFailed);
    groups_.emplace(group);
    for (const auto& o : offsets) commits_[{std::string(group), o.topic, o.partition}] = o.offset;
    return last_ = last_ + 1;
  }
  std::size_t group_count() const override { return groups_.size(); }
  bool has_group(std::string_view group) const override {
    return groups_.contains(std::string(group));
  }
  std::optional<storage::Committed> committed(std::string_view group, const TopicId& topic,
                                              PartitionIndex partition) const override {
    const auto it = commits_.find({std::string(group), topic, partition});
    if (it == commits_.end()) return std::nullopt;
    return storage::Committed{it->second, {}};
  }
  void poll(storage::StorageEvents&) override {}

 private:
  struct Partition {
    Offset next{0}, high_watermark{0};
    std::vector<std::shared_ptr<std::vector<std::byte>>> batches;
  };
  JournalPosition last_, durable_;
  PartitionId next_partition_{1};
  std::vector<std::unique_ptr<storage::Topic>> topics_;
  std::map<PartitionId, Partition> partitions_;
  std::set<std::string> groups_;
  std::map<std::tuple<std::string, TopicId, PartitionIndex>, Offset> commits_;
};

}  // namespace leat::test
