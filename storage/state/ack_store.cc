#include "storage/state/ack_store.h"

#include <limits>

#include "storage/keys.h"

namespace leat::storage {
namespace {

std::string key_of(std::string_view group, const TopicPartition& partition) {
  return keys::acks(group, partition.topic, partition.partition);
}

OffsetCommit commit_of(const TopicPartition& partition, Offset floor) {
  return {.topic = partition.topic, .partition = partition.partition, .offset = floor};
}

// Each range from the end of the one before, the first from the floor.
class RangeWriter {
 public:
  RangeWriter(EntryWriter& writer, Offset floor) : writer_(writer), next_(floor.value) {}
  EntryWriter& write(const OffsetRange& range) {
    LEAT_ASSERT(range.first.value >= 0 && range.first <= range.last);
    writer_.varint(range.first.value - next_).varint(range.last - range.first);
    next_ = range.last.value + 1;
    return writer_;
  }

 private:
  EntryWriter& writer_;
  std::int64_t next_;
};

class RangeReader {
 public:
  RangeReader(ByteReader& reader, Offset floor) : reader_(reader), next_(floor.value) {}
  OffsetRange read() {
    std::int64_t first = 0, last = 0;
    const std::int64_t between = read_varint(reader_), more = read_varint(reader_);
    if (__builtin_add_overflow(next_, between, &first) || first < 0 || more < 0 ||
        __builtin_add_overflow(first, more, &last) ||
        last == std::numeric_limits<std::int64_t>::max())
      reader_.fail();
    if (reader_.failed()) return {};
    next_ = last + 1;
    return {Offset(first), Offset(last)};
  }

 private:
  ByteReader& reader_;
  std::int64_t next_;
};

void write(EntryWriter& writer, const AcksChanged& changed) {
  const AcksChange& change = changed.change;
  writer.text(change.group)
      .id(change.partition.topic)
      .varint(change.partition.partition.value)
      .varint(changed.floor.value);
  writer.varint(static_cast<std::int64_t>(change.done.size()));
  RangeWriter done(writer, changed.floor);
  for (const OffsetRange& range : change.done) done.write(range);
  writer.varint(static_cast<std::int64_t>(change.retries.size()));
  RangeWriter retries(writer, changed.floor);
  for (const auto& [range, retry] : change.retries)
    retries.write(range).varint(retry.attempts).varint(retry.due_ms);
}

}  // namespace

// ---- entries ----

JournalEntry AcksChanged::encode() const {
  EntryWriter writer;
  write(writer, *this);
  return writer.finish(EntryKind::kAcksChanged);
}

JournalEntry AcksChanged::encode_with(PartitionId partition, Offset base, LeaderEpoch epoch,
                                      Bytes batch) const {
  EntryWriter writer;
  write(writer, *this);
  return RecordsAppended::encode(partition, base, epoch, batch, EntryKind::kDeadLettered,
                                 writer.take());
}

Result<AcksChanged> AcksChanged::decode(Bytes body) {
  ByteReader reader(body);
  AcksChanged changed;
  AcksChange& change = changed.change;
  change.group = read_text(reader);
  change.partition.topic = read_topic_id(reader);
  const std::int64_t partition = read_varint(reader);
  change.partition.partition = PartitionIndex(static_cast<std::int32_t>(partition));
  if (partition < 0 || partition > std::numeric_limits<std::int32_t>::max()) reader.fail();
  changed.floor = Offset(read_varint(reader));
  const std::int64_t ranges = read_varint(reader);
  RangeReader done(reader, changed.floor);
  for (std::int64_t i = 0; i < ranges && !reader.failed(); ++i) change.done.push_back(done.read());
  const std::int64_t tried = read_varint(reader);
  RangeReader retries(reader, changed.floor);
  for (std::int64_t i = 0; i < tried && !reader.failed(); ++i) {
    const OffsetRange range = retries.read();
    const std::int64_t attempts = read_varint(reader), due_ms = read_varint(reader);
    if (attempts < 0 || attempts > std::numeric_limits<std::uint32_t>::max()) reader.fail();
    change.retries.push_back({range, {static_cast<std::uint32_t>(attempts), due_ms}});
  }
  if (ranges < 0 || tried < 0 || !reader.finished())
    return fail(ErrorCode::kCorruptStorage, "malformed 'acks changed'");
  return changed;
}

Result<AcksChanged> AcksChanged::of(const JournalEntry& entry) {
  if (!holds_records(entry)) return decode(entry.body);
  const auto records = RecordsAppended::decode(entry);
  if (!records) return fail(records.error());
  return decode(records->behind);
}

// ---- state ----

const PartitionAcks* AckStore::find(std::string_view group, const TopicPartition& partition) const {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return nullptr;
  const auto it = found->second.find(partition);
  return it == found->second.end() ? nullptr : &it->second.acks;
}

OffsetsCommitted AckStore::apply(const AcksChanged& changed) {
  const AcksChange& change = changed.change;
  auto group = groups_.find(change.group);
  if (group == groups_.end()) group = groups_.try_emplace(std::string(change.group)).first;
  const auto held = group->second.try_emplace(change.partition, PartitionAcks(changed.floor)).first;
  held->second.acks.apply(change);
  held->second.commits = true;
  return {change.group, {commit_of(change.partition, held->second.acks.floor())}};
}

void AckStore::apply(const OffsetsCommitted& committed) {
  const auto group = groups_.find(committed.group);
  if (group == groups_.end()) return;
  for (const OffsetCommit& commit : committed.offsets) {
    const auto held = group->second.find({commit.topic, commit.partition});
    if (held == group->second.end()) continue;
    held->second.commits = false;  // this one has a row already
    if (commit.offset == held->second.acks.floor()) continue;
    forget(group->first, held);
    group->second.erase(held);
  }
  if (group->second.empty()) groups_.erase(group);
}

void AckStore::apply(const OffsetsRemoved& removed) {
  const auto group = groups_.find(removed.group);
  if (group == groups_.end()) return;
  for (const TopicPartition& at : removed.partitions) {
    const auto held = group->second.find(at);
    if (held == group->second.end()) continue;
    forget(group->first, held);
    group->second.erase(held);
  }
  if (group->second.empty()) groups_.erase(group);
}

void AckStore::apply(const TopicDeleted& deleted) {
  for (auto group = groups_.begin(); group != groups_.end();) {
    for (auto held = group->second.begin(); held != group->second.end();) {
      const auto here = held++;
      if (here->first.topic != deleted.id) continue;
      forget(group->first, here);
      group->second.erase(here);
    }
    group = group->second.empty() ? groups_.erase(group) : std::next(group);
  }
}

void AckStore::apply(const GroupDeleted& deleted) {
  const auto group = groups_.find(deleted.group);
  if (group == groups_.end()) return;
  for (auto held = group->second.begin(); held != group->second.end(); ++held)
    forget(group->first, held);
  groups_.erase(group);
}

void AckStore::forget(std::string_view group, Partitions::const_iterator held) {
  auto gone = held->second.acks.row_keys(key_of(group, held->first));
  gone_.insert(gone_.end(), std::move_iterator(gone.begin()), std::move_iterator(gone.end()));
}

// ---- rows ----

// The floor's row comes before those of the chunks. Where it was lost nothing is believed of them.
Result<> AckStore::load(const FamilyReader& rows) {
  return rows.each(
      std::string_view(&keys::kAcksLetter, 1),
      [this](std::string_view key, std::string_view value) -> Result<> {
        const auto parsed = keys::parse_acks(key);
        if (!parsed) return fail(ErrorCode::kCorruptStorage, "malformed key of acks");
        const TopicPartition partition{parsed->topic, parsed->partition};
        if (!parsed->chunk) {
          auto acks = PartitionAcks::load(value);
          if (!acks) return fail(ErrorCode::kCorruptStorage, "malformed floor of acks");
          groups_[std::string(parsed->group)].emplace(partition, Held{std::move(*acks)});
          return {};
        }
        const auto group = groups_.find(parsed->group);
        const auto held =
            group == groups_.end() ? Partitions::iterator() : group->second.find(partition);
        if (group != groups_.end() && held != group->second.end())
          return held->second.acks.load_chunk(*parsed->chunk, value);
        gone_.emplace_back(key);
        return {};
      });
}

void AckStore::persist_changes(FamilyWriter& rows) {
  for (const std::string& key : std::exchange(gone_, {})) rows.remove(key);
  for (auto& [group, partitions] : groups_) {
    for (auto& [partition, held] : partitions) {
      held.acks.persist_changes(key_of(group, partition), rows);
      if (!std::exchange(held.commits, false)) continue;
      OffsetStore::persist({group, {commit_of(partition, held.acks.floor())}}, rows);
    }
  }
}

}  // namespace leat::storage
