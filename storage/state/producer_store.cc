#include "storage/state/producer_store.h"

#include <algorithm>
#include <limits>

#include "storage/keys.h"

namespace leat::storage {
namespace {

constexpr std::size_t kRaisedEpochs = 100'000;

std::int32_t advance(std::int32_t sequence, std::int32_t records) {
  return static_cast<std::int32_t>((std::int64_t{sequence} + records) & 0x7fffffff);
}

std::string described(const RecordBatchView& batch) {
  return "producer " + std::to_string(batch.producer_id()) + " epoch " +
         std::to_string(batch.producer_epoch()) + " sequence " +
         std::to_string(batch.base_sequence());
}

}  // namespace

// ---- entries and rows ----

JournalEntry ProducerInitialized::encode() const {
  return EntryWriter().le(id.value).le(epoch).finish(EntryKind::kProducerInitialized);
}

Result<ProducerInitialized> ProducerInitialized::decode(Bytes body) {
  ByteReader reader(body);
  ProducerInitialized initialized;
  initialized.id = ProducerId(reader.le<std::int64_t>());
  initialized.epoch = reader.le<std::int16_t>();
  if (!reader.finished())
    return fail(ErrorCode::kCorruptStorage, "malformed 'producer initialized'");
  return initialized;
}

std::string ProducerStore::encode(const State& state) {
  EntryWriter writer;
  writer.le(state.epoch).le(state.position.value).le(state.count);
  for (std::size_t i = 0; i < state.count; ++i) {
    const Batch& batch = state.batches[i];
    writer.le(batch.base_sequence).le(batch.records).le(batch.base.value);
  }
  return std::string(as_text(writer.take()));
}

Result<ProducerStore::State> ProducerStore::decode(std::string_view value) {
  ByteReader reader(as_bytes(value));
  State state;
  state.epoch = reader.le<std::int16_t>();
  state.position = JournalPosition(reader.le<std::uint64_t>());
  state.count = reader.le<std::uint8_t>();
  if (state.count == 0 || state.count > kRemembered)
    return fail(ErrorCode::kCorruptStorage, "malformed producer state");
  for (std::size_t i = 0; i < state.count; ++i) {
    Batch& batch = state.batches[i];
    batch.base_sequence = reader.le<std::int32_t>();
    batch.records = reader.le<std::int32_t>();
    batch.base = Offset(reader.le<std::int64_t>());
  }
  if (!reader.finished()) return fail(ErrorCode::kCorruptStorage, "malformed producer state");
  return state;
}

Result<> ProducerStore::load(const FamilyReader& rows) {
  auto next = rows.get(keys::kNextProducer);
  if (!next) return fail(next.error());
  if (next->size() == sizeof(std::int64_t))
    next_id_ = ProducerId(load_le<std::int64_t>(as_bytes(*next).data()));
  auto ok = rows.each(std::string_view(&keys::kProducerEpochLetter, 1),
                      [this](std::string_view, std::string_view value) -> Result<> {
                        auto initialized = ProducerInitialized::decode(as_bytes(value));
                        if (!initialized) return fail(initialized.error());
                        apply(*initialized);
                        return {};
                      });
  if (!ok) return ok;
  return rows.each(std::string_view(&keys::kProducerLetter, 1),
                   [this](std::string_view row, std::string_view value) -> Result<> {
                     const auto parsed = keys::parse_producer(row);
                     auto state = decode(value);
                     if (!parsed || !state)
                       return fail(ErrorCode::kCorruptStorage, "malformed producer state");
                     const Key key{parsed->first, ProducerId(parsed->second)};
                     by_age_[state->position] = key;
                     states_[key] = *state;
                     return {};
                   });
}

void ProducerStore::persist(const ProducerInitialized& initialized, FamilyWriter& rows) {
  std::byte next[sizeof(std::int64_t)];
  store_le(next, initialized.id.value + 1);
  if (initialized.epoch == 0)
    rows.put(keys::kNextProducer, as_text(next));
  else
    rows.put(keys::producer_epoch(initialized.id.value), as_text(initialized.encode().body));
}

void ProducerStore::persist_changes(FamilyWriter& rows) {
  for (const Key& key : std::exchange(changed_, {})) {
    const auto it = states_.find(key);
    const std::string row = keys::producer(key.partition, key.producer.value);
    if (it == states_.end())
      rows.remove(row);
    else
      rows.put(row, encode(it->second));
  }
}

// ---- decide ----

std::int16_t ProducerStore::epoch_of(ProducerId id) const {
  const auto it = raised_epochs_.find(id);
  return it == raised_epochs_.end() ? std::int16_t{0} : it->second;
}

Result<ProducerInitialized> ProducerStore::init(std::optional<ProducerId> id,
                                                std::int16_t epoch) const {
  if (!id) return ProducerInitialized{next_id_, 0};
  if (*id >= next_id_ || id->value < 0)
    return fail(ErrorCode::kUnknownProducer, std::to_string(id->value) + " was never issued");
  const std::int16_t current = epoch_of(*id);
  if (epoch != current)
    return fail(ErrorCode::kProducerFenced, "producer " + std::to_string(id->value) +
                                                " is at epoch " + std::to_string(current));
  if (current == std::numeric_limits<std::int16_t>::max()) return ProducerInitialized{next_id_, 0};
  if (current == 0 && raised_epochs_.size() >= kRaisedEpochs)
    return fail(ErrorCode::kLimitReached,
                std::to_string(kRaisedEpochs) + " producers with a raised epoch; take a new id");
  return ProducerInitialized{*id, static_cast<std::int16_t>(current + 1)};
}

Result<std::optional<Offset>> ProducerStore::check(PartitionId partition,
                                                   const RecordBatchView& batch) const {
  const ProducerId id(batch.producer_id());
  if (batch.base_sequence() < 0 || batch.producer_epoch() < 0)
    return fail(ErrorCode::kInvalidBatch, described(batch) + "; both count from 0");
  if (id >= next_id_)
    return fail(ErrorCode::kUnknownProducer, std::to_string(id.value) + " was never issued");
  if (batch.producer_epoch() < epoch_of(id))
    return fail(ErrorCode::kProducerFenced,
                described(batch) + "; epoch " + std::to_string(epoch_of(id)) + " has begun");
  const auto it = states_.find(Key{partition, id});
  // Never seen here, or forgotten because it was idle. Were any number taken, what follows a
  // refused first batch would be stored, and again when it is sent under another id.
  if (it == states_.end() && batch.base_sequence() == 0) return std::optional<Offset>();
  if (it == states_.end())
    return fail(ErrorCode::kOutOfSequence,
                described(batch) + "; unknown here, take a new id and begin with 0");
  const State& state = it->second;
  if (batch.producer_epoch() < state.epoch)
    return fail(ErrorCode::kProducerFenced,
                described(batch) + "; epoch " + std::to_string(state.epoch) + " has begun");
  if (batch.producer_epoch() > state.epoch) {
    if (batch.base_sequence() == 0) return std::optional<Offset>();
    return fail(ErrorCode::kOutOfSequence, described(batch) + "; a new epoch begins with 0");
  }
  for (std::size_t i = 0; i < state.count; ++i)
    if (state.batches[i].base_sequence == batch.base_sequence() &&
        state.batches[i].records == batch.last_offset_delta() + 1)
      return std::optional(state.batches[i].base);
  const std::int32_t next = state.next_sequence();
  if (batch.base_sequence() == next) return std::optional<Offset>();
  // Half the circle back is the past.
  const bool past = ((next - batch.base_sequence()) & 0x7fffffff) < 0x40000000;
  return fail(past ? ErrorCode::kDuplicateSequence : ErrorCode::kOutOfSequence,
              described(batch) + "; " + std::to_string(next) + " is next");
}

// ---- apply ----

std::int32_t ProducerStore::State::next_sequence() const {
  const Batch& newest = batches[count - 1u];
  return advance(newest.base_sequence, newest.records);
}

void ProducerStore::State::add(const Batch& batch) {
  if (count == kRemembered) std::shift_left(batches.begin(), batches.end(), 1);
  if (count < kRemembered) ++count;
  batches[count - 1u] = batch;
}

void ProducerStore::apply(const ProducerInitialized& initialized) {
  next_id_ = std::max(next_id_, initialized.id + 1);
  if (initialized.epoch > 0) raised_epochs_[initialized.id] = initialized.epoch;
}

void ProducerStore::apply(PartitionId partition, const RecordBatchView& batch,
                          JournalPosition position) {
  if (batch.producer_id() < 0) return;
  const Key key{partition, ProducerId(batch.producer_id())};
  const auto [it, fresh] = states_.try_emplace(key);
  State& state = it->second;
  if (!fresh) by_age_.erase(state.position);
  if (state.epoch != batch.producer_epoch()) state.count = 0;
  state.epoch = batch.producer_epoch();
  state.position = position;
  // Records may have been taken out since they were numbered.
  state.add({batch.base_sequence(), batch.last_offset_delta() + 1, batch.base_offset()});
  by_age_[position] = key;
  changed_.insert(key);
  if (states_.size() > limit_) forget(Key(by_age_.begin()->second));
}

void ProducerStore::forget(const Key& key) {
  const auto it = states_.find(key);
  by_age_.erase(it->second.position);
  states_.erase(it);
  changed_.insert(key);
}

void ProducerStore::apply(const TopicDeleted& deleted) {
  std::vector<Key> gone;
  for (const auto& [key, state] : states_)
    if (std::ranges::binary_search(deleted.partitions, key.partition)) gone.push_back(key);
  for (const Key& key : gone) forget(key);
}

}  // namespace leat::storage
