// Everything that journal entries make besides the records themselves: the state machines together.
// Live and at replay an entry is applied by the same call (rule 1). One thread.
#pragma once

#include <functional>

#include "storage/state/ack_store.h"
#include "storage/state/catalog_store.h"
#include "storage/state/epoch_store.h"
#include "storage/state/group_store.h"
#include "storage/state/id_store.h"
#include "storage/state/log_start_store.h"
#include "storage/state/offset_store.h"
#include "storage/state/producer_store.h"
#include "storage/state/source_store.h"

namespace leat::storage {

// At replay: whether a family's rows were loaded without this entry (rule 5).
using Wants = std::function<bool(Family)>;

struct State {
  // How many producers, positions of sources and message ids are remembered.
  State(std::size_t most_producers, std::size_t most_sources, std::uint64_t most_ids)
      : producers(most_producers), sources(most_sources), ids(most_ids) {}

  Result<> load(const std::function<const FamilyReader&(Family)>& rows);

  // All that an entry changes, but for its records. Errors: kCorruptStorage.
  Result<> apply(const JournalEntry& entry, const Wants& wants);
  // What a batch of an entry that holds records changes besides the log.
  void apply(PartitionId partition, const RecordBatchView& batch, JournalPosition position,
             const Wants& wants);

  CatalogStore catalog;
  OffsetStore offsets;
  AckStore acks;
  GroupStore groups;
  EpochStore epochs;
  LogStartStore log_starts;
  ProducerStore producers;
  SourceStore sources;
  IdStore ids;

 private:
  void apply(const TopicDeleted& deleted, const Wants& wants);
  Result<> apply_ids(const JournalEntry& entry, const Wants& wants);
  Result<> apply_source(const JournalEntry& entry, const Wants& wants);
};

}  // namespace leat::storage
