// Reads a dead letter topic as it was when the reading began.
//
// What was redriven is what the shared group kRedriveGroup has acked. Its members alone learn of
// each record whether it was; so that looking disturbs nobody who redrives, only those who must
// become one: when everything behind the group's position is open, it is read from there.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "client/blocking.h"
#include "client/tool/dlq/offset_set.h"

namespace leat::tool {

inline constexpr const char* kRedriveGroup = "leat.redrive";

class LetterReader {
 public:
  enum class What {
    kAll,    // whether it was redriven or not
    kOpen,   // what was not redriven
    kLease,  // the same, to be acked; after a lost connection records may come twice
  };

  // `client` outlives it. Errors: kUnknownTopic and those of groups and consumers.
  static Result<std::unique_ptr<LetterReader>> open(blocking::Client& client,
                                                    const std::string& topic, What what,
                                                    std::chrono::milliseconds timeout);

  // The next ones, of one partition, good until the next call; none at the end, or after a signal.
  // Error besides: kTimedOut, when nothing came for so long.
  Result<std::span<const ConsumedRecord>> next();
  // Of those next() gave. How many it was too late for: their leases were lost.
  Result<std::uint64_t> ack(std::span<const ConsumedRecord* const> records);

  // How many there were at the beginning, and how many of them others had.
  std::uint64_t expected() const { return expected_; }
  std::uint64_t with_others() const { return with_others_; }

 private:
  LetterReader(blocking::Client& client, TopicDescription topic, What what,
               std::chrono::milliseconds timeout)
      : client_(client), topic_(std::move(topic)), what_(what), timeout_(timeout) {}
  Result<> begin();
  Result<> add_consumer();
  Result<std::span<const ConsumedRecord>> poll();
  void count(const std::vector<GroupPartition>& partitions);
  ConsumerOptions options() const;
  Offset end_of(PartitionIndex partition) const;
  Result<bool> at_end(bool quiet) const;
  Result<bool> everything_is_leased() const;
  void keep(std::span<const ConsumedRecord> records);

  blocking::Client& client_;
  const TopicDescription topic_;  // as it was at first
  const What what_;
  const std::chrono::milliseconds timeout_;
  std::uint64_t expected_ = 0, with_others_ = 0;
  bool joins_ = false;
  // A broker leases so many records to one member; where more are held, more members hold them.
  std::vector<std::unique_ptr<blocking::Consumer>> consumers_;
  blocking::Consumer* giver_ = nullptr;  // of what next() gave
  bool newest_gave_ = false;
  std::vector<ConsumedRecord> given_;
  OffsetSet seen_;
  std::uint64_t looked_ = 0;  // of those that were there at first
  std::uint64_t acked_ = 0;
};

}  // namespace leat::tool
