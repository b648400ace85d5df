// Where a broker listens, as people write it.
#pragma once

#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "server/reactor/reactor.h"

namespace leat {

// leat://host[:port], leat://[v6]:port or unix:///path. Error: kInvalidAddress.
Result<reactor::Address> parse_listen_url(std::string_view url);
std::string listen_url(const reactor::Address& address);
bool is_loopback(const reactor::Address& address);

}  // namespace leat
