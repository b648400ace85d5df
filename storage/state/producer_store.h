// The state machine of idempotent producers: which ids were issued (entry kProducerInitialized),
// and the newest batches of each producer in each partition (entry kRecords, from the batch's own
// header). A batch that comes again is known by its sequence numbers. One thread.
//
// Sequence numbers count records per producer and partition from 0 and wrap behind 2^31 - 1, as
// Kafka's do (KIP-98).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "protocol/record_batch.h"
#include "storage/state/catalog_store.h"
#include "storage/state/entry.h"
#include "storage/state/family.h"

namespace leat::storage {

using ProducerId = StrongId<struct ProducerIdTag, std::int64_t>;

struct ProducerInitialized {
  ProducerId id;
  std::int16_t epoch = 0;

  JournalEntry encode() const;
  static Result<ProducerInitialized> decode(Bytes body);
};

class ProducerStore {
 public:
  static constexpr std::size_t kRemembered = 5;  // batches of a producer in a partition

  // Producers in partitions that are remembered; beyond it those idle longest are forgotten.
  explicit ProducerStore(std::size_t limit) : limit_(limit) {}

  // Rows of the producers family: docs/disk_format.md.
  Result<> load(const FamilyReader& rows);

  // ---- decide ----
  // What InitProducer makes: a new id, or the next epoch of one. Errors: kUnknownProducer,
  // kProducerFenced (`epoch` is not the current one), kLimitReached.
  Result<ProducerInitialized> init(std::optional<ProducerId> id, std::int16_t epoch) const;
  // A batch with a producer id: nullopt when it is the next one, its base offset when it is stored
  // already. Errors: kUnknownProducer, kProducerFenced, kOutOfSequence, kDuplicateSequence,
  // kInvalidBatch.
  Result<std::optional<Offset>> check(PartitionId partition, const RecordBatchView& batch) const;

  // ---- apply ----
  void apply(const ProducerInitialized& initialized);
  void apply(PartitionId partition, const RecordBatchView& batch, JournalPosition position);
  void apply(const TopicDeleted& deleted);

  static void persist(const ProducerInitialized& initialized, FamilyWriter& rows);
  // Everything that batches changed since the last call: once a roll, not once a batch, since
  // replay begins at a roll.
  void persist_changes(FamilyWriter& rows);

  std::size_t size() const { return states_.size(); }

 private:
  struct Key {
    PartitionId partition;
    ProducerId producer;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return std::hash<std::uint64_t>{}(
          static_cast<std::uint64_t>(key.producer.value) * 0x9e3779b9 + key.partition.value);
    }
  };
  struct Batch {
    std::int32_t base_sequence = 0, records = 0;
    Offset base;
  };
  struct State {
    std::int16_t epoch = 0;
    JournalPosition position;  // of its newest batch
    std::uint8_t count = 0;
    std::array<Batch, kRemembered> batches;  // oldest first

    std::int32_t next_sequence() const;
    void add(const Batch& batch);
  };

  std::int16_t epoch_of(ProducerId id) const;
  void forget(const Key& key);
  static std::string encode(const State& state);
  static Result<State> decode(std::string_view value);

  std::size_t limit_;
  ProducerId next_id_{0};
  std::unordered_map<ProducerId, std::int16_t> raised_epochs_;  // those above 0
  std::unordered_map<Key, State, KeyHash> states_;
  std::map<JournalPosition, Key> by_age_;
  std::set<Key> changed_;
};

}  // namespace leat::storage
