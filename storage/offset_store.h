// The state machine of committed offsets: entry kOffsetsCommitted. What a client commits is stored
// unaltered (rule 6). In memory on the shard's thread; its rows follow behind the journal.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/catalog_store.h"
#include "storage/entry.h"
#include "storage/family.h"
#include "storage/storage.h"

namespace leat::storage {

struct OffsetsCommitted {
  std::string_view group;  // the views borrow the entry
  std::vector<OffsetCommit> offsets;

  static JournalEntry encode(std::string_view group, std::span<const OffsetCommit> offsets);
  static Result<OffsetsCommitted> decode(Bytes body);
};

class OffsetStore {
 public:
  Result<> load(const FamilyReader& rows);

  std::size_t group_count() const { return groups_.size(); }
  bool has_group(std::string_view group) const { return groups_.contains(group); }
  std::optional<Committed> find(std::string_view group, const TopicId& topic,
                                PartitionIndex partition) const;

  void apply(const OffsetsCommitted& committed);
  // The topic is gone, and with it what groups committed for it.
  void apply(const TopicDeleted& deleted);

  // What apply() does to the rows.
  static void persist(const OffsetsCommitted& committed, FamilyWriter& rows);
  static Result<> persist(const TopicDeleted& deleted, const FamilyReader& reader,
                          FamilyWriter& rows);

 private:
  struct Stored {
    Offset offset;
    std::string metadata;
  };
  using Partition = std::pair<TopicId, PartitionIndex>;
  std::map<std::string, std::map<Partition, Stored>, std::less<>> groups_;
};

}  // namespace leat::storage
