// librdkafka as a load: how fast it produces and consumes, with the settings it comes with.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace leat::bench {

using Settings = std::map<std::string, std::string>;  // librdkafka's names

struct Rate {
  double records_per_second = 0;
  double cpu_seconds = 0;  // of the whole process, whoever else lives in it
};

// Sends records of so many bytes, without a key, to whatever partitions the client chooses, and
// waits for every acknowledgement. Throws std::runtime_error when one fails.
Rate kafka_produce(const Settings& settings, const std::string& topic, std::size_t bytes,
                   std::uint64_t records);

// Reads so many records of all partitions from their beginning.
Rate kafka_consume(const Settings& settings, const std::string& topic, int partitions,
                   std::uint64_t records);

}  // namespace leat::bench
