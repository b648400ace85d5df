#include "protocol/first_bytes.h"

#include <algorithm>

namespace leat {
namespace {

bool starts_like(std::string_view text, std::string_view prefix) {
  const std::size_t n = std::min(text.size(), prefix.size());
  return n > 0 && text.substr(0, n) == prefix.substr(0, n);
}

bool looks_like_http(std::string_view text) {
  constexpr std::string_view kMethods[] = {"GET ",   "POST ",   "PUT ",     "HEAD ", "PATCH ",
                                           "TRACE ", "DELETE ", "OPTIONS ", "PRI ",  "CONNECT "};
  return std::any_of(std::begin(kMethods), std::end(kMethods),
                     [&](std::string_view method) { return starts_like(text, method); });
}

bool looks_like_kafka(Bytes received) {
  if (received.size() < 8) return false;
  const auto length = load_be<std::int32_t>(received.data());
  const auto api_key = load_be<std::int16_t>(received.data() + 4);
  const auto api_version = load_be<std::int16_t>(received.data() + 6);
  return length >= 8 && length <= (100 << 20) && api_key >= 0 && api_key < 128 &&
         api_version >= 0 && api_version < 32;
}

std::string hex(Bytes bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::byte b : bytes) {
    if (!text.empty()) text.push_back(' ');
    text.push_back(kDigits[static_cast<unsigned>(b) >> 4]);
    text.push_back(kDigits[static_cast<unsigned>(b) & 15]);
  }
  return text;
}

}  // namespace

std::string_view known_first_bytes(Bytes received) {
  const std::string_view text = as_text(received);
  if (looks_like_http(text)) return "an HTTP request";
  if (starts_like(text, "\x16\x03")) return "a TLS handshake";
  if (starts_like(text, "LEAT")) return "a frame of Leat's native protocol";
  if (looks_like_kafka(received)) return "a Kafka request";
  return {};
}

std::string name_first_bytes(Bytes received) {
  const std::string_view known = known_first_bytes(received);
  if (!known.empty()) return std::string(known);
  return "bytes " + hex(received.first(std::min<std::size_t>(received.size(), 8)));
}

}  // namespace leat
