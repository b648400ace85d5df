// The spans of records that the broker appended: each from the receipt of its batch until it was as
// durable as its topic promises, below the span that sent it. The shard's thread.
#pragma once

#include <memory>
#include <utility>

#include "client/tracing/tracer.h"
#include "server/broker/replies.h"

namespace leat {

class AppendSpans {
 public:
  explicit AppendSpans(std::shared_ptr<Tracer> tracer) : tracer_(std::move(tracer)) {}

  // A reply that leaves: what it tells of is durable (rule 2).
  void answered(const broker::Produced& produced, MonotonicTime now);
  TraceStats stats() const { return tracer_->stats(); }

 private:
  const std::shared_ptr<Tracer> tracer_;
};

}  // namespace leat
