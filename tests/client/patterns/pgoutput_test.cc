// What PostgreSQL's log says, without PostgreSQL: messages as its documents describe them, cut
// anywhere, and bytes that are none.
#include <cstring>

#include <gtest/gtest.h>

#include "client/patterns/relay/tail_rows.h"
#include "protocol/base/random.h"

namespace leat::patterns {
namespace {

using pgoutput::decode;

class Writer {
 public:
  explicit Writer(char kind) { be(static_cast<std::uint8_t>(kind)); }
  template <std::integral T>
  Writer& be(T value) {
    std::byte bytes[sizeof value];
    store_be(bytes, value);
    out_.insert(out_.end(), bytes, bytes + sizeof value);
    return *this;
  }
  Writer& text(std::string_view text) {
    raw(as_bytes(text));
    return be(std::uint8_t(0));
  }
  Writer& raw(Bytes bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Writer& value(char kind, std::string_view bytes) {
    be(static_cast<std::uint8_t>(kind));
    if (kind == 't' || kind == 'b')
      be(static_cast<std::int32_t>(bytes.size())).raw(as_bytes(bytes));
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return out_; }

 private:
  std::vector<std::byte> out_;
};

const std::vector<std::string> kColumns = {"sequence",    "id",          "aggregatetype",
                                           "aggregateid", "type",        "payload",
                                           "headers",     "traceparent", "deliver_at_ms"};

std::vector<std::byte> begin(std::uint64_t lsn) {
  return Writer('B').be(lsn).be(std::int64_t(1)).be(std::uint32_t(7)).bytes();
}
std::vector<std::byte> commit(std::uint64_t lsn, std::uint64_t end) {
  return Writer('C').be(std::uint8_t(0)).be(lsn).be(end).be(std::int64_t(1)).bytes();
}
std::vector<std::byte> relation(const std::vector<std::string>& columns = kColumns,
                                std::string_view name = "leat_outbox", std::uint32_t id = 9) {
  Writer to('R');
  to.be(id).text("public").text(name).be(std::uint8_t('d'));
  to.be(static_cast<std::int16_t>(columns.size()));
  for (const std::string& column : columns)
    to.be(std::uint8_t(0)).text(column).be(std::uint32_t(25)).be(std::int32_t(-1));
  return to.bytes();
}
std::string binary(std::int64_t number) {
  std::string bytes(8, '\0');
  store_be(reinterpret_cast<std::byte*>(bytes.data()), number);
  return bytes;
}
std::vector<std::byte> row(std::int64_t sequence, bool in_binary, std::uint32_t table = 9) {
  Writer to('I');
  to.be(table).be(std::uint8_t('N')).be(std::int16_t(9));
  if (in_binary)
    to.value('b', binary(sequence)).value('b', std::string("\x01\x02", 2) + std::string(14, '\0'));
  else
    to.value('t', std::to_string(sequence)).value('t', "01020000-0000-0000-0000-000000000000");
  to.value('t', "order").value('t', "42").value('t', "OrderPaid");
  if (in_binary)
    to.value('b', std::string("a\0b", 3));
  else
    to.value('t', "\\x610062");
  to.value('t', "a=1").value('n', "");
  in_binary ? to.value('b', binary(77)) : to.value('t', "77");
  return to.bytes();
}

TEST(PgOutput, MessagesAreWhatTheyAre) {
  const auto b = begin(0x1'0000'0002);
  EXPECT_EQ(std::get<pgoutput::Begin>(*decode(b)).commit, 0x1'0000'0002u);
  const auto c = commit(5, 6);
  EXPECT_EQ(std::get<pgoutput::Commit>(*decode(c)).commit, 5u);
  EXPECT_EQ(std::get<pgoutput::Commit>(*decode(c)).end, 6u);
  const auto r = relation();
  const auto table = std::get<pgoutput::Relation>(*decode(r));
  EXPECT_EQ(table.name, "leat_outbox");
  EXPECT_EQ(table.columns.size(), kColumns.size());
  EXPECT_EQ(table.columns[1], "id");
  for (const char kind : {'U', 'D', 'T', 'Y', 'O', 'M'}) {
    const std::byte other[] = {std::byte(kind), std::byte{1}};
    EXPECT_TRUE(std::holds_alternative<pgoutput::Other>(*decode(other))) << kind;
  }
}

TEST(PgOutput, WhatIsCutOrLongerIsMalformed) {
  for (const auto& whole : {begin(3), commit(5, 6), relation(), row(1, true), row(1, false)}) {
    for (std::size_t size = 0; size < whole.size(); ++size)
      ASSERT_FALSE(decode(Bytes(whole).first(size))) << size << " of " << whole.size();
    auto longer = whole;
    longer.push_back(std::byte{0});
    EXPECT_EQ(decode(longer).error(), ErrorCode::kDatabaseFailed);
  }
  const std::byte unknown[] = {std::byte{'z'}};
  EXPECT_FALSE(decode(unknown));
  // Counts and lengths that promise more than there is.
  Writer many('R');
  many.be(std::uint32_t(1)).text("public").text("t").be(std::uint8_t(0)).be(std::int16_t(32767));
  EXPECT_FALSE(decode(many.bytes()));
  Writer huge('I');
  huge.be(std::uint32_t(1)).be(std::uint8_t('N')).be(std::int16_t(1)).be(std::uint8_t('t'));
  EXPECT_FALSE(decode(Writer(huge).be(std::int32_t(0x7fffffff)).bytes()));
  EXPECT_FALSE(decode(Writer(huge).be(std::int32_t(-5)).bytes()));
}

TEST(PgOutput, BytesThatAreChangedAnywhereAreReadOrRefused) {
  Random random(3);
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = i % 2 ? row(i, i % 3 == 0) : relation();
    for (auto n = random.below(4) + 1; n > 0; --n)
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.below(256));
    TailRows rows("leat_outbox");
    ASSERT_TRUE(rows.take(begin(1)));
    ASSERT_TRUE(rows.take(relation()));
    [[maybe_unused]] const auto taken = rows.take(bytes);
  }
}

TEST(PgOutput, PlacesInTheLogReadAsTheyAreWritten) {
  EXPECT_EQ(pgoutput::lsn_text(0x16'B374'D848), "16/B374D848");
  EXPECT_EQ(pgoutput::read_lsn("16/B374D848"), 0x16'B374'D848u);
  EXPECT_EQ(pgoutput::read_lsn("0/0"), 0u);
  for (const char* wrong : {"", "1", "1/", "/1", "1/123456789", "x/1", "1/ 2"})
    EXPECT_FALSE(pgoutput::read_lsn(wrong)) << wrong;
}

TEST(TailRows, RowsHaveTheirPlaceInTheLog) {
  for (const bool in_binary : {false, true}) {
    TailRows rows("leat_outbox");
    std::vector<std::vector<std::byte>> messages = {
        begin(100),           relation(kColumns, "other", 1),
        relation(),           row(5, in_binary),
        row(6, in_binary, 1), row(7, in_binary),
        commit(100, 120),     begin(130),
        row(8, in_binary)};
    for (const auto& message : messages) ASSERT_TRUE(rows.take(message));
    ASSERT_EQ(rows.rows().size(), 3u);
    const PositionedRow& first = rows.rows()[0];
    EXPECT_EQ(first.position, (SourcePosition{100, 1}));
    EXPECT_EQ(first.row.sequence, 5);
    EXPECT_EQ(first.row.id, "01020000-0000-0000-0000-000000000000");
    EXPECT_EQ(first.row.aggregate_type, "order");
    EXPECT_EQ(first.row.aggregate_id, "42");
    EXPECT_EQ(first.row.type, "OrderPaid");
    EXPECT_EQ(as_text(*first.row.payload), std::string_view("a\0b", 3));
    EXPECT_EQ(first.row.headers, "a=1");
    EXPECT_FALSE(first.row.traceparent);
    EXPECT_EQ(first.row.deliver_at_ms, 77);
    EXPECT_EQ(rows.rows()[1].position, (SourcePosition{100, 2}));
    EXPECT_EQ(rows.rows()[2].position, (SourcePosition{130, 1}));
    EXPECT_EQ(rows.whole(), 120u);
    EXPECT_TRUE(rows.inside_transaction());
    rows.reached(500);
    EXPECT_EQ(rows.whole(), 120u) << "a transaction is there in part";
    rows.clear();
    ASSERT_TRUE(rows.take(commit(130, 140)));
    EXPECT_EQ(rows.whole(), 140u);
    rows.reached(500);
    EXPECT_EQ(rows.whole(), 500u);
  }
}

TEST(TailRows, WhatIsOutOfPlaceIsRefused) {
  const auto refused = [](const std::vector<std::vector<std::byte>>& messages) {
    TailRows rows("leat_outbox");
    for (const auto& message : messages)
      if (auto ok = rows.take(message); !ok) return ok.error();
    return Error(ErrorCode::kOk);
  };
  EXPECT_EQ(refused({row(1, true)}), ErrorCode::kDatabaseFailed);
  EXPECT_EQ(refused({begin(1), row(1, true)}), ErrorCode::kDatabaseFailed);
  EXPECT_EQ(refused({begin(1), begin(2)}), ErrorCode::kDatabaseFailed);
  EXPECT_EQ(refused({commit(1, 2)}), ErrorCode::kDatabaseFailed);
  EXPECT_EQ(refused({begin(1), commit(2, 3)}), ErrorCode::kDatabaseFailed);
  auto older = kColumns;
  older.erase(older.begin() + 7);
  const Error schema = refused({begin(1), relation(older)});
  EXPECT_EQ(schema, ErrorCode::kDatabaseSchema);
  EXPECT_NE(schema.detail.find("traceparent"), std::string::npos);
  auto more = kColumns;
  more.push_back("txid");
  EXPECT_EQ(refused({begin(1), relation(more), row(1, true)}), ErrorCode::kDatabaseFailed);
  EXPECT_EQ(refused({begin(1), relation(more)}), ErrorCode::kOk);
}

}  // namespace
}  // namespace leat::patterns
