// Which member of a group reads which partition: a pure function. Balanced: of members with the
// same topics none has two partitions more than another. Sticky: a partition moves only where
// balance, a departure or a changed subscription asks for it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "storage/group.h"

namespace leat::broker {

struct AssignorInput {
  // Per topic of the group: its partitions, and the members that want it.
  struct Topic {
    std::vector<storage::TopicPartition> partitions;
    std::set<std::string> members;
  };
  std::vector<Topic> topics;
  std::map<storage::TopicPartition, std::string> owners;  // as it is now
};

using Target = std::map<storage::TopicPartition, std::string>;

// Partitions that nobody wants are left out. The same input gives the same result.
Target assign(const AssignorInput& input);

}  // namespace leat::broker
