// Streams over TCP and Unix sockets.
#pragma once

#include "client/broker_url.h"
#include "client/transport.h"

namespace leat {

// `name`: the broker's address as the user wrote it.
std::unique_ptr<Connector> socket_connector(BrokerAddress address, std::string name);

}  // namespace leat
