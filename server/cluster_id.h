// A name for the broker that Kafka clients compare and print.
#pragma once

#include <string>
#include <string_view>

namespace leat {

// 22 letters, as Kafka's cluster ids; the same for the same data directory.
std::string cluster_id(std::string_view data_dir);

}  // namespace leat
