#include "server/cluster_id.h"

#include <array>
#include <filesystem>

#include "protocol/base/bytes.h"
#include "protocol/base/siphash.h"

namespace leat {
namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// RFC 4648, the alphabet for URLs, without padding.
std::string base64url(Bytes bytes) {
  std::string text;
  unsigned buffer = 0, bits = 0;
  for (const std::byte byte : bytes) {
    buffer = (buffer << 8) | static_cast<unsigned>(byte);
    for (bits += 8; bits >= 6; bits -= 6) text += kDigits[(buffer >> (bits - 6)) & 63];
  }
  if (bits > 0) text += kDigits[(buffer << (6 - bits)) & 63];
  return text;
}

}  // namespace

std::string cluster_id(std::string_view data_dir) {
  constexpr std::string_view kKey = "leat cluster id.";
  std::error_code unknown;
  const auto path = std::filesystem::weakly_canonical(data_dir, unknown);
  const auto [low, high] = siphash128(as_bytes(kKey), as_bytes(path.native()));
  std::array<std::byte, 16> id;
  store_be(id.data(), high);
  store_be(id.data() + sizeof high, low);
  return base64url(id);
}

}  // namespace leat
