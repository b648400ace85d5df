#include "storage/state/offset_store.h"

#include "storage/keys.h"

namespace leat::storage {
namespace {

// A row of the offsets family: group bytes u16 | group | topic id | partition | offset | metadata,
// the integers little-endian: the entry's own encoding of one commit.
std::string encode_row(std::string_view group, const OffsetCommit& commit) {
  return std::string(as_text(OffsetsCommitted::encode(group, {&commit, 1}).body));
}

}  // namespace

JournalEntry OffsetsCommitted::encode(std::string_view group,
                                      std::span<const OffsetCommit> offsets) {
  EntryWriter writer;
  writer.text(group).le(static_cast<std::uint32_t>(offsets.size()));
  for (const OffsetCommit& commit : offsets)
    writer.id(commit.topic)
        .le(commit.partition.value)
        .le(commit.offset.value)
        .le(commit.epoch.value)
        .text(commit.metadata);
  return writer.finish(EntryKind::kOffsetsCommitted);
}

Result<OffsetsCommitted> OffsetsCommitted::decode(Bytes body) {
  ByteReader reader(body);
  OffsetsCommitted committed;
  committed.group = read_text(reader);
  const auto count = reader.le<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && !reader.failed(); ++i) {
    OffsetCommit commit;
    commit.topic = read_topic_id(reader);
    commit.partition = PartitionIndex(reader.le<std::int32_t>());
    commit.offset = Offset(reader.le<std::int64_t>());
    commit.epoch = LeaderEpoch(reader.le<std::int32_t>());
    commit.metadata = read_text(reader);
    committed.offsets.push_back(commit);
  }
  if (!reader.finished()) return fail(ErrorCode::kCorruptStorage, "malformed 'offsets committed'");
  return committed;
}

JournalEntry OffsetsRemoved::encode() const {
  EntryWriter writer;
  writer.text(group).le(static_cast<std::uint32_t>(partitions.size()));
  for (const TopicPartition& at : partitions) writer.id(at.topic).le(at.partition.value);
  return writer.finish(EntryKind::kOffsetsRemoved);
}

Result<OffsetsRemoved> OffsetsRemoved::decode(Bytes body) {
  ByteReader reader(body);
  OffsetsRemoved removed;
  removed.group = read_text(reader);
  const auto count = reader.le<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && !reader.failed(); ++i) {
    const TopicId topic = read_topic_id(reader);
    removed.partitions.push_back({topic, PartitionIndex(reader.le<std::int32_t>())});
  }
  if (!reader.finished()) return fail(ErrorCode::kCorruptStorage, "malformed 'offsets removed'");
  return removed;
}

Result<> OffsetStore::load(const FamilyReader& rows) {
  return rows.each(std::string_view(&keys::kCommitLetter, 1),
                   [this](std::string_view, std::string_view value) -> Result<> {
                     auto committed = OffsetsCommitted::decode(as_bytes(value));
                     if (!committed) return fail(committed.error());
                     apply(*committed);
                     return {};
                   });
}

std::optional<Committed> OffsetStore::find(std::string_view group, const TopicId& topic,
                                           PartitionIndex partition) const {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return std::nullopt;
  const auto it = found->second.find({topic, partition});
  if (it == found->second.end()) return std::nullopt;
  return it->second.view();
}

std::vector<std::string_view> OffsetStore::groups() const {
  std::vector<std::string_view> names;
  for (const auto& [name, commits] : groups_) names.push_back(name);
  return names;
}

std::vector<std::pair<TopicPartition, Committed>> OffsetStore::commits(
    std::string_view group) const {
  std::vector<std::pair<TopicPartition, Committed>> all;
  if (const auto found = groups_.find(group); found != groups_.end())
    for (const auto& [partition, stored] : found->second)
      all.emplace_back(partition, stored.view());
  return all;
}

void OffsetStore::apply(const OffsetsCommitted& committed) {
  auto found = groups_.find(committed.group);
  if (found == groups_.end()) found = groups_.try_emplace(std::string(committed.group)).first;
  for (const OffsetCommit& commit : committed.offsets) {
    Stored& stored = found->second[{commit.topic, commit.partition}];
    stored.offset = commit.offset;
    stored.epoch = commit.epoch;
    stored.metadata.assign(commit.metadata);
  }
}

void OffsetStore::apply(const OffsetsRemoved& removed) {
  const auto found = groups_.find(removed.group);
  if (found == groups_.end()) return;
  for (const TopicPartition& at : removed.partitions) found->second.erase(at);
  if (found->second.empty()) groups_.erase(found);
}

void OffsetStore::apply(const TopicDeleted& deleted) {
  for (auto group = groups_.begin(); group != groups_.end();) {
    std::erase_if(group->second,
                  [&](const auto& entry) { return entry.first.topic == deleted.id; });
    group = group->second.empty() ? groups_.erase(group) : std::next(group);
  }
}

void OffsetStore::apply(const GroupDeleted& deleted) {
  if (const auto it = groups_.find(deleted.group); it != groups_.end()) groups_.erase(it);
}

void OffsetStore::persist(const OffsetsCommitted& committed, FamilyWriter& rows) {
  for (const OffsetCommit& commit : committed.offsets)
    rows.put(keys::commit(committed.group, commit.topic, commit.partition),
             encode_row(committed.group, commit));
}

void OffsetStore::persist(const OffsetsRemoved& removed, FamilyWriter& rows) {
  for (const TopicPartition& at : removed.partitions)
    rows.remove(keys::commit(removed.group, at.topic, at.partition));
}

Result<> OffsetStore::persist(const TopicDeleted& deleted, const FamilyReader& reader,
                              FamilyWriter& rows) {
  return reader.each(std::string_view(&keys::kCommitLetter, 1),
                     [&](std::string_view key, std::string_view) -> Result<> {
                       if (keys::ends_with_topic(key, deleted.id)) rows.remove(key);
                       return {};
                     });
}

}  // namespace leat::storage
