// What a leatd of its own process costs Kafka's clients: memory of idle connections, time to start.
#pragma once

#include <string>

namespace leat::bench {

// Both throw std::runtime_error. `leatd` is the program's path, `directory` one that is empty.

struct IdleConnections {
  int count = 0;
  double kib_each = 0;  // by which leatd's resident memory grew, divided by their number
  double kib_before = 0;
};
// Connections that have asked for ApiVersions, and nothing since.
IdleConnections idle_kafka_connections(const std::string& leatd, const std::string& directory,
                                       int count);

struct FirstAck {
  double ready_ms = 0;  // from starting the process to the line that says it listens
  double acked_ms = 0;  // to librdkafka's first record acknowledged, durably, in a new topic
};
FirstAck first_kafka_ack(const std::string& leatd, const std::string& directory);

}  // namespace leat::bench
