#include "protocol/record_extras.h"

#include <charconv>

#include "protocol/reserved_headers.h"

namespace leat {
namespace {

constexpr std::string_view kPrefix = "leat-";
constexpr std::size_t kShownBytes = 32;  // of what is wrong

tl::unexpected<Error> invalid(const RecordHeader& header, const std::string& what) {
  const std::string_view text = header.value ? as_text(*header.value) : "null";
  std::string shown;
  for (const char c : text.substr(0, kShownBytes)) shown += c >= ' ' && c <= '~' ? c : '?';
  return fail(ErrorCode::kInvalidBatch,
              "header " + std::string(header.key) + " is '" + shown + "'; " + what);
}

Result<> read_time(const RecordHeader& header, std::optional<std::int64_t>& time_ms) {
  if (time_ms) return {};
  const std::string_view text = header.value ? as_text(*header.value) : std::string_view();
  std::int64_t ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || ms < 0 ||
      ms > kMaxHeaderTimeMs)
    return invalid(header, "use milliseconds since 1970, in decimal");
  time_ms = ms;
  return {};
}

Result<> read_id(const RecordHeader& header, std::size_t most, std::optional<Bytes>& id) {
  if (id) return {};
  if (!header.value || header.value->empty() || header.value->size() > most)
    return invalid(header, "use 1 to " + std::to_string(most) + " bytes");
  id = header.value;
  return {};
}

}  // namespace

Result<RecordExtras> read_extras(const RecordHeaders& headers) {
  RecordExtras extras;
  bool dead = false;
  for (const RecordHeader& header : headers) {
    if (!header.key.starts_with(kPrefix)) continue;
    Result<> ok;
    if (header.key == reserved_headers::kId) ok = read_id(header, kMaxIdBytes, extras.id);
    if (header.key == reserved_headers::kRedriven)
      ok = read_id(header, kMaxRedrivenBytes, extras.redriven);
    if (header.key == reserved_headers::kDeliverAt) ok = read_time(header, extras.deliver_at_ms);
    if (header.key == reserved_headers::kExpiresAt) ok = read_time(header, extras.expires_at_ms);
    if (header.key == reserved_headers::kDeadReason) dead = true;
    if (!ok) return fail(ok.error());
  }
  if (dead) extras.deliver_at_ms = extras.expires_at_ms = std::nullopt;
  return extras;
}

std::string header_time(std::int64_t ms) {
  return std::to_string(ms);
}

ExtraHeaders::ExtraHeaders(const RecordExtras& extras) {
  add(reserved_headers::kId, extras.id);
  add(reserved_headers::kRedriven, extras.redriven);
  add(reserved_headers::kDeliverAt, keep(extras.deliver_at_ms, deliver_at_));
  add(reserved_headers::kExpiresAt, keep(extras.expires_at_ms, expires_at_));
}

void ExtraHeaders::add(std::string_view key, const std::optional<Bytes>& value) {
  if (value) headers_[count_++] = {key, value};
}

std::optional<Bytes> ExtraHeaders::keep(const std::optional<std::int64_t>& ms, Digits& digits) {
  if (!ms) return std::nullopt;
  char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), *ms).ptr;
  return as_bytes(std::string_view(digits.data(), end));
}

}  // namespace leat
