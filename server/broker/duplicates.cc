#include "server/broker/duplicates.h"

#include <algorithm>

namespace leat::broker {
namespace {

// A record that is not stored, and where its original is.
struct Duplicate {
  std::int32_t delta;
  Offset original;
};

std::vector<Duplicate> found(const BatchContents& contents, const storage::KnownIds& known,
                             Offset base) {
  std::vector<Duplicate> all;
  for (std::size_t i = 0; i < known.size(); ++i)
    if (known[i]) all.push_back({contents.ids[i].delta, *known[i]});
  for (const RepeatedId& repeated : contents.repeated)
    all.push_back({repeated.delta,
                   known[repeated.first].value_or(base + contents.ids[repeated.first].delta)});
  if (!contents.repeated.empty()) std::ranges::sort(all, {}, &Duplicate::delta);
  return all;
}

}  // namespace

std::vector<std::int32_t> duplicates(const BatchContents& contents,
                                     const storage::KnownIds& known) {
  std::vector<std::int32_t> deltas;
  for (const Duplicate& duplicate : found(contents, known, Offset(0)))
    deltas.push_back(duplicate.delta);
  return deltas;
}

std::vector<storage::RecordId> new_ids(const BatchContents& contents,
                                       const storage::KnownIds& known) {
  std::vector<storage::RecordId> ids;
  for (std::size_t i = 0; i < known.size(); ++i)
    if (!known[i]) ids.push_back(contents.ids[i]);
  return ids;
}

std::vector<KnownRecords> originals(const BatchContents& contents, const storage::KnownIds& known,
                                    Offset base) {
  std::vector<KnownRecords> ranges;
  for (const Duplicate& duplicate : found(contents, known, base)) {
    const auto index = static_cast<std::uint32_t>(duplicate.delta);
    if (!ranges.empty()) {
      KnownRecords& last = ranges.back();
      if (index == last.index + last.records && duplicate.original == last.offset + last.records) {
        ++last.records;
        continue;
      }
    }
    ranges.push_back({index, 1, duplicate.original});
  }
  return ranges;
}

storage::KnownIds known_before(const BatchContents& contents, storage::KnownIds known,
                               Offset base) {
  for (std::size_t i = 0; i < known.size(); ++i)
    if (known[i] && *known[i] >= base + contents.ids[i].delta) known[i].reset();
  return known;
}

}  // namespace leat::broker
