// Groups that nobody uses any more: those without members or commits for as long as
// BrokerOptions::offset_retention are forgotten, with what they have committed. The time is that of
// the running broker: a restart begins it anew, so that no step of the wall clock, and no time that
// the broker was off, takes an offset (rule 11). One thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "protocol/base/clock.h"
#include "server/broker/broker_options.h"
#include "server/broker/classic/classic_groups.h"
#include "server/broker/group_ids.h"

namespace leat::broker {

class OffsetExpiry {
 public:
  OffsetExpiry(const BrokerOptions& options, storage::Storage& storage, const GroupIds& ids,
               ClassicGroups& classic)
      : options_(options), storage_(storage), ids_(ids), classic_(classic) {}

  void restore(MonotonicTime now);
  // The group committed, or lost its last member.
  void touch(std::string_view group, MonotonicTime now);

  void on_time(MonotonicTime now);
  std::optional<MonotonicTime> next_deadline() const;

 private:
  void schedule(const std::string& group, MonotonicTime when);

  const BrokerOptions& options_;
  storage::Storage& storage_;
  const GroupIds& ids_;
  ClassicGroups& classic_;
  std::map<std::string, MonotonicTime, std::less<>> due_;
  std::set<std::pair<MonotonicTime, std::string>> deadlines_;
};

}  // namespace leat::broker
