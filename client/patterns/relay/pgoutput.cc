#include "client/patterns/relay/pgoutput.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace leat::patterns::pgoutput {
namespace {

constexpr std::int16_t kMostColumns = 1'600;  // of a table: PostgreSQL's own limit

// A message, field by field.
class Fields {
 public:
  explicit Fields(Bytes bytes) : whole_(bytes), reader_(bytes) {}

  template <std::integral T>
  T be() {
    return reader_.be<T>();
  }
  Bytes bytes(std::size_t size) { return reader_.bytes(size); }
  // Up to a zero.
  std::string_view text() {
    const Bytes rest = whole_.last(reader_.remaining());
    const auto end = std::ranges::find(rest, std::byte{0});
    if (end == rest.end()) {
      reader_.fail();
      return {};
    }
    const auto text = reader_.text(static_cast<std::size_t>(end - rest.begin()));
    reader_.bytes(1);
    return text;
  }
  // Of columns, each of which takes at least so many bytes.
  std::int16_t count(std::size_t least) {
    const auto count = be<std::int16_t>();
    if (count < 0 || count > kMostColumns ||
        static_cast<std::size_t>(count) * least > reader_.remaining())
      reader_.fail();
    return reader_.failed() ? std::int16_t(0) : count;
  }
  void fail() { reader_.fail(); }
  bool failed() const { return reader_.failed(); }
  bool finished() const { return reader_.finished(); }

 private:
  Bytes whole_;
  ByteReader reader_;
};

Begin begin(Fields& in) {
  Begin begin{.commit = in.be<std::uint64_t>()};
  in.be<std::int64_t>();  // when
  begin.transaction = in.be<std::uint32_t>();
  return begin;
}

Commit commit(Fields& in) {
  in.be<std::uint8_t>();  // flags
  Commit commit;
  commit.commit = in.be<std::uint64_t>();
  commit.end = in.be<std::uint64_t>();
  in.be<std::int64_t>();  // when
  return commit;
}

Relation relation(Fields& in) {
  Relation relation;
  relation.id = in.be<std::uint32_t>();
  relation.schema = in.text();
  relation.name = in.text();
  in.be<std::uint8_t>();  // replica identity
  const std::int16_t columns = in.count(10);
  for (std::int16_t i = 0; i < columns && !in.failed(); ++i) {
    in.be<std::uint8_t>();  // flags
    relation.columns.push_back(in.text());
    in.be<std::uint32_t>();  // type
    in.be<std::int32_t>();   // its modifier
  }
  return relation;
}

Value value(Fields& in) {
  const auto kind = static_cast<char>(in.be<std::uint8_t>());
  if (kind == 'n') return {Value::Kind::kNull, {}};
  if (kind == 'u') return {Value::Kind::kUnchanged, {}};
  if (kind != 't' && kind != 'b') in.fail();
  const auto size = in.be<std::int32_t>();
  if (size < 0) in.fail();
  if (in.failed()) return {};
  return {kind == 't' ? Value::Kind::kText : Value::Kind::kBinary,
          in.bytes(static_cast<std::size_t>(size))};
}

Insert insert(Fields& in) {
  Insert insert;
  insert.relation = in.be<std::uint32_t>();
  if (in.be<std::uint8_t>() != 'N') in.fail();
  const std::int16_t columns = in.count(1);
  insert.values.reserve(static_cast<std::size_t>(columns));
  for (std::int16_t i = 0; i < columns && !in.failed(); ++i) insert.values.push_back(value(in));
  return insert;
}

}  // namespace

Result<Message> decode(Bytes bytes) {
  const auto malformed = [&] {
    const auto kind = bytes.empty() ? 0u : static_cast<unsigned>(bytes.front());
    return fail(ErrorCode::kDatabaseFailed, "PostgreSQL's replication stream holds a message of " +
                                                std::to_string(bytes.size()) + " bytes and kind " +
                                                std::to_string(kind) + " that makes no sense");
  };
  if (bytes.empty()) return malformed();
  Fields in(bytes.subspan(1));
  Message message;
  switch (static_cast<char>(bytes.front())) {
    case 'B':
      message = begin(in);
      break;
    case 'C':
      message = commit(in);
      break;
    case 'R':
      message = relation(in);
      break;
    case 'I':
      message = insert(in);
      break;
    case 'U':
    case 'D':
    case 'T':
    case 'Y':
    case 'O':
    case 'M':
      return Message(Other());
    default:
      return malformed();
  }
  if (!in.finished()) return malformed();
  return message;
}

std::string lsn_text(Lsn lsn) {
  char text[24];
  std::snprintf(text, sizeof text, "%X/%X", static_cast<unsigned>(lsn >> 32),
                static_cast<unsigned>(lsn & 0xffffffff));
  return text;
}

std::optional<Lsn> read_lsn(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  std::uint32_t half[2] = {};
  const std::string_view parts[2] = {text.substr(0, slash), text.substr(slash + 1)};
  for (int i = 0; i < 2; ++i) {
    const char* const end = parts[i].data() + parts[i].size();
    const auto [at, error] = std::from_chars(parts[i].data(), end, half[i], 16);
    if (error != std::errc() || at != end || parts[i].empty()) return std::nullopt;
  }
  return Lsn{half[0]} << 32 | half[1];
}

}  // namespace leat::patterns::pgoutput
