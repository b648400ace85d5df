#include "client/patterns/outbox.h"

#include <algorithm>

#include <stdlib.h>
#include <unistd.h>

#include "client/context/message_context.h"
#include "client/patterns/outbox_tables.h"
#include "client/patterns/tables.h"
#include "protocol/base/assert.h"

namespace leat::patterns {
namespace {

constexpr std::string_view kTraceparent = "traceparent";

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
         c == '.' || c == '_' || c == '~' || c == ':' || c == '/';
}

void percent_encode(std::string_view text, std::string& to) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  for (const char c : text) {
    if (is_plain(c)) {
      to += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    to += '%';
    to += kDigits[byte >> 4];
    to += kDigits[byte & 15];
  }
}

Result<> check(const OutboxEvent& event) {
  if (event.aggregate_type.empty() || event.aggregate_type.size() > 200)
    return fail(ErrorCode::kInvalidRequest,
                "OutboxEvent::aggregate_type is 1 to 200 bytes: it names the topic");
  if (!event.id.empty() && !TopicId::parse(event.id))
    return fail(ErrorCode::kInvalidRequest, "OutboxEvent::id '" + std::string(event.id) +
                                                "' is no UUID; leave it empty for a new one");
  for (const RecordHeader& header : event.headers)
    if (header.key.empty())
      return fail(ErrorCode::kInvalidRequest, "a header of the event has no name");
  return {};
}

// Of the thread's MessageScope, what the event does not say by itself.
std::vector<OwnedHeader> context_headers(const OutboxEvent& event) {
  const SharedContext context = MessageScope::current();
  std::vector<OwnedHeader> headers;
  if (context) headers = context->to_headers();
  std::erase_if(headers, [&](const OwnedHeader& header) {
    return std::ranges::find(event.headers, header.name, &RecordHeader::key) != event.headers.end();
  });
  return headers;
}

}  // namespace

std::string new_message_id() {
  TopicId id;
  LEAT_ASSERT(::getentropy(id.bytes.data(), id.bytes.size()) == 0);
  id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0f) | 0x40);
  id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
  return id.to_string();
}

std::string headers_text(const std::vector<RecordHeader>& headers) {
  std::string text;
  for (const RecordHeader& header : headers) {
    if (!text.empty()) text += '&';
    percent_encode(header.key, text);
    if (!header.value) continue;
    text += '=';
    percent_encode(as_text(*header.value), text);
  }
  return text;
}

Result<Outbox> Outbox::open(Database& database, const OutboxOptions& options) {
  if (auto ok = ensure_tables(database, outbox_tables()); !ok) return fail(ok.error());
  if (options.notify)
    if (auto ok = ensure_tables(database, outbox_notify()); !ok) return fail(ok.error());
  return Outbox(database);
}

Result<std::string> Outbox::add(const OutboxEvent& event) {
  if (!database_->in_transaction())
    return fail(ErrorCode::kInvalidRequest,
                "add() belongs into the transaction that changes the business rows: begin() first");
  if (auto ok = check(event); !ok) return fail(ok.error());
  std::string id = event.id.empty() ? new_message_id() : std::string(event.id);
  const std::vector<OwnedHeader> context = context_headers(event);
  std::vector<RecordHeader> given = event.headers, headers;
  for (const OwnedHeader& header : context) given.push_back({header.name, as_bytes(header.value)});
  SqlValue traceparent, deliver_at;
  for (const RecordHeader& header : given)
    if (header.key == kTraceparent && header.value)
      traceparent = as_text(*header.value);
    else
      headers.push_back(header);
  if (event.deliver_at) deliver_at = event.deliver_at->time_since_epoch().count();
  const std::string text = headers_text(headers);
  const bool postgres = database_->dialect() == SqlDialect::kPostgres;
  auto added = database_->execute(
      postgres ? "INSERT INTO leat_outbox (id, aggregatetype, aggregateid, type, payload, headers, "
                 "traceparent, deliver_at_ms) VALUES ($1::uuid, $2, $3, $4, $5::bytea, $6, $7, $8)"
               : "INSERT INTO leat_outbox (id, aggregatetype, aggregateid, type, payload, headers, "
                 "traceparent, deliver_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
      {std::string_view(id), event.aggregate_type, event.aggregate_id, event.type,
       sql_bytes(event.payload), std::string_view(text), traceparent, deliver_at});
  if (!added) return fail(added.error());
  return id;
}

}  // namespace leat::patterns
