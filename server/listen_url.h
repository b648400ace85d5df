// Where a broker listens, as people write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "server/reactor/reactor.h"

namespace leat {

enum class Protocol : std::uint8_t { kNative, kKafka };

struct ListenUrl {
  Protocol protocol = Protocol::kNative;
  reactor::Address address;
  // kKafka: where clients are told to reach the broker. Empty and 0: as the address says.
  std::string advertised_host;
  std::uint16_t advertised_port = 0;
};

// leat://host[:port], leat://[v6]:port, unix:///path, or kafka://host[:port], which may end in
// ?advertised=host[:port]. Error: kInvalidAddress.
Result<ListenUrl> parse_listen_url(std::string_view url);
// The same of what was bound, without what is advertised.
std::string listen_url(Protocol protocol, const reactor::Address& address);
bool is_loopback(const reactor::Address& address);
// Every address of the machine, which is no place to send a client to.
bool is_wildcard(const reactor::Address& address);

}  // namespace leat
