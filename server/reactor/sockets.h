// Opening and preparing sockets, for every reactor.
#pragma once

#include "server/reactor/reactor.h"

namespace leat::reactor {

// A listening, non-blocking socket; `bound` gets the port that was bound. A Unix socket's file that
// nobody answers on is replaced. Errors: kAddressInUse, kInvalidAddress, kNotAllowed, kIoError.
Result<int> open_listener(const Address& address, Address& bound);

// The peer's IP address; an IPv4 one as such on whatever listener it came. Empty: there is none.
std::string peer_of(int fd);

// TCP_NODELAY where it applies.
void prepare_connection(int fd);

}  // namespace leat::reactor
