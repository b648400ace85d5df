// The spans of records that were handed out, each from then until it is known what became of its
// record, below the span that sent it; and of several records whose fate is one, with links to the
// spans that sent them. The owner serialises calls.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "client/context/message_context.h"
#include "client/tracing/tracer.h"

namespace leat {

class ProcessSpans {
 public:
  ProcessSpans(std::shared_ptr<Tracer> tracer, std::shared_ptr<const std::string> group)
      : tracer_(std::move(tracer)), group_(std::move(group)) {}
  // Nobody can say any more what became of the others.
  ~ProcessSpans();
  ProcessSpans(const ProcessSpans&) = delete;
  ProcessSpans& operator=(const ProcessSpans&) = delete;

  // `index`: by which it is settled. Gives what the record causes carries.
  SharedContext begin(const ConsumedRecord& record, std::uint32_t index);
  void begin(std::span<const ConsumedRecord> records);
  // So many records from `first` on, but for those that were settled before. `failure`: why they
  // were not processed; empty: they were.
  void settled(std::uint32_t first, std::uint32_t count, std::string_view outcome,
               const std::string& failure);
  // All were processed, as far as anybody says.
  void finish_all();

 private:
  void describe(TraceSpan& span, const ConsumedRecord& record) const;
  void finish(OpenSpan& open, std::string_view outcome, const std::string& failure);

  const std::shared_ptr<Tracer> tracer_;
  const std::shared_ptr<const std::string> group_;  // null: none
  std::map<std::uint32_t, OpenSpan> open_;          // that are recorded, by the record's index
};

}  // namespace leat
