// The state machine of topics: entries kTopicCreated, kTopicConfigured, kPartitionsAdded and
// kTopicDeleted. In memory on the shard's thread; its rows in the catalog family follow behind the
// journal.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "storage/keys.h"
#include "storage/state/entry.h"
#include "storage/state/family.h"
#include "storage/storage.h"

namespace leat::storage {

// Ids first, first + 1 …
struct PartitionRun {
  PartitionId first;
  std::uint32_t count = 0;
};

struct TopicCreated {
  TopicId id;
  std::int64_t created_ms = 0;
  PartitionId first_partition;  // ids first, first + 1 … one per partition, never reused (rule 7)
  std::uint32_t partitions = 0;
  std::string_view name;  // borrows the entry
  TopicConfig config;
  std::vector<PartitionRun> added;  // later; in rows, not in entries

  JournalEntry encode() const;
  static Result<TopicCreated> decode(Bytes body);
};

struct PartitionsAdded {
  TopicId id;
  PartitionRun partitions;

  JournalEntry encode() const;
  static Result<PartitionsAdded> decode(Bytes body);
};

struct TopicConfigured {
  TopicId id;
  TopicConfig config;

  JournalEntry encode() const;
  static Result<TopicConfigured> decode(Bytes body);
};

struct TopicDeleted {
  TopicId id;
  std::vector<PartitionId> partitions;  // rising

  JournalEntry encode() const;
  static Result<TopicDeleted> decode(Bytes body);
};

class CatalogStore {
 public:
  Result<> load(const FamilyReader& rows);

  const Topic* find(std::string_view name) const;
  const Topic* find(const TopicId& id) const;
  std::vector<const Topic*> topics() const;
  // For people: "topic 'orders' partition 2".
  std::string name_of(PartitionId partition) const;
  PartitionId next_partition() const { return next_partition_; }

  void apply(const TopicCreated& created);
  void apply(const TopicConfigured& configured);
  void apply(const PartitionsAdded& added);
  void apply(const TopicDeleted& deleted);

  // What apply() does to the rows.
  static void persist(const TopicCreated& created, FamilyWriter& rows);
  static Result<> persist(const TopicConfigured& configured, const FamilyReader& before,
                          FamilyWriter& rows);
  static Result<> persist(const PartitionsAdded& added, const FamilyReader& before,
                          FamilyWriter& rows);
  static void persist(const TopicDeleted& deleted, FamilyWriter& rows);

 private:
  void add(Topic& topic, PartitionRun run);
  std::unordered_map<TopicId, std::unique_ptr<Topic>> by_id_;
  std::map<std::string, const Topic*, std::less<>> by_name_;
  PartitionId next_partition_{1};
};

}  // namespace leat::storage
