// What clients of a Kafka listener are told of the broker they have reached.
#pragma once

#include <cstdint>
#include <string>

namespace leat::session {

struct KafkaFacts {
  std::string host;  // where clients reach this listener: advertised, not necessarily bound
  std::uint16_t port = 0;
  std::string cluster_id;
  std::string data_dir;

  // The one broker there is: leader of every partition, coordinator of every group.
  static constexpr std::int32_t kNodeId = 1;
};

}  // namespace leat::session
