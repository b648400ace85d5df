#include "storage/state/state.h"

namespace leat::storage {
namespace {

template <class Entry, class Apply>
Result<> decoded(const JournalEntry& entry, Apply apply) {
  auto decoded = Entry::decode(entry.body);
  if (!decoded) return fail(decoded.error());
  apply(*decoded);
  return {};
}

}  // namespace

Result<> State::load(const std::function<const FamilyReader&(Family)>& rows) {
  if (auto ok = catalog.load(rows(Family::kCatalog)); !ok) return ok;
  if (auto ok = epochs.load(rows(Family::kCatalog)); !ok) return ok;
  if (auto ok = log_starts.load(rows(Family::kCatalog)); !ok) return ok;
  if (auto ok = offsets.load(rows(Family::kOffsets)); !ok) return ok;
  if (auto ok = acks.load(rows(Family::kOffsets)); !ok) return ok;
  if (auto ok = groups.load(rows(Family::kOffsets)); !ok) return ok;
  if (auto ok = producers.load(rows(Family::kProducers)); !ok) return ok;
  if (auto ok = sources.load(rows(Family::kProducers)); !ok) return ok;
  return ids.load(rows(Family::kIds));
}

Result<> State::apply(const JournalEntry& entry, const Wants& wants) {
  switch (static_cast<EntryKind>(entry.kind)) {
    case EntryKind::kRecords:
      return {};
    case EntryKind::kRecordsWithIds:
      return apply_ids(entry, wants);
    case EntryKind::kRecordsFromSource:
    case EntryKind::kSourceMoved:
      return apply_source(entry, wants);
    case EntryKind::kAcksChanged:
    case EntryKind::kDeadLettered: {
      const auto changed = AcksChanged::of(entry);
      if (!changed) return fail(changed.error());
      if (wants(Family::kOffsets)) offsets.apply(acks.apply(*changed));
      return {};
    }
    case EntryKind::kTopicCreated:
      return decoded<TopicCreated>(entry, [&](const auto& created) {
        if (wants(Family::kCatalog)) catalog.apply(created);
      });
    case EntryKind::kTopicDeleted:
      return decoded<TopicDeleted>(entry, [&](const auto& deleted) { apply(deleted, wants); });
    case EntryKind::kOffsetsCommitted:
      return decoded<OffsetsCommitted>(entry, [&](const auto& committed) {
        if (!wants(Family::kOffsets)) return;
        offsets.apply(committed);
        acks.apply(committed);
      });
    case EntryKind::kOffsetsRemoved:
      return decoded<OffsetsRemoved>(entry, [&](const auto& removed) {
        if (!wants(Family::kOffsets)) return;
        offsets.apply(removed);
        acks.apply(removed);
      });
    case EntryKind::kProducerInitialized:
      return decoded<ProducerInitialized>(entry, [&](const auto& initialized) {
        if (wants(Family::kProducers)) producers.apply(initialized);
      });
    case EntryKind::kGroupChanged:
      return decoded<GroupChanged>(entry, [&](const auto& changed) {
        if (wants(Family::kOffsets)) groups.apply(changed);
      });
    case EntryKind::kTopicConfigured:
      return decoded<TopicConfigured>(entry, [&](const auto& configured) {
        if (wants(Family::kCatalog)) catalog.apply(configured);
      });
    case EntryKind::kPartitionsAdded:
      return decoded<PartitionsAdded>(entry, [&](const auto& added) {
        if (wants(Family::kCatalog)) catalog.apply(added);
      });
    case EntryKind::kLogStartsMoved:
      return decoded<LogStartsMoved>(entry, [&](const auto& moved) {
        if (wants(Family::kCatalog)) log_starts.apply(moved, entry.position);
      });
    case EntryKind::kGroupDeleted:
      return decoded<GroupDeleted>(entry, [&](const auto& deleted) {
        if (!wants(Family::kOffsets)) return;
        groups.apply(deleted);
        offsets.apply(deleted);
        acks.apply(deleted);
      });
  }
  return fail(ErrorCode::kCorruptStorage, "unknown kind " + std::to_string(entry.kind));
}

Result<> State::apply_ids(const JournalEntry& entry, const Wants& wants) {
  const auto added = IdsAdded::of(entry);
  if (!added) return fail(added.error());
  if (wants(Family::kIds)) ids.apply(*added, entry.position);
  return {};
}

Result<> State::apply_source(const JournalEntry& entry, const Wants& wants) {
  const auto advanced = SourceAdvanced::of(entry);
  if (!advanced) return fail(advanced.error());
  if (wants(Family::kProducers)) sources.apply(*advanced);
  return advanced->behind.empty() ? Result<>() : apply_ids(entry, wants);
}

void State::apply(const TopicDeleted& deleted, const Wants& wants) {
  if (wants(Family::kCatalog)) {
    catalog.apply(deleted);
    epochs.apply(deleted);
    log_starts.apply(deleted);
  }
  if (wants(Family::kOffsets)) {
    offsets.apply(deleted);
    acks.apply(deleted);
    groups.apply(deleted);
  }
  if (wants(Family::kProducers)) {
    producers.apply(deleted);
    sources.apply(deleted);
  }
  if (wants(Family::kIds)) ids.apply(deleted);
}

void State::apply(PartitionId partition, const RecordBatchView& batch, JournalPosition position,
                  const Wants& wants) {
  if (wants(Family::kCatalog)) epochs.apply(partition, batch.leader_epoch(), batch.base_offset());
  if (wants(Family::kProducers)) producers.apply(partition, batch, position);
}

}  // namespace leat::storage
