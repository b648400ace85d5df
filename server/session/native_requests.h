// The native protocol's requests as calls of the broker.
#pragma once

#include "protocol/native/messages.h"
#include "server/broker/broker.h"
#include "server/session/received_bytes.h"

namespace leat::session {

// Hello and Ping are the session's own. The request's bytes may lie in `received`. False: no reply
// will come, for the request has none.
bool carry_out(const native::Request& request, const broker::RequestId& id, broker::Broker& broker,
               const ReceivedBytes& received, const Clock& clock);

// Whether the request may be carried out although something that its connection produced before is
// not decided yet: what it does and sees is the same either way.
bool may_overtake_produces(const native::Request& request);

}  // namespace leat::session
