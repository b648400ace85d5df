// Begins spans and hands them on when they end. Any thread. Whoever has none traces nothing, which
// costs the look at a pointer.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "client/tracing/span_exporter.h"

namespace leat {

// A span that has not ended.
struct OpenSpan {
  TraceSpan span;
  MonotonicTime started;

  const TraceContext& context() const { return span.context; }
  // Whether anybody will see it: what is not recorded needs no attributes.
  bool recorded() const { return span.context.sampled(); }
};

class Tracer {
 public:
  // Null, where no endpoint is named. `program`: the service's name where none is given.
  // Errors: those of SpanExporter::open(); kUsage, for a share that is none.
  static Result<std::shared_ptr<Tracer>> open(TraceOptions options, std::string_view program);

  // A span of the parent's trace, recorded iff that is; without a parent the first of a trace.
  OpenSpan start(std::string name, SpanKind kind, const std::optional<TraceContext>& parent);
  // One that began earlier, of the parent's trace.
  OpenSpan start(std::string name, SpanKind kind, const TraceContext& parent,
                 MonotonicTime started);
  void finish(OpenSpan&& span);
  void finish(OpenSpan&& span, MonotonicTime at);

  bool flush(std::chrono::milliseconds patience) { return exporter_->flush(patience); }
  TraceStats stats() const { return exporter_->stats(); }

 private:
  Tracer(std::unique_ptr<SpanExporter> exporter, double sample);
  OpenSpan begin(std::string name, SpanKind kind, const std::optional<TraceContext>& parent);
  bool samples(const TraceId& trace) const;

  const std::unique_ptr<SpanExporter> exporter_;
  const double sample_;
  SystemClock clock_;
  std::mutex mutex_;
  TraceIds ids_{Random::from_system(), Random::from_system()};
};

}  // namespace leat
