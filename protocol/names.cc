#include "protocol/names.h"

#include <algorithm>
#include <cstdint>
#include <string>

namespace leat {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

bool allowed_in_topic(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

// One character of UTF-8; `bytes` is 0 where the text does not begin with a whole, valid one.
struct Character {
  std::size_t bytes = 0;
  std::uint32_t code_point = 0;
};

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
Character decode_utf8(std::string_view text) {
  const auto lead = static_cast<std::uint8_t>(text[0]);
  if (lead < 0x80) return {1, lead};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  std::uint32_t code_point = lead & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<std::uint8_t>(text[i]);
    if ((next & 0xc0) != 0x80) return {};
    code_point = code_point << 6 | (next & 0x3fu);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
  if (code_point < kSmallest[bytes] || surrogate || code_point > 0x10ffff) return {};
  return {bytes, code_point};
}

// What could end a log line early or make it read other than it is stored.
bool unsafe_to_print(std::uint32_t code_point) {
  return code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0) || code_point == '\'' ||
         code_point == '"' || code_point == '\\' ||
         (code_point >= 0x2028 && code_point <= 0x202e) ||
         (code_point >= 0x2066 && code_point <= 0x2069);
}

std::string quoted(std::string_view name) {
  return "'" + escaped(name) + "'";
}

}  // namespace

Result<> validate_topic_name(std::string_view name) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::kInvalidTopicName, quoted(name) + " " + std::string(why));
  };
  if (name.empty()) return refuse("is empty");
  if (name.size() > kMaxTopicNameBytes)
    return refuse("has " + std::to_string(name.size()) + " characters, the limit is " +
                  std::to_string(kMaxTopicNameBytes));
  if (name == "." || name == "..") return refuse("is not allowed");
  for (char c : name)
    if (!allowed_in_topic(c)) return refuse("holds other characters than A-Z a-z 0-9 . _ -");
  return {};
}

Result<> validate_snapshot_name(std::string_view name) {
  if (!name.empty() && name.size() <= kMaxSnapshotNameBytes && name.front() != '.' &&
      std::ranges::all_of(name, allowed_in_topic))
    return {};
  return fail(ErrorCode::kInvalidSnapshotName,
              "'" + escaped(name) + "': 1 to 100 of A-Z a-z 0-9 . _ -, without a dot in front");
}

Result<> validate_group_name(std::string_view name) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::kInvalidGroupName, quoted(name) + " " + std::string(why));
  };
  if (name.empty()) return refuse("is empty");
  if (name.size() > kMaxGroupNameBytes)
    return refuse("has " + std::to_string(name.size()) + " bytes, the limit is " +
                  std::to_string(kMaxGroupNameBytes));
  if (!is_utf8(name)) return refuse("is not valid UTF-8");
  return {};
}

Result<> validate_source_name(std::string_view name) {
  if (!name.empty() && name.size() <= kMaxSourceNameBytes && is_utf8(name)) return {};
  return fail(ErrorCode::kInvalidRequest, "a source called " + quoted(name) + ": use 1 to " +
                                              std::to_string(kMaxSourceNameBytes) +
                                              " bytes of UTF-8");
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Character character = decode_utf8(text);
    if (character.bytes == 0) return false;
    text.remove_prefix(character.bytes);
  }
  return true;
}

std::string escaped(std::string_view text, std::size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    const Character character = decode_utf8(text);
    const std::size_t taken = character.bytes == 0 ? 1 : character.bytes;
    const bool plain = character.bytes != 0 && !unsafe_to_print(character.code_point);
    if (out.size() + (plain ? taken : 4 * taken) > max_bytes) return out + "...";
    for (char c : text.substr(0, taken)) {
      if (plain) {
        out.push_back(c);
        continue;
      }
      const auto byte = static_cast<std::uint8_t>(c);
      out.append({'\\', 'x', kHexDigits[byte >> 4], kHexDigits[byte & 15]});
    }
    text.remove_prefix(taken);
  }
  return out;
}

}  // namespace leat
