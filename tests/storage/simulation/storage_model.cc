#include "tests/storage/simulation/storage_model.h"

#include <algorithm>

#include "protocol/base/assert.h"
#include "protocol/record_batch.h"

namespace leat::test {
namespace {

using storage::DiskStorage;
using storage::Group;

RecordBatchView view_of(const std::vector<std::byte>& batch) {
  const auto view = RecordBatchView::parse(batch);
  LEAT_ASSERT(view.has_value());
  return *view;
}

void take(ModelState& state, const ModelTopicCreated& created) {
  state.topics[created.name] = created.topic;
  for (const PartitionId id : created.topic.partitions) {
    state.partitions[id].compacts = compacts(created.topic.config.cleanup);
    state.next_partition = id + 1;
  }
}

void take(ModelState& state, const ModelTopicDeleted& deleted) {
  const ModelTopic topic = state.topics.at(deleted.name);
  state.topics.erase(deleted.name);
  for (const PartitionId id : topic.partitions) state.partitions.erase(id);
  const auto of_topic = [&](const auto& item) { return item.first.topic == topic.id; };
  for (auto& [name, group] : state.groups) std::erase_if(group.owners, of_topic);
  for (auto& [name, commits] : state.commits) std::erase_if(commits, of_topic);
  std::erase_if(state.commits, [](const auto& item) { return item.second.empty(); });
  for (auto& [name, acks] : state.acks) std::erase_if(acks, of_topic);
}

void take(ModelState& state, const ModelTopicConfigured& configured) {
  ModelTopic& topic = state.topics.at(configured.name);
  topic.config = configured.config;
  for (const PartitionId id : topic.partitions)
    state.partitions.at(id).compacts |= compacts(topic.config.cleanup);
}

void take(ModelState& state, const ModelPartitionsAdded& added) {
  ModelTopic& topic = state.topics.at(added.name);
  for (const PartitionId id : added.partitions) {
    topic.partitions.push_back(id);
    state.partitions[id].compacts = compacts(topic.config.cleanup);
    state.next_partition = id + 1;
  }
}

void take(ModelState& state, const ModelLogStartsMoved& moved) {
  for (const auto& [id, start] : moved.starts) state.partitions.at(id).log_start = start;
}

void take(ModelState& state, const ModelRecords& records) {
  ModelState::Partition& partition = state.partitions.at(records.partition);
  const RecordBatchView batch = view_of(*records.batch);
  LEAT_ASSERT(batch.base_offset() == partition.next);
  partition.epochs.try_emplace(batch.leader_epoch(), batch.base_offset());
  partition.next = batch.last_offset() + 1;
  partition.batches.push_back(records.batch);
  if (!records.source.empty()) partition.sources[records.source] = records.to;
  if (!records.window || (records.ids.empty() && !records.window->off())) return;
  for (const storage::RecordId& record : records.ids)
    partition.ids.emplace_back(record.id, batch.base_offset() + record.delta);
  while (partition.ids.size() > records.window->ids) partition.ids.pop_front();
}

void take(ModelState& state, const ModelCommits& entry) {
  auto& acks = state.acks[entry.group];
  for (const auto& [partition, commit] : entry.commits) {
    state.commits[entry.group][partition] = commit;
    const auto there = acks.find(partition);
    if (there != acks.end() && Offset(there->second.floor) != commit.offset) acks.erase(there);
  }
}

void take(ModelState& state, const ModelOffsetsRemoved& entry) {
  const auto group = state.commits.find(entry.group);
  if (group == state.commits.end()) return;
  for (const auto& partition : entry.partitions) {
    group->second.erase(partition);
    state.acks[entry.group].erase(partition);
  }
  if (group->second.empty()) state.commits.erase(group);
}

void take(ModelState& state, const ModelAcks& entry) {
  const auto& partition = entry.change.partition;
  ModelCommit& commit = state.commits[entry.group][partition];
  NaiveAcks& acks = state.acks[entry.group]
                        .try_emplace(partition, NaiveAcks{.floor = commit.offset.value})
                        .first->second;
  acks.apply(entry.change);
  commit = {Offset(acks.floor), "", LeaderEpoch(-1)};
  if (entry.letter) take(state, *entry.letter);
}

void take(ModelState& state, const ModelProducer& entry) {
  state.producers[entry.producer.id] = entry.producer.epoch;
}

void take(ModelState& state, const ModelGroupChange& entry) {
  Group& group = state.groups[entry.group];
  group.name = entry.group;
  group.kind = entry.change.kind;
  ++group.epoch;
  if (entry.change.joined) group.members[entry.change.joined->id] = *entry.change.joined;
  for (const std::string& member : entry.change.left) group.members.erase(member);
  for (const auto& [partition, member] : entry.change.moved) {
    if (member.empty())
      group.owners.erase(partition);
    else
      group.owners[partition] = {member, group.epoch};
  }
}

void take(ModelState& state, const ModelGroupDeleted& deleted) {
  state.groups.erase(deleted.group);
  state.commits.erase(deleted.group);
  state.acks.erase(deleted.group);
}

// ---- differences ----

std::string topics_differ(const ModelState& state, const DiskStorage& storage) {
  if (storage.topics().size() != state.topics.size())
    return std::to_string(storage.topics().size()) + " topics instead of " +
           std::to_string(state.topics.size());
  for (const auto& [name, topic] : state.topics) {
    const storage::Topic* found = storage.find_topic(name);
    if (!found) return "topic " + name + " is missing";
    if (found->id != topic.id || found->partitions != topic.partitions ||
        found->config != topic.config)
      return "topic " + name + " is another";
  }
  return {};
}

struct Record {
  std::string key, value;
  friend bool operator==(const Record&, const Record&) = default;
};
using Records = std::map<Offset, Record>;

Records records_of(const RecordBatchView& batch) {
  Records records;
  auto reader = RecordReader::open(batch);
  LEAT_ASSERT(reader.has_value());
  for (const RecordView& record : *reader)
    records[record.offset] = {std::string(as_text(record.key.value_or(Bytes()))),
                              std::string(as_text(record.value.value_or(Bytes())))};
  return records;
}

// Of a compacted partition: what is left of a batch was in it, and what is gone has a newer record
// of its key.
std::string compacted_differs(const RecordBatchView& sent, const RecordBatchView& found,
                              const std::map<std::string, Offset>& newest) {
  if (found.base_offset() != sent.base_offset() || found.last_offset() != sent.last_offset())
    return "another range";
  const Records left = records_of(found);
  for (const auto& [offset, record] : records_of(sent)) {
    const auto it = left.find(offset);
    if (it != left.end() && it->second != record) return "another record";
    if (it == left.end() && (record.key.empty() || newest.at(record.key) == offset))
      return "no record " + std::to_string(offset.value);
  }
  return left.size() > records_of(sent).size() ? "more records" : "";
}

std::string batches_differ(PartitionId id, const ModelState::Partition& partition, Bytes bytes) {
  std::map<std::string, Offset> newest;
  if (partition.compacts)
    for (const auto& batch : partition.batches)
      for (const auto& [offset, record] : records_of(view_of(*batch))) newest[record.key] = offset;
  for (const auto& batch : partition.batches) {
    const RecordBatchView sent = view_of(*batch);
    if (sent.last_offset() < partition.log_start) continue;
    const std::string where = " at offset " + std::to_string(sent.base_offset().value) +
                              " of partition " + std::to_string(id.value);
    const auto found = RecordBatchView::parse(bytes);
    if (!found) return "no batch" + where;
    bytes = bytes.subspan(found->bytes().size());
    if (std::ranges::equal(*batch, found->bytes())) continue;
    const auto differs =
        partition.compacts ? compacted_differs(sent, *found, newest) : "another batch";
    if (!differs.empty()) return differs + where;
  }
  return bytes.empty() ? "" : "more than was sent in partition " + std::to_string(id.value);
}

std::string records_differ(const ModelState& state, const DiskStorage& storage,
                           const ReadAll& read) {
  for (const auto& [id, partition] : state.partitions) {
    const std::string name = "partition " + std::to_string(id.value);
    const storage::PartitionBounds bounds = storage.bounds(id);
    if (bounds.log_start != partition.log_start || bounds.high_watermark != partition.next)
      return name + " goes from " + std::to_string(bounds.log_start.value) + " to " +
             std::to_string(bounds.high_watermark.value) + " instead of from " +
             std::to_string(partition.log_start.value) + " to " +
             std::to_string(partition.next.value);
    for (auto epoch = partition.epochs.begin(); epoch != partition.epochs.end(); ++epoch) {
      const auto next = std::next(epoch);
      const Offset end = next == partition.epochs.end() ? partition.next : next->second;
      if (storage.end_of_epoch(id, epoch->first) != end)
        return name + " ends epoch " + std::to_string(epoch->first.value) + " at " +
               std::to_string(storage.end_of_epoch(id, epoch->first).value) + " instead of " +
               std::to_string(end.value);
    }
    const auto bytes = read(id, partition.log_start, partition.next);
    if (!bytes) return "reading " + name + ": " + bytes.error().message();
    if (auto differs = batches_differ(id, partition, *bytes); !differs.empty()) return differs;
  }
  return {};
}

// The newest batches of each producer are known, and what comes next is.
std::string producers_differ(const ModelState& state, const DiskStorage& storage) {
  for (const auto& [id, partition] : state.partitions) {
    std::map<std::int64_t, std::vector<const std::vector<std::byte>*>> batches;
    for (const auto& batch : partition.batches) {
      const RecordBatchView view = view_of(*batch);
      auto& newest = batches[view.producer_id()];
      if (!newest.empty() && view_of(*newest.back()).producer_epoch() != view.producer_epoch())
        newest.clear();
      newest.push_back(batch.get());
      if (newest.size() > storage::ProducerStore::kRemembered) newest.erase(newest.begin());
    }
    batches.erase(-1);
    for (const auto& [producer, newest] : batches) {
      if (state.producers.at(producer) != view_of(*newest.back()).producer_epoch()) continue;
      for (const auto* batch : newest) {
        const RecordBatchView view = view_of(*batch);
        const auto known = storage.check_sequence(id, view);
        if (!known || *known != std::optional(view.base_offset()))
          return "producer " + std::to_string(producer) + " sequence " +
                 std::to_string(view.base_sequence()) + " is not known in partition " +
                 std::to_string(id.value);
      }
    }
  }
  return {};
}

// Every id that may have come is asked for.
std::string sources_differ(const ModelState& state, const DiskStorage& storage) {
  for (const auto& [id, partition] : state.partitions)
    for (const char* name : ModelState::kSources) {
      const auto known = partition.sources.find(name);
      const SourcePosition at = known == partition.sources.end() ? SourcePosition() : known->second;
      const SourcePosition found = storage.source_position(id, name);
      if (found != at)
        return "source " + std::string(name) + " in partition " + std::to_string(id.value) +
               " is stored up to " + text_of(found) + ", not " + text_of(at);
    }
  return {};
}

std::string ids_differ(const ModelState& state, const FindAll& find) {
  std::vector<storage::IdHash> all;
  for (std::uint64_t n = 0; n < ModelState::kIds; ++n) all.push_back(ModelState::id(n));
  for (const auto& [id, partition] : state.partitions) {
    const std::map<storage::IdHash, Offset> known(partition.ids.begin(), partition.ids.end());
    const auto found = find(id, all);
    if (!found) return "finding ids: " + found.error().message();
    for (std::size_t n = 0; n < all.size(); ++n) {
      const auto it = known.find(all[n]);
      if ((*found)[n] == (it == known.end() ? std::nullopt : std::optional(it->second))) continue;
      return "id " + std::to_string(n) + " of partition " + std::to_string(id.value) + " is " +
             ((*found)[n] ? "at " + std::to_string((*found)[n]->value) : "not known");
    }
  }
  return {};
}

bool same(const storage::GroupMember& a, const storage::GroupMember& b) {
  return a.id == b.id && a.client_name == b.client_name && a.topics == b.topics &&
         a.session_timeout == b.session_timeout && a.rebalance_timeout == b.rebalance_timeout;
}

std::string groups_differ(const ModelState& state, const DiskStorage& storage) {
  std::vector<std::string> names;
  for (const auto& [name, group] : state.groups) names.push_back(name);
  for (const auto& [name, commits] : state.commits)
    if (!state.groups.contains(name)) names.push_back(name);
  std::ranges::sort(names);
  if (storage.groups() != names) return "other groups";
  for (const auto& [name, group] : state.groups) {
    const Group* found = storage.find_group(name);
    if (!found) return "group " + name + " is missing";
    const bool members =
        std::ranges::equal(found->members, group.members, [](const auto& a, const auto& b) {
          return a.first == b.first && same(a.second, b.second);
        });
    const bool owners =
        std::ranges::equal(found->owners, group.owners, [](const auto& a, const auto& b) {
          return a.first == b.first && a.second.member == b.second.member &&
                 a.second.since == b.second.since;
        });
    if (found->kind != group.kind || found->epoch != group.epoch || !members || !owners)
      return "group " + name + " is another, at epoch " + std::to_string(found->epoch) +
             " instead of " + std::to_string(group.epoch);
  }
  return {};
}

std::string commits_differ(const ModelState& state, const DiskStorage& storage) {
  for (const auto& [name, commits] : state.commits) {
    const auto found = storage.commits(name);
    if (found.size() != commits.size()) return "other commits of " + name;
    for (const auto& [partition, commit] : found) {
      const auto it = commits.find(partition);
      if (it == commits.end() || commit.offset != it->second.offset ||
          commit.metadata != it->second.metadata || commit.epoch != it->second.epoch)
        return "another commit of " + name + ": offset " + std::to_string(commit.offset.value);
    }
  }
  return {};
}

std::string acks_differ(const ModelState& state, const DiskStorage& storage) {
  for (const auto& [name, commits] : state.commits) {
    const auto group = state.acks.find(name);
    for (const auto& [partition, commit] : commits) {
      const auto* found = storage.acks(name, partition.topic, partition.partition);
      const bool there = group != state.acks.end() && group->second.contains(partition);
      if (there != (found != nullptr))
        return std::string(there ? "no" : "old") + " acks of " + name;
      if (!there) continue;
      const auto differs = difference(group->second.at(partition), *found);
      if (!differs.empty()) return "acks of " + name + ": " + differs;
    }
  }
  return {};
}

}  // namespace

storage::IdHash ModelState::id(std::uint64_t number) {
  return storage::hash_of(TopicId{}, as_bytes(std::to_string(number)));
}

void ModelState::apply(const ModelEntry& entry) {
  std::visit([this](const auto& kind) { take(*this, kind); }, entry);
}

std::int32_t ModelState::next_sequence(PartitionId partition, ProducerIdentity producer) const {
  const auto& batches = partitions.at(partition).batches;
  for (auto it = batches.rbegin(); it != batches.rend(); ++it) {
    const RecordBatchView batch = view_of(**it);
    if (batch.producer_id() != producer.id) continue;
    if (batch.producer_epoch() != producer.epoch) return 0;
    return leat::next_sequence(batch.base_sequence(), batch.record_count());
  }
  return 0;
}

void StorageModel::append(ModelEntry entry) {
  entries_.push_back(std::make_shared<const ModelEntry>(std::move(entry)));
  state_.apply(*entries_.back());
}

void StorageModel::take_back() {
  truncate(JournalPosition(entries_.size() - 1));
}

void StorageModel::truncate(JournalPosition last) {
  if (last >= this->last()) return;
  state_ = state_at(last);
  entries_.resize(last.value);
}

ModelState StorageModel::state_at(JournalPosition last) const {
  ModelState state;
  for (std::size_t i = 0; i < last.value && i < entries_.size(); ++i) state.apply(*entries_[i]);
  return state;
}

std::string difference(const ModelState& state, const DiskStorage& storage, const ReadAll& read,
                       const FindAll& find) {
  for (auto differs :
       {topics_differ(state, storage), groups_differ(state, storage),
        commits_differ(state, storage), acks_differ(state, storage),
        producers_differ(state, storage), sources_differ(state, storage), ids_differ(state, find)})
    if (!differs.empty()) return differs;
  return records_differ(state, storage, read);
}

}  // namespace leat::test
