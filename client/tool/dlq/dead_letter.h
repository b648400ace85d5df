// A record of a dead letter topic, read as one: why it is there, where it came from, what it was.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/records.h"
#include "protocol/base/result.h"

namespace leat::tool {

// Borrows from the record. What the record does not say is empty.
struct DeadLetter {
  std::string_view reason, group, topic;
  std::optional<std::int64_t> partition, offset, attempts, at_ms;
  std::vector<RecordHeader> headers;  // those it had when it died
};

// A record that died twice says so twice; the last is told, and the others are headers it had.
DeadLetter dead_letter(const ConsumedRecord& record);

// What it was, to be sent once more: without a partition, and at once and for good whenever it was
// to be delivered or to expire. One with an id says that it is this letter, at `place`
// ("TOPIC/PARTITION/OFFSET", borrowed), so that it is not taken for its original, and is stored
// once however often it is sent.
OutgoingRecord as_it_was(const ConsumedRecord& record, DeadLetter letter, std::string_view place);

// Which dead letters somebody means: all that is given must hold.
struct LetterFilter {
  std::string reason, group, source;  // empty: any; `reason` is contained
  std::optional<std::string> key;
  std::optional<std::pair<PartitionIndex, Offset>> place;  // in the dead letter topic

  bool matches(const ConsumedRecord& record, const DeadLetter& letter) const;
};

// "0/17" is partition 0, offset 17. Error: kUsage.
Result<std::pair<PartitionIndex, Offset>> parse_place(std::string_view text);
// "100/s", "0.5/s" or the number alone: records a second, more than 0. Error: kUsage.
Result<double> parse_rate(std::string_view text);

// On one line, between tabs, whatever somebody gave as a reason; "-" where it is empty.
std::string as_column(std::string_view text);
// Place, time of death, source, group, attempts and reason, each with a tab behind it.
void append_front(std::string& out, const ConsumedRecord& record, const DeadLetter& letter);
// append_json() of the record, with {"dead":{"reason":…,"group":…,"topic":…,…}, in front.
void append_letter_json(std::string& out, std::string_view topic, const ConsumedRecord& record,
                        const DeadLetter& letter);

}  // namespace leat::tool
