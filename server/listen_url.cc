#include "server/listen_url.h"

#include <charconv>

#include "protocol/names.h"

namespace leat {
namespace {

constexpr std::uint16_t kDefaultPort = 5328;
constexpr std::string_view kTcp = "leat://", kUnix = "unix://";

tl::unexpected<Error> invalid(std::string_view url) {
  return fail(ErrorCode::kInvalidAddress,
              "'" + escaped(url) + "'; write leat://HOST:PORT or unix:///PATH");
}

}  // namespace

Result<reactor::Address> parse_listen_url(std::string_view url) {
  reactor::Address address;
  if (url.starts_with(kUnix)) {
    address.unix_path = url.substr(kUnix.size());
    if (!address.unix_path.starts_with('/')) return invalid(url);
    return address;
  }
  if (!url.starts_with(kTcp)) return invalid(url);
  std::string_view rest = url.substr(kTcp.size());
  address.port = kDefaultPort;
  const std::size_t bracket = rest.starts_with('[') ? rest.find(']') : std::string_view::npos;
  const std::size_t colon =
      bracket == std::string_view::npos ? rest.rfind(':') : rest.find(':', bracket);
  if (colon != std::string_view::npos) {
    const std::string_view port = rest.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (error != std::errc() || end != port.data() + port.size()) return invalid(url);
    rest = rest.substr(0, colon);
  }
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  if (rest.empty() || rest.find('/') != std::string_view::npos) return invalid(url);
  address.host = rest;
  return address;
}

std::string listen_url(const reactor::Address& address) {
  if (!address.unix_path.empty()) return std::string(kUnix) + address.unix_path;
  const bool v6 = address.host.find(':') != std::string::npos;
  return std::string(kTcp) + (v6 ? "[" + address.host + "]" : address.host) + ":" +
         std::to_string(address.port);
}

bool is_loopback(const reactor::Address& address) {
  return !address.unix_path.empty() || address.host == "localhost" || address.host == "::1" ||
         address.host.starts_with("127.");
}

}  // namespace leat
