#include "client/broker_url.h"

#include "protocol/names.h"

namespace leat {

Result<BrokerAddress> parse_broker_url(std::string_view url) {
  const auto invalid = [&] {
    return fail(ErrorCode::kInvalidAddress,
                "'" + escaped(url) + "'; write leat://HOST:PORT or unix:///PATH");
  };
  BrokerAddress address;
  if (url.starts_with("unix://")) {
    address.unix_path = url.substr(7);
    if (!address.unix_path.starts_with('/')) return invalid();
    return address;
  }
  if (!url.starts_with("leat://")) return invalid();
  std::string_view rest = url.substr(7);
  address.port = "5328";
  const std::size_t bracket = rest.starts_with('[') ? rest.find(']') : std::string_view::npos;
  const std::size_t colon =
      bracket == std::string_view::npos ? rest.rfind(':') : rest.find(':', bracket);
  if (colon != std::string_view::npos) {
    address.port = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    const bool number = address.port.find_first_not_of("0123456789") == std::string::npos;
    if (address.port.empty() || address.port.size() > 5 || !number) return invalid();
  }
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  if (rest.empty() || rest.find('/') != std::string_view::npos) return invalid();
  address.host = rest;
  return address;
}

}  // namespace leat
