#include "storage/state/log_start_store.h"

#include "storage/keys.h"

namespace leat::storage {

JournalEntry LogStartsMoved::encode() const {
  EntryWriter writer;
  writer.le(static_cast<std::uint32_t>(moves.size()));
  for (const Move& move : moves) writer.le(move.partition.value).le(move.start.value);
  return writer.finish(EntryKind::kLogStartsMoved);
}

Result<LogStartsMoved> LogStartsMoved::decode(Bytes body) {
  ByteReader reader(body);
  LogStartsMoved moved;
  const auto count = reader.le<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && !reader.failed(); ++i) {
    const PartitionId partition(reader.le<std::uint32_t>());
    moved.moves.push_back({partition, Offset(reader.le<std::int64_t>())});
  }
  if (!reader.finished()) return fail(ErrorCode::kCorruptStorage, "malformed 'log starts moved'");
  return moved;
}

Result<> LogStartStore::load(const FamilyReader& rows) {
  return rows.each(
      std::string_view(&keys::kLogStartLetter, 1),
      [this](std::string_view key, std::string_view value) -> Result<> {
        const auto partition = keys::parse_partition(key);
        ByteReader reader(as_bytes(value));
        Start start{Offset(reader.le<std::int64_t>()), JournalPosition(reader.le<std::uint64_t>())};
        if (!partition || !reader.finished())
          return fail(ErrorCode::kCorruptStorage, "malformed log start");
        starts_[*partition] = start;
        return {};
      });
}

void LogStartStore::apply(const LogStartsMoved& moved, JournalPosition at) {
  for (const auto& move : moved.moves) starts_[move.partition] = {move.start, at};
}

void LogStartStore::apply(const TopicDeleted& deleted) {
  for (const PartitionId id : deleted.partitions) starts_.erase(id);
}

LogStartStore::Start LogStartStore::find(PartitionId partition) const {
  const auto it = starts_.find(partition);
  return it == starts_.end() ? Start() : it->second;
}

void LogStartStore::persist(const LogStartsMoved& moved, JournalPosition at, FamilyWriter& rows) {
  for (const auto& move : moved.moves) {
    std::byte value[16];
    store_le<std::int64_t>(value, move.start.value);
    store_le<std::uint64_t>(value + 8, at.value);
    rows.put(keys::log_start(move.partition), as_text(value));
  }
}

void LogStartStore::persist(const TopicDeleted& deleted, FamilyWriter& rows) {
  for (const PartitionId id : deleted.partitions) rows.remove(keys::log_start(id));
}

}  // namespace leat::storage
