// What PostgreSQL's output plugin pgoutput says of committed transactions, protocol version 1, as
// far as an outbox needs it:
// https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html Bytes are the
// server's, and are not trusted for that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace leat::patterns::pgoutput {

// Place in the write-ahead log.
using Lsn = std::uint64_t;

struct Begin {
  Lsn commit = 0;                 // of the transaction's commit record
  std::uint32_t transaction = 0;  // its id, without the epoch
};
struct Commit {
  Lsn commit = 0;
  Lsn end = 0;  // of the transaction: what is confirmed when all of it is done
};
// Comes before the first row of a table, and again when the table has changed.
struct Relation {
  std::uint32_t id = 0;
  std::string_view schema, name;
  std::vector<std::string_view> columns;
};
struct Value {
  enum class Kind { kNull, kUnchanged, kText, kBinary };
  Kind kind = Kind::kNull;
  Bytes bytes;
};
struct Insert {
  std::uint32_t relation = 0;
  std::vector<Value> values;  // as the relation's columns
};
// Updates, deletions, truncations, types, origins, messages.
struct Other {};

// Borrows from what was decoded.
using Message = std::variant<Other, Begin, Commit, Relation, Insert>;

// Error kDatabaseFailed: bytes that are no such message.
Result<Message> decode(Bytes bytes);

// "16/B374D848", as PostgreSQL writes it.
std::string lsn_text(Lsn lsn);
// Nothing: it is none.
std::optional<Lsn> read_lsn(std::string_view text);

}  // namespace leat::patterns::pgoutput
