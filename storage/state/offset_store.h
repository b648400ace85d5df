// The state machine of committed offsets: entries kOffsetsCommitted and kOffsetsRemoved. What a
// client commits is stored unaltered (rule 6). In memory on the shard's thread; its rows follow
// behind the journal.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/state/catalog_store.h"
#include "storage/state/entry.h"
#include "storage/state/family.h"
#include "storage/state/group_store.h"
#include "storage/storage.h"

namespace leat::storage {

struct OffsetsCommitted {
  std::string_view group;  // the views borrow the entry
  std::vector<OffsetCommit> offsets;

  static JournalEntry encode(std::string_view group, std::span<const OffsetCommit> offsets);
  static Result<OffsetsCommitted> decode(Bytes body);
};

// Entry kOffsetsRemoved: of a group, single ones.
struct OffsetsRemoved {
  std::string_view group;  // borrows the entry
  std::vector<TopicPartition> partitions;

  JournalEntry encode() const;
  static Result<OffsetsRemoved> decode(Bytes body);
};

class OffsetStore {
 public:
  Result<> load(const FamilyReader& rows);

  std::size_t group_count() const { return groups_.size(); }
  bool has_group(std::string_view group) const { return groups_.contains(group); }
  std::optional<Committed> find(std::string_view group, const TopicId& topic,
                                PartitionIndex partition) const;

  void apply(const OffsetsCommitted& committed);
  void apply(const OffsetsRemoved& removed);
  // The topic is gone, and with it what groups committed for it.
  void apply(const TopicDeleted& deleted);
  void apply(const GroupDeleted& deleted);

  std::vector<std::string_view> groups() const;
  // What a group has committed, in order; valid until the next call that changes it.
  std::vector<std::pair<TopicPartition, Committed>> commits(std::string_view group) const;

  // What apply() does to the rows.
  static void persist(const OffsetsCommitted& committed, FamilyWriter& rows);
  static void persist(const OffsetsRemoved& removed, FamilyWriter& rows);
  static Result<> persist(const TopicDeleted& deleted, const FamilyReader& reader,
                          FamilyWriter& rows);

 private:
  struct Stored {
    Offset offset;
    LeaderEpoch epoch;
    std::string metadata;
    Committed view() const { return {offset, metadata, epoch}; }
  };
  std::map<std::string, std::map<TopicPartition, Stored>, std::less<>> groups_;
};

}  // namespace leat::storage
