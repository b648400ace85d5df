#include "server/append_spans.h"

#include <algorithm>

namespace leat {
namespace {

// Whether a record of the batch was known already: then this is not where it was appended.
bool is_known(const broker::Produced& produced, std::int32_t delta) {
  const auto at = static_cast<std::uint32_t>(delta);
  return std::ranges::any_of(produced.known, [at](const broker::KnownRecords& known) {
    return at >= known.index && at - known.index < known.records;
  });
}

std::string name_of(Durability durability) {
  switch (durability) {
    case Durability::kSync:
      return "sync";
    case Durability::kInterval:
      return "interval";
    default:
      return "memory";
  }
}

}  // namespace

void AppendSpans::answered(const broker::Produced& produced, MonotonicTime now) {
  const broker::AppendTraces* traces = produced.traces.get();
  if (!traces || produced.duplicate) return;
  for (const broker::TracedRecord& record : traces->records) {
    if (is_known(produced, record.delta)) continue;
    OpenSpan open =
        tracer_->start("append " + traces->topic, SpanKind::kServer, record.sent, traces->received);
    TraceSpan& span = open.span;
    span.add("messaging.system", "leat");
    span.add("messaging.operation.name", "append");
    span.add("messaging.destination.name", traces->topic);
    span.add("messaging.destination.partition.id", std::to_string(traces->partition.value));
    span.add("messaging.leat.offset", produced.base.value + record.delta);
    span.add("messaging.leat.durability", name_of(produced.durability));
    tracer_->finish(std::move(open), now);
  }
}

}  // namespace leat
