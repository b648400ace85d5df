// Rows of the outbox, as they come out of PostgreSQL's log: messages in, rows with their positions
// out. No connection.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/patterns/relay/pgoutput.h"
#include "client/patterns/relay/publisher.h"

namespace leat::patterns {

class TailRows {
 public:
  // Of `table`, without its schema; what is of others is skipped.
  explicit TailRows(std::string table) : table_(std::move(table)) {}

  // Takes a message, whose bytes live until clear(). Errors: kDatabaseFailed (malformed, or out of
  // place), kDatabaseSchema (the table lacks a column).
  Result<> take(Bytes message);
  // So much was sent, and nothing that is not here by now: what a keepalive says.
  void reached(pgoutput::Lsn at);

  // Inserted rows, in the order of commits; a transaction may be there in part. Its position is
  // where it commits, and which of its rows it is, from 1.
  const std::vector<PositionedRow>& rows() const { return rows_; }
  std::size_t bytes() const { return bytes_; }  // of rows
  // That inserted them.
  const std::vector<std::uint32_t>& transactions() const { return transactions_; }
  // Up to where everything is in rows(), or was: confirmed when they are done.
  pgoutput::Lsn whole() const { return whole_; }
  bool inside_transaction() const { return commit_ != 0; }
  // Forgets the rows, but not where it stands.
  void clear();

 private:
  // Where the columns of the outbox lie in a row; -1: missing.
  struct Columns {
    int sequence = -1, id = -1, aggregate_type = -1, aggregate_id = -1, type = -1, payload = -1,
        headers = -1, traceparent = -1, deliver_at = -1;
    std::size_t count = 0;
  };
  Result<> take_relation(const pgoutput::Relation& relation);
  Result<> take_insert(const pgoutput::Insert& insert);
  std::string_view keep(std::string text) { return kept_.emplace_back(std::move(text)); }
  std::optional<std::int64_t> integer(const pgoutput::Value& value) const;
  std::string_view uuid(const pgoutput::Value& value);
  std::optional<Bytes> binary(const pgoutput::Value& value);

  std::string table_;
  std::map<std::uint32_t, std::optional<Columns>> relations_;  // nullopt: another table
  pgoutput::Lsn commit_ = 0;                                   // of the open transaction
  std::uint32_t transaction_ = 0;                              // its id
  std::uint64_t row_ = 0;                                      // of it
  pgoutput::Lsn whole_ = 0;
  std::vector<PositionedRow> rows_;
  std::vector<std::uint32_t> transactions_;
  std::size_t bytes_ = 0;
  std::deque<std::string> kept_;  // what was decoded
};

}  // namespace leat::patterns
