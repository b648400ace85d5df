// How `leat consume` shares records with a group, as people say it.
#pragma once

#include <cstdint>
#include <string>

#include "client/config.h"
#include "protocol/base/result.h"

namespace leat::tool {

struct Sharing {
  bool shared = false, key_shared = false;
  std::string ack, ack_timeout, dead_letter, backoff;  // empty: as it comes
  std::uint32_t max_deliveries = 0;
  bool dead_letter_expired = false;

  bool leases() const { return shared || key_shared; }
  bool manual() const { return ack == "manual"; }
};

// Puts it into options that have group, partitions and start. Error: kUsage, naming the flag and
// what to do.
Result<> apply(const Sharing& sharing, ConsumerOptions& options);

}  // namespace leat::tool
