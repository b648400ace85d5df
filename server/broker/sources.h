// Batches that say where they lie in their source: each is stored once, in the source's order,
// however often and by whomever it is sent.
#pragma once

#include <optional>
#include <string>

#include "server/broker/partitions.h"

namespace leat::broker {

// What a batch said, while it waits.
struct BatchSource {
  std::string name;
  SourcePosition from, to;
  SourceStep step() const { return {name, from, to}; }
};

// What can be seen of a batch before its turn. Error: kInvalidRequest, for a name that is none, and
// for a batch with a producer id, too: how its source goes on is all there is to know it by.
Result<> check_named(const SourceStep& source, Bytes batch);

// What there is to say of a batch that does not continue its source: a duplicate, or an error.
std::optional<Reply> check_source(const storage::Storage& storage, const FoundPartition& found,
                                  const std::optional<BatchSource>& source);

// SourcePositions, or an error.
Reply source_positions(const storage::Storage& storage, const TopicId& topic,
                       std::string_view source);

}  // namespace leat::broker
