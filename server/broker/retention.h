// When storage looks for records that are too old, and what time it is told. No clock of its own,
// no timer where no topic has anything to look for. One thread.
#pragma once

#include <optional>

#include "protocol/base/clock.h"
#include "server/broker/broker_options.h"
#include "storage/storage.h"

namespace leat::broker {

// The wall clock without its steps (rule 11): a clock that is set to the wrong year, for a moment
// or by a bad server, must not cost a single record. This one runs with the monotonic clock. It
// follows the wall clock while the two go the same way; where they part by more than a minute from
// one look to the next, it goes on by itself, and believes the wall clock again once that has run
// steadily for an hour, or has come back. Suspended, the monotonic clock stands still: that, too,
// looks like a step.
class RetentionClock {
 public:
  explicit RetentionClock(Now now) : last_(now), time_(now.wall) {}

  // What time it is for retention, as of the look at both clocks. Looks that lie far apart make
  // slow drift look like a step, which costs an hour's patience and nothing else.
  WallTime look(Now now);

 private:
  Now last_;                                 // both clocks at the last look
  WallTime time_;                            // what it said then
  std::optional<MonotonicTime> distrusted_;  // since the wall clock stepped last
};

// Calls Storage::retain() every BrokerOptions::retention_interval, while a topic needs it.
class RetentionSchedule {
 public:
  RetentionSchedule(const BrokerOptions& options, storage::Storage& storage, Now now)
      : options_(options), storage_(storage), clock_(now) {
    on_topics_changed(now.monotonic);
  }

  // Some were created, deleted or configured.
  void on_topics_changed(MonotonicTime now);
  std::optional<MonotonicTime> next_deadline() const { return next_; }
  void on_time(Now now);

 private:
  const BrokerOptions& options_;
  storage::Storage& storage_;
  RetentionClock clock_;
  std::optional<MonotonicTime> next_;
};

}  // namespace leat::broker
