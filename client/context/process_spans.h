// The spans of records that were handed out, each from then until it is known what became of its
// records. One record has a span below the one that sent it; several that were handed out together
// have one, with links to theirs. The owner serialises calls.
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

  // `first`: the number by which the first of them is settled. Gives what the record causes
  // carries; null, of several.
  SharedContext begin(std::span<const ConsumedRecord> records, std::uint32_t first);
  // So many records from `first` on, of which `settled` were not before; they were begun together.
  // `failure`: why they were not processed; empty: they were.
  void settled(std::uint32_t first, std::size_t settled, std::string_view outcome,
               std::string failure);
  // All were processed, as far as anybody says.
  void finish_all();

 private:
  struct Open {
    OpenSpan span;
    std::size_t records, failed = 0;
    std::string failure = {};
    std::string_view outcome = {};
  };
  OpenSpan begin_one(const ConsumedRecord& record);
  OpenSpan begin_many(std::span<const ConsumedRecord> records);
  void finish(Open& open);

  const std::shared_ptr<Tracer> tracer_;
  const std::shared_ptr<const std::string> group_;  // null: none
  std::map<std::uint32_t, Open> open_;              // by the first record
};

}  // namespace leat
