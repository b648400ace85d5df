#include "client/patterns/relay/tail_rows.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "protocol/base/ids.h"

namespace leat::patterns {
namespace {

using pgoutput::Value;

constexpr std::size_t kMostRelations = 10'000;
constexpr std::size_t kRowBytes = 300;  // what a row costs beside its payload

tl::unexpected<Error> out_of_place(const char* what) {
  return fail(ErrorCode::kDatabaseFailed,
              std::string("PostgreSQL's replication stream holds ") + what);
}

bool is_null(const Value& value) {
  return value.kind == Value::Kind::kNull;
}

// "\x0a1b", as PostgreSQL writes bytes by default.
std::optional<std::string> read_hex(std::string_view text) {
  if (!text.starts_with("\\x") || text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 2; i < text.size(); i += 2) {
    const auto byte = read_hex_byte(text[i], text[i + 1]);
    if (!byte) return std::nullopt;
    bytes += *byte;
  }
  return bytes;
}

}  // namespace

Result<> TailRows::take(Bytes bytes) {
  auto message = pgoutput::decode(bytes);
  if (!message) return fail(message.error());
  if (const auto* relation = std::get_if<pgoutput::Relation>(&*message))
    return take_relation(*relation);
  if (const auto* insert = std::get_if<pgoutput::Insert>(&*message)) return take_insert(*insert);
  if (const auto* begin = std::get_if<pgoutput::Begin>(&*message)) {
    if (commit_ != 0 || begin->commit == 0) return out_of_place("a transaction within another");
    commit_ = begin->commit;
    transaction_ = begin->transaction;
    row_ = 0;
  }
  if (const auto* commit = std::get_if<pgoutput::Commit>(&*message)) {
    if (commit_ == 0 || commit->commit != commit_)
      return out_of_place("a commit of another transaction");
    commit_ = 0;
    whole_ = std::max(whole_, commit->end);
  }
  return {};
}

void TailRows::reached(pgoutput::Lsn at) {
  if (!inside_transaction()) whole_ = std::max(whole_, at);
}

void TailRows::clear() {
  rows_.clear();
  transactions_.clear();
  kept_.clear();
  bytes_ = 0;
}

Result<> TailRows::take_relation(const pgoutput::Relation& relation) {
  if (relations_.size() >= kMostRelations && !relations_.contains(relation.id))
    return fail(ErrorCode::kDatabaseFailed, "the publication has more than " +
                                                std::to_string(kMostRelations) +
                                                " tables; let it have leat_outbox alone");
  auto& known = relations_[relation.id];
  known.reset();
  if (relation.name != table_) return {};
  Columns columns{.count = relation.columns.size()};
  const auto place = [&](std::string_view name) {
    const auto at = std::ranges::find(relation.columns, name);
    return at == relation.columns.end() ? -1 : static_cast<int>(at - relation.columns.begin());
  };
  std::string missing;
  for (const auto& [name, at] : {std::pair{"sequence", &columns.sequence},
                                 {"id", &columns.id},
                                 {"aggregatetype", &columns.aggregate_type},
                                 {"aggregateid", &columns.aggregate_id},
                                 {"type", &columns.type},
                                 {"payload", &columns.payload},
                                 {"headers", &columns.headers},
                                 {"traceparent", &columns.traceparent},
                                 {"deliver_at_ms", &columns.deliver_at}}) {
    *at = place(name);
    if (*at < 0) missing += (missing.empty() ? "" : ", ") + std::string(name);
  }
  if (!missing.empty())
    return fail(ErrorCode::kDatabaseSchema,
                "the table '" + table_ + "' has no column " + missing +
                    ": it is of another version; migrate it as CHANGELOG.md says, and if the "
                    "publication lists columns, let it have all of them");
  known = columns;
  return {};
}

Result<> TailRows::take_insert(const pgoutput::Insert& insert) {
  if (commit_ == 0) return out_of_place("a row outside of a transaction");
  const auto known = relations_.find(insert.relation);
  if (known == relations_.end()) return out_of_place("a row of a table that it has not described");
  if (!known->second) return {};
  const Columns& columns = *known->second;
  if (insert.values.size() != columns.count)
    return out_of_place("a row with another number of columns than its table has");
  const auto at = [&](int column) -> const Value& {
    return insert.values[static_cast<std::size_t>(column)];
  };
  const auto text = [&](int column) { return as_text(at(column).bytes); };
  PositionedRow row;
  row.position = {commit_, ++row_};
  const auto sequence = integer(at(columns.sequence));
  const auto deliver_at = integer(at(columns.deliver_at));
  row.row.payload = binary(at(columns.payload));
  if (!sequence || (!deliver_at && !is_null(at(columns.deliver_at))) ||
      (!row.row.payload && !is_null(at(columns.payload))))
    return out_of_place("a row of the outbox whose columns are of other types");
  row.row.sequence = *sequence;
  row.row.deliver_at_ms = deliver_at;
  row.row.id = uuid(at(columns.id));
  row.row.aggregate_type = text(columns.aggregate_type);
  row.row.aggregate_id = text(columns.aggregate_id);
  row.row.type = text(columns.type);
  row.row.headers = text(columns.headers);
  if (!is_null(at(columns.traceparent))) row.row.traceparent = text(columns.traceparent);
  bytes_ += kRowBytes + row.row.payload.value_or(Bytes()).size();
  rows_.push_back(row);
  if (transactions_.empty() || transactions_.back() != transaction_)
    transactions_.push_back(transaction_);
  return {};
}

std::optional<std::int64_t> TailRows::integer(const Value& value) const {
  if (value.kind == Value::Kind::kBinary && value.bytes.size() == 8)
    return load_be<std::int64_t>(value.bytes.data());
  if (value.kind != Value::Kind::kText) return std::nullopt;
  const std::string_view text = as_text(value.bytes);
  std::int64_t number = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || at != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string_view TailRows::uuid(const Value& value) {
  TopicId id;
  if (value.kind != Value::Kind::kBinary || value.bytes.size() != id.bytes.size())
    return as_text(value.bytes);
  std::memcpy(id.bytes.data(), value.bytes.data(), id.bytes.size());
  return keep(id.to_string());
}

std::optional<Bytes> TailRows::binary(const Value& value) {
  if (value.kind == Value::Kind::kBinary) return value.bytes;
  if (value.kind != Value::Kind::kText) return std::nullopt;
  auto bytes = read_hex(as_text(value.bytes));
  if (!bytes) return std::nullopt;
  return as_bytes(keep(std::move(*bytes)));
}

}  // namespace leat::patterns
