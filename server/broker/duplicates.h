// What a batch's message ids come to, once it is known which of them are there already (rule 9).
#pragma once

#include <vector>

#include "server/broker/batch_checker.h"
#include "server/broker/replies.h"

namespace leat::broker {

// `known` is of contents.ids throughout.

// The records that are not to be stored: their offset deltas, rising.
std::vector<std::int32_t> duplicates(const BatchContents& contents, const storage::KnownIds& known);

// The ids that the others bring.
std::vector<storage::RecordId> new_ids(const BatchContents& contents,
                                       const storage::KnownIds& known);

// Where the duplicates' originals are, when the batch's first offset is `base`.
std::vector<KnownRecords> originals(const BatchContents& contents, const storage::KnownIds& known,
                                    Offset base);

// What was known when the batch was stored at `base`: what its own records brought, or later ones,
// was not.
storage::KnownIds known_before(const BatchContents& contents, storage::KnownIds known, Offset base);

}  // namespace leat::broker
