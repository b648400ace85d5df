#include "storage/state/id_block.h"

#include <utility>

#include "storage/state/entry.h"

namespace leat::storage {

// What is alike lies together: hashes, then how far the offsets are apart, then runs of one time.
std::string IdBlock::encode() const {
  EntryWriter writer;
  writer.le(static_cast<std::uint16_t>(first % kBlockIds))
      .le(static_cast<std::uint16_t>(ids.size()));
  for (const KnownId& known : ids) writer.le(known.id.high).le(known.id.low);
  std::int64_t offset = 0, ms = 0;
  for (const KnownId& known : ids)
    writer.varint(known.offset.value - std::exchange(offset, known.offset.value));
  for (std::size_t i = 0; i < ids.size();) {
    std::size_t run = 1;
    while (i + run < ids.size() && ids[i + run].appended_ms == ids[i].appended_ms) ++run;
    writer.varint(static_cast<std::int64_t>(run))
        .varint(ids[i].appended_ms - std::exchange(ms, ids[i].appended_ms));
    i += run;
  }
  return std::string(as_text(writer.take()));
}

Result<IdBlock> IdBlock::decode(std::uint64_t number, std::string_view value) {
  ByteReader reader(as_bytes(value));
  IdBlock block;
  block.first = number * kBlockIds + reader.le<std::uint16_t>();
  const std::size_t count = reader.le<std::uint16_t>();
  if (block.first + count > (number + 1) * kBlockIds) reader.fail();
  block.ids.resize(reader.failed() ? 0 : count);
  for (KnownId& known : block.ids) {
    known.id.high = reader.le<std::uint64_t>();
    known.id.low = reader.le<std::uint64_t>();
  }
  std::uint64_t offset = 0, ms = 0;  // unsigned: what is damaged may overflow
  for (KnownId& known : block.ids) {
    offset += static_cast<std::uint64_t>(read_varint(reader));
    known.offset = Offset(static_cast<std::int64_t>(offset));
    if (known.offset < Offset(0)) reader.fail();
  }
  for (std::size_t i = 0; i < block.ids.size() && !reader.failed();) {
    const auto run = static_cast<std::uint64_t>(read_varint(reader));
    ms += static_cast<std::uint64_t>(read_varint(reader));
    if (run == 0 || run > block.ids.size() - i) reader.fail();
    for (const std::size_t end = i + (reader.failed() ? 0 : run); i < end; ++i)
      block.ids[i].appended_ms = static_cast<std::int64_t>(ms);
  }
  if (!reader.finished()) return fail(ErrorCode::kCorruptStorage, "malformed message ids");
  return block;
}

std::string IdRange::encode() const {
  return std::string(as_text(EntryWriter().le(floor).le(next).take()));
}

Result<IdRange> IdRange::decode(std::string_view value) {
  ByteReader reader(as_bytes(value));
  IdRange range;
  range.floor = reader.le<std::uint64_t>();
  range.next = reader.le<std::uint64_t>();
  if (!reader.finished()) return fail(ErrorCode::kCorruptStorage, "malformed range of message ids");
  return range;
}

}  // namespace leat::storage
