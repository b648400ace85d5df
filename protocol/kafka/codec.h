// Messages of Kafka's protocol <-> bytes. The messages are plain structs in messages/; what the
// table (api_table.h) says of their versions holds here. No I/O; any thread; no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/kafka/api_table.h"

namespace leat::kafka {

// Reads a message: `body` is all that follows the header. Strings and bytes of the result are views
// into it. `memory_bytes` bounds what the structs of its arrays may come to, whatever they claim;
// a message of one-byte elements is worth tens of times its bytes.
// Errors: kUnsupportedVersion; kMalformedFrame (cut off, a length or count that cannot be, null
// where none may be); kFrameTooLarge beyond `memory_bytes`. Kafka ignores bytes behind it; so do
// we.
template <class Message>
Result<Message> decode(Bytes body, std::int16_t version, std::size_t memory_bytes);

// Appends a message to `to`. What `version` has no field for is left out.
// Errors, `to` unchanged: kUnsupportedVersion; kInvalidRequest for what cannot be said in `version`
// (null where none may be, a string that is too long).
template <class Message>
Result<> encode(const Message& message, std::int16_t version, std::vector<std::byte>& to);

// Bytes that belong behind the first `at` bytes of what was encoded.
struct Borrowed {
  std::size_t at;
  Bytes bytes;
};

// The same, but records and other `bytes` fields that are not empty stay where they lie, for a
// gathering send: they come back in order, `at` counted from the front of `to`.
template <class Message>
Result<std::vector<Borrowed>> encode_around(const Message& message, std::int16_t version,
                                            std::vector<std::byte>& to);

}  // namespace leat::kafka
