// The address of a broker, as people write it.
#pragma once

#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace leat {

struct BrokerAddress {
  std::string host, port;
  std::string unix_path;  // set: a Unix socket
};

// leat://HOST[:PORT], leat://[V6]:PORT or unix:///PATH. Error: kInvalidAddress.
Result<BrokerAddress> parse_broker_url(std::string_view url);

}  // namespace leat
