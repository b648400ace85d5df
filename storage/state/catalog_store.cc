#include "storage/state/catalog_store.h"

#include <algorithm>

namespace leat::storage {
namespace {

constexpr std::uint32_t kMostInRun = 1 << 24;  // more nobody wrote

PartitionRun read_run(ByteReader& reader) {
  PartitionRun run;
  run.first = PartitionId(reader.le<std::uint32_t>());
  run.count = reader.le<std::uint32_t>();
  if (run.count > kMostInRun) reader.fail();
  return run;
}

// All that follows.
std::vector<PartitionRun> read_runs(ByteReader& reader) {
  std::vector<PartitionRun> runs;
  while (!reader.failed() && !reader.finished()) runs.push_back(read_run(reader));
  if (reader.failed()) runs.clear();
  return runs;
}

void write_next(PartitionRun newest, FamilyWriter& rows) {
  std::byte next[4];
  store_le<std::uint32_t>(next, (newest.first + newest.count).value);
  rows.put(keys::kNextPartition, as_text(next));
}

// Changes the row of a topic, which is the newest.
Result<> change_row(const TopicId& id, const FamilyReader& before, FamilyWriter& rows,
                    const std::function<void(TopicCreated&)>& change) {
  const std::string key = keys::topic(id);
  const auto row = before.get(key);
  if (!row) return fail(row.error());
  if (row->empty()) return {};  // deleted later, and that is in the rows already
  auto created = TopicCreated::decode(as_bytes(*row));
  if (!created) return fail(created.error());
  change(*created);
  rows.put(key, as_text(created->encode().body));
  return {};
}

EntryWriter& write_config(EntryWriter& writer, const TopicConfig& config) {
  return writer.le(static_cast<std::uint8_t>(config.durability))
      .le(static_cast<std::uint32_t>(config.interval.count()))
      .le(static_cast<std::uint8_t>(config.cleanup))
      .le(static_cast<std::uint8_t>(config.on_full))
      .le(static_cast<std::int64_t>(config.retention.time.count()))
      .le(config.retention.bytes)
      .le(config.retention.records)
      .le(static_cast<std::int64_t>(config.ttl.count()))
      .le(static_cast<std::int64_t>(config.dedup.time.count()))
      .le(config.dedup.ids)
      .le(static_cast<std::uint8_t>(config.timed_records))
      .le(static_cast<std::uint8_t>(config.timestamps))
      .le(config.max_batch_bytes);
}

TopicConfig read_config(ByteReader& reader) {
  TopicConfig config;
  config.durability = static_cast<Durability>(reader.le<std::uint8_t>());
  config.interval = std::chrono::milliseconds(reader.le<std::uint32_t>());
  config.cleanup = static_cast<Cleanup>(reader.le<std::uint8_t>());
  config.on_full = static_cast<OnFull>(reader.le<std::uint8_t>());
  config.retention.time = std::chrono::milliseconds(reader.le<std::int64_t>());
  config.retention.bytes = reader.le<std::int64_t>();
  config.retention.records = reader.le<std::int64_t>();
  config.ttl = std::chrono::milliseconds(reader.le<std::int64_t>());
  config.dedup.time = std::chrono::milliseconds(reader.le<std::int64_t>());
  config.dedup.ids = reader.le<std::int64_t>();
  config.timed_records = reader.le<std::uint8_t>() != 0;
  if (reader.finished()) return config;  // format 6 ended here
  config.timestamps = static_cast<TimestampType>(reader.le<std::uint8_t>());
  config.max_batch_bytes = reader.le<std::int64_t>();
  return config;
}

}  // namespace

JournalEntry TopicCreated::encode() const {
  EntryWriter writer;
  writer.id(id).le(created_ms).le(first_partition.value).le(partitions).text(name);
  write_config(writer, config);
  for (const PartitionRun& run : added) writer.le(run.first.value).le(run.count);
  return writer.finish(EntryKind::kTopicCreated);
}

Result<TopicCreated> TopicCreated::decode(Bytes body) {
  ByteReader reader(body);
  TopicCreated created;
  created.id = read_topic_id(reader);
  created.created_ms = reader.le<std::int64_t>();
  created.first_partition = PartitionId(reader.le<std::uint32_t>());
  created.partitions = reader.le<std::uint32_t>();
  created.name = read_text(reader);
  created.config = read_config(reader);
  created.added = read_runs(reader);
  if (!reader.finished()) return fail(ErrorCode::kCorruptStorage, "malformed 'topic created'");
  return created;
}

JournalEntry TopicConfigured::encode() const {
  EntryWriter writer;
  return write_config(writer.id(id), config).finish(EntryKind::kTopicConfigured);
}

Result<TopicConfigured> TopicConfigured::decode(Bytes body) {
  ByteReader reader(body);
  TopicConfigured configured;
  configured.id = read_topic_id(reader);
  configured.config = read_config(reader);
  if (!reader.finished()) return fail(ErrorCode::kCorruptStorage, "malformed 'topic configured'");
  return configured;
}

JournalEntry PartitionsAdded::encode() const {
  return EntryWriter()
      .id(id)
      .le(partitions.first.value)
      .le(partitions.count)
      .finish(EntryKind::kPartitionsAdded);
}

Result<PartitionsAdded> PartitionsAdded::decode(Bytes body) {
  ByteReader reader(body);
  PartitionsAdded added;
  added.id = read_topic_id(reader);
  added.partitions = read_run(reader);
  if (!reader.finished()) return fail(ErrorCode::kCorruptStorage, "malformed 'partitions added'");
  return added;
}

JournalEntry TopicDeleted::encode() const {
  EntryWriter writer;
  writer.id(id);
  for (auto it = partitions.begin(); it != partitions.end();) {
    const PartitionId first = *it;
    std::uint32_t count = 0;
    while (it != partitions.end() && *it == first + count) ++count, ++it;
    writer.le(first.value).le(count);
  }
  return writer.finish(EntryKind::kTopicDeleted);
}

Result<TopicDeleted> TopicDeleted::decode(Bytes body) {
  ByteReader reader(body);
  TopicDeleted deleted;
  deleted.id = read_topic_id(reader);
  for (const PartitionRun& run : read_runs(reader))
    for (std::uint32_t i = 0; i < run.count; ++i) deleted.partitions.push_back(run.first + i);
  if (!reader.finished()) return fail(ErrorCode::kCorruptStorage, "malformed 'topic deleted'");
  return deleted;
}

Result<> CatalogStore::load(const FamilyReader& rows) {
  auto next = rows.get(keys::kNextPartition);
  if (!next) return fail(next.error());
  if (next->size() == sizeof(std::uint32_t))
    next_partition_ = PartitionId(load_le<std::uint32_t>(as_bytes(*next).data()));
  // A row's value is the body of the entry that made it.
  return rows.each(std::string_view(&keys::kTopicLetter, 1),
                   [this](std::string_view, std::string_view value) -> Result<> {
                     auto created = TopicCreated::decode(as_bytes(value));
                     if (!created) return fail(created.error());
                     apply(*created);
                     return {};
                   });
}

const Topic* CatalogStore::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

const Topic* CatalogStore::find(const TopicId& id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : it->second.get();
}

std::vector<const Topic*> CatalogStore::topics() const {
  std::vector<const Topic*> all;
  all.reserve(by_name_.size());
  for (const auto& [name, topic] : by_name_) all.push_back(topic);
  return all;
}

std::string CatalogStore::name_of(PartitionId partition) const {
  for (const auto& [name, topic] : by_name_) {
    const auto& all = topic->partitions;
    const auto it = std::ranges::lower_bound(all, partition);
    if (it != all.end() && *it == partition)
      return "topic '" + name + "' partition " + std::to_string(it - all.begin());
  }
  return "stored partition " + std::to_string(partition.value) + " of a topic that is gone";
}

void CatalogStore::apply(const TopicCreated& created) {
  auto topic = std::make_unique<Topic>();
  topic->id = created.id;
  topic->name = created.name;
  topic->config = created.config;
  topic->created = WallTime(std::chrono::milliseconds(created.created_ms));
  add(*topic, {created.first_partition, created.partitions});
  for (const PartitionRun& run : created.added) add(*topic, run);
  by_name_[topic->name] = topic.get();
  by_id_[created.id] = std::move(topic);
}

void CatalogStore::add(Topic& topic, PartitionRun run) {
  for (std::uint32_t i = 0; i < run.count; ++i) topic.partitions.push_back(run.first + i);
  next_partition_ = std::max(next_partition_, run.first + run.count);
}

void CatalogStore::apply(const PartitionsAdded& added) {
  const auto it = by_id_.find(added.id);
  if (it != by_id_.end()) add(*it->second, added.partitions);
  next_partition_ = std::max(next_partition_, added.partitions.first + added.partitions.count);
}

void CatalogStore::apply(const TopicConfigured& configured) {
  const auto it = by_id_.find(configured.id);
  if (it != by_id_.end()) it->second->config = configured.config;
}

void CatalogStore::apply(const TopicDeleted& deleted) {
  const auto it = by_id_.find(deleted.id);
  if (it == by_id_.end()) return;
  const auto named = by_name_.find(it->second->name);
  if (named != by_name_.end() && named->second == it->second.get()) by_name_.erase(named);
  by_id_.erase(it);
}

void CatalogStore::persist(const TopicCreated& created, FamilyWriter& rows) {
  rows.put(keys::topic(created.id), as_text(created.encode().body));
  write_next({created.first_partition, created.partitions}, rows);
}

Result<> CatalogStore::persist(const TopicConfigured& configured, const FamilyReader& before,
                               FamilyWriter& rows) {
  return change_row(configured.id, before, rows,
                    [&](TopicCreated& row) { row.config = configured.config; });
}

Result<> CatalogStore::persist(const PartitionsAdded& added, const FamilyReader& before,
                               FamilyWriter& rows) {
  write_next(added.partitions, rows);
  return change_row(added.id, before, rows,
                    [&](TopicCreated& row) { row.added.push_back(added.partitions); });
}

void CatalogStore::persist(const TopicDeleted& deleted, FamilyWriter& rows) {
  rows.remove(keys::topic(deleted.id));
}

}  // namespace leat::storage
