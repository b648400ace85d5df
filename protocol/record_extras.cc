#include "protocol/record_extras.h"

#include <charconv>

#include "protocol/base/assert.h"
#include "protocol/base/varint.h"
#include "protocol/reserved_headers.h"

namespace leat {
namespace {

constexpr std::string_view kPrefix = "leat-";
constexpr std::size_t kShownBytes = 32;  // of what is wrong

tl::unexpected<Error> invalid(const RecordHeader& header, std::string_view what) {
  const std::string_view text = header.value ? as_text(*header.value) : "null";
  std::string shown;
  for (const char c : text.substr(0, kShownBytes)) shown += c >= ' ' && c <= '~' ? c : '?';
  return fail(ErrorCode::kInvalidBatch,
              "header " + std::string(header.key) + " is '" + shown + "'; " + std::string(what));
}

constexpr std::string_view kUseTime = "use milliseconds since 1970, in decimal";

std::string use_bytes(std::size_t most) {
  return "use 1 to " + std::to_string(most) + " bytes";
}

constexpr std::size_t kMaxTimeDigits = 20;  // of 64 bits, with a sign

// -1 where it is no time.
std::int64_t time_of(std::string_view text) {
  std::int64_t ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && ms <= kMaxHeaderTimeMs ? ms : -1;
}

// These are false where the header is wrong.
bool read_time(const RecordHeader& header, std::optional<std::int64_t>& time_ms) {
  if (time_ms) return true;
  const std::int64_t ms = header.value ? time_of(as_text(*header.value)) : -1;
  if (ms < 0) return false;
  time_ms.emplace(ms);
  return true;
}

bool read_id(const RecordHeader& header, std::size_t most, std::optional<Bytes>& id) {
  if (id) return true;
  if (!header.value || header.value->empty() || header.value->size() > most) return false;
  id = header.value;
  return true;
}

}  // namespace

Result<RecordExtras> read_extras(const RecordHeaders& headers) {
  RecordExtras extras;
  if (auto ok = read_extras(headers, extras); !ok) return fail(ok.error());
  return extras;
}

Result<> read_extras(const RecordHeaders& headers, RecordExtras& extras) {
  bool dead = false;
  for (const RecordHeader& header : headers) {
    const std::string_view key = header.key;
    if (!key.starts_with(kPrefix)) continue;
    if (key == reserved_headers::kDeliverAt) {
      if (!read_time(header, extras.deliver_at_ms)) return invalid(header, kUseTime);
    } else if (key == reserved_headers::kExpiresAt) {
      if (!read_time(header, extras.expires_at_ms)) return invalid(header, kUseTime);
    } else if (key == reserved_headers::kId) {
      if (!read_id(header, kMaxIdBytes, extras.id)) return invalid(header, use_bytes(kMaxIdBytes));
    } else if (key == reserved_headers::kRedriven) {
      if (!read_id(header, kMaxRedrivenBytes, extras.redriven))
        return invalid(header, use_bytes(kMaxRedrivenBytes));
    } else if (key == reserved_headers::kDeadReason) {
      dead = true;
    }
  }
  if (dead) extras.deliver_at_ms = extras.expires_at_ms = std::nullopt;
  return {};
}

ExtraHeaders::ExtraHeaders(const RecordExtras& extras) {
  LEAT_ASSERT(extras.id.value_or(Bytes()).size() <= kMaxIdBytes);
  LEAT_ASSERT(extras.redriven.value_or(Bytes()).size() <= kMaxRedrivenBytes);
  if (extras.id) add(reserved_headers::kId, *extras.id);
  if (extras.redriven) add(reserved_headers::kRedriven, *extras.redriven);
  if (extras.deliver_at_ms) add_time(reserved_headers::kDeliverAt, *extras.deliver_at_ms);
  if (extras.expires_at_ms) add_time(reserved_headers::kExpiresAt, *extras.expires_at_ms);
}

void ExtraHeaders::add(std::string_view key, Bytes value) {
  std::byte* to = encoded_.data() + size_;
  for (const Bytes part : {as_bytes(key), value})
    to = put_bytes(put_varint(to, static_cast<std::int64_t>(part.size())), part);
  size_ = static_cast<std::size_t>(to - encoded_.data());
  ++count_;
}

void ExtraHeaders::add_time(std::string_view key, std::int64_t ms) {
  std::array<char, kMaxTimeDigits> digits;
  const char* const end = std::to_chars(digits.begin(), digits.end(), ms).ptr;
  add(key, as_bytes(std::string_view(digits.begin(), end)));
}

}  // namespace leat
