// What a connection speaks, by its first bytes: for the log line about one that speaks something
// else than what was expected.
#pragma once

#include <string>
#include <string_view>

#include "protocol/base/bytes.h"

namespace leat {

// "an HTTP request", "a TLS handshake", "a Kafka request", "a frame of Leat's native protocol", or
// an empty text for what is none of these as far as it can be seen.
std::string_view known_first_bytes(Bytes received);

// The same, but what is not known is "bytes 00 01 …", at most eight.
std::string name_first_bytes(Bytes received);

}  // namespace leat
