// The spans of one consumer: where leases say what became of records they lie in the lease, else
// they end when the caller comes for more. The owner serialises calls.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "client/context/process_spans.h"
#include "client/shared_record.h"

namespace leat {

class ReaderSpans {
 public:
  ReaderSpans(std::shared_ptr<Tracer> tracer, const std::string* group)
      : tracer_(std::move(tracer)),
        group_(group ? std::make_shared<const std::string>(*group) : nullptr),
        given_(tracer_, group_) {}

  ~ReaderSpans() { came_for_more(); }
  ReaderSpans(const ReaderSpans&) = delete;
  ReaderSpans& operator=(const ReaderSpans&) = delete;

  void handed_out(SharedRecords& given) {
    ProcessSpans& of = spans(given.lease);
    if (!given.lease && given.size() > 1) return of.begin(given.records);
    std::uint32_t index = given.first;
    for (const ConsumedRecord& record : given) given.contexts.push_back(of.begin(record, index++));
  }
  void handed_out(std::optional<SharedRecord>& given) {
    if (given) given->context = spans(given->lease).begin(*given, given->index);
  }
  void came_for_more() { given_.finish_all(); }

 private:
  ProcessSpans& spans(Lease* lease) {
    if (!lease) return given_;
    if (!lease->spans) lease->spans = std::make_shared<ProcessSpans>(tracer_, group_);
    return *lease->spans;
  }

  const std::shared_ptr<Tracer> tracer_;
  const std::shared_ptr<const std::string> group_;  // null: none
  ProcessSpans given_;                              // of what is not leased
};

}  // namespace leat
