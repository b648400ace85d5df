// The broker's replies in the native protocol's words.
#pragma once

#include "protocol/native/messages.h"
#include "server/broker/replies.h"

namespace leat::session {

// Borrows from `reply`. Batches stay where they are: send them behind the head.
native::Reply to_native(const broker::Reply& reply);

// What a connection that is refused before its Hello is told: an error frame of no request.
std::vector<std::byte> refusal_frame(const Error& why);

}  // namespace leat::session
