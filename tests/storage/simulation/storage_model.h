// What storage must hold, by the entries that were appended to it: one log of truth (rule 1), so
// whatever a crash leaves is the state that some beginning of it made, and that beginning reaches
// at least to the last entry that was told durable.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "storage/disk_storage.h"
#include "tests/storage/naive_acks.h"

namespace leat::test {

struct ModelTopic {
  TopicId id;
  std::vector<PartitionId> partitions;
  TopicConfig config;
};
struct ModelCommit {
  Offset offset;
  std::string metadata;
  LeaderEpoch epoch;
};

// The kinds of entries, as the model has them.
struct ModelTopicCreated {
  std::string name;
  ModelTopic topic;
};
struct ModelTopicDeleted {
  std::string name;
};
struct ModelPartitionsAdded {
  std::string name;
  std::vector<PartitionId> partitions;
};
struct ModelTopicConfigured {
  std::string name;
  TopicConfig config;
};
struct ModelLogStartsMoved {
  std::map<PartitionId, Offset> starts;
};
struct ModelRecords {
  PartitionId partition;
  std::shared_ptr<const std::vector<std::byte>> batch;  // base offset and epoch assigned
  std::vector<storage::RecordId> ids = {};
  std::optional<storage::IdWindow> window = {};  // its time never ends
  std::string source = {};                       // one of kSources, or none
  SourcePosition to = {};
};
struct ModelCommits {
  std::string group;
  std::map<storage::TopicPartition, ModelCommit> commits;
};
struct ModelOffsetsRemoved {
  std::string group;
  std::vector<storage::TopicPartition> partitions;
};
struct ModelAcks {
  std::string group;
  storage::AcksChange change;          // its `group` is not used
  std::optional<ModelRecords> letter;  // a dead one
};
struct ModelProducer {
  ProducerIdentity producer;
};
struct ModelGroupChange {
  std::string group;
  storage::GroupChange change;  // its `group` is not used
};
struct ModelGroupDeleted {
  std::string group;
};
using ModelEntry =
    std::variant<ModelTopicCreated, ModelTopicDeleted, ModelTopicConfigured, ModelPartitionsAdded,
                 ModelLogStartsMoved, ModelRecords, ModelCommits, ModelAcks, ModelProducer,
                 ModelGroupChange, ModelGroupDeleted, ModelOffsetsRemoved>;

struct ModelState {
  struct Partition {
    std::vector<std::shared_ptr<const std::vector<std::byte>>> batches;
    Offset log_start, next;
    bool compacts = false;                 // or did once: older records of a key may be gone
    std::map<LeaderEpoch, Offset> epochs;  // where each began
    std::deque<std::pair<storage::IdHash, Offset>> ids;  // that are known, oldest first
    std::map<std::string, SourcePosition> sources;       // up to where they are stored
  };
  std::map<std::string, ModelTopic> topics;
  std::map<PartitionId, Partition> partitions;
  std::map<std::string, std::map<storage::TopicPartition, ModelCommit>> commits;
  std::map<std::string, std::map<storage::TopicPartition, NaiveAcks>> acks;
  std::map<std::string, storage::Group> groups;
  std::map<std::int64_t, std::int16_t> producers;  // issued, with their epochs
  PartitionId next_partition{1};

  static constexpr std::uint64_t kIds = 3'000;  // that there are
  static constexpr const char* kSources[] = {"one", "two", "three"};
  static storage::IdHash id(std::uint64_t number);

  void apply(const ModelEntry& entry);
  // The sequence that comes next from this producer in this partition.
  std::int32_t next_sequence(PartitionId partition, ProducerIdentity producer) const;
};

// Entry number i has journal position i + 1. A copy is cheap.
class StorageModel {
 public:
  void append(ModelEntry entry);
  // The newest was refused.
  void take_back();
  // Nothing above `last` was ever there.
  void truncate(JournalPosition last);

  JournalPosition last() const { return JournalPosition(entries_.size()); }
  const ModelState& state() const { return state_; }  // that all entries made
  ModelState state_at(JournalPosition last) const;

 private:
  std::vector<std::shared_ptr<const ModelEntry>> entries_;
  ModelState state_;
};

// Reads of a storage whose answers come later.
using ReadAll =
    std::function<Result<std::vector<std::byte>>(PartitionId partition, Offset from, Offset to)>;
using FindAll = std::function<Result<storage::KnownIds>(PartitionId partition,
                                                        std::span<const storage::IdHash> ids)>;
// How `storage`, in which everything is durable, differs from `state`; empty: not at all.
std::string difference(const ModelState& state, const storage::DiskStorage& storage,
                       const ReadAll& read, const FindAll& find);

}  // namespace leat::test
