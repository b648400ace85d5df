#include "server/listen_url.h"

#include <charconv>
#include <optional>

#include "protocol/names.h"

namespace leat {
namespace {

constexpr std::uint16_t kNativePort = 5328, kKafkaPort = 9092;
constexpr std::string_view kTcp = "leat://", kUnix = "unix://", kKafka = "kafka://";
constexpr std::string_view kAdvertised = "advertised=";

tl::unexpected<Error> invalid(std::string_view url) {
  return fail(ErrorCode::kInvalidAddress, "'" + escaped(url) +
                                              "'; write leat://HOST:PORT, unix:///PATH or "
                                              "kafka://HOST:PORT[?advertised=HOST:PORT]");
}

struct HostAndPort {
  std::string host;
  std::uint16_t port;
};

std::optional<HostAndPort> parse_host_and_port(std::string_view text, std::uint16_t port) {
  const std::size_t bracket = text.starts_with('[') ? text.find(']') : std::string_view::npos;
  const std::size_t colon =
      bracket == std::string_view::npos ? text.rfind(':') : text.find(':', bracket);
  if (colon != std::string_view::npos) {
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    text = text.substr(0, colon);
  }
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  if (text.empty() || text.find_first_of("/?&") != std::string_view::npos) return std::nullopt;
  return HostAndPort{std::string(text), port};
}

}  // namespace

Result<ListenUrl> parse_listen_url(std::string_view url) {
  ListenUrl parsed;
  if (url.starts_with(kUnix)) {
    parsed.address.unix_path = url.substr(kUnix.size());
    if (!parsed.address.unix_path.starts_with('/')) return invalid(url);
    return parsed;
  }
  if (url.starts_with(kKafka)) parsed.protocol = Protocol::kKafka;
  const bool kafka = parsed.protocol == Protocol::kKafka;
  if (!kafka && !url.starts_with(kTcp)) return invalid(url);
  std::string_view rest = url.substr(kafka ? kKafka.size() : kTcp.size());
  if (const std::size_t mark = rest.find('?'); kafka && mark != std::string_view::npos) {
    const std::string_view query = rest.substr(mark + 1);
    if (!query.starts_with(kAdvertised)) return invalid(url);
    const auto advertised = parse_host_and_port(query.substr(kAdvertised.size()), 0);
    if (!advertised) return invalid(url);
    parsed.advertised_host = advertised->host;
    parsed.advertised_port = advertised->port;
    rest = rest.substr(0, mark);
  }
  const auto bound = parse_host_and_port(rest, kafka ? kKafkaPort : kNativePort);
  if (!bound) return invalid(url);
  parsed.address.host = bound->host;
  parsed.address.port = bound->port;
  return parsed;
}

std::string listen_url(Protocol protocol, const reactor::Address& address) {
  if (!address.unix_path.empty()) return std::string(kUnix) + address.unix_path;
  const bool v6 = address.host.find(':') != std::string::npos;
  return std::string(protocol == Protocol::kKafka ? kKafka : kTcp) +
         (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

bool is_loopback(const reactor::Address& address) {
  return !address.unix_path.empty() || address.host == "localhost" || address.host == "::1" ||
         address.host.starts_with("127.");
}

bool is_wildcard(const reactor::Address& address) {
  return address.host == "0.0.0.0" || address.host == "::";
}

}  // namespace leat
