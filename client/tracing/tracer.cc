#include "client/tracing/tracer.h"

namespace leat {
namespace {

std::int64_t wall_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Result<std::shared_ptr<Tracer>> Tracer::open(TraceOptions options, std::string_view program) {
  options = with_environment(std::move(options));
  if (options.endpoint.empty()) return std::shared_ptr<Tracer>();
  if (!(options.sample >= 0 && options.sample <= 1))
    return fail(ErrorCode::kUsage,
                "a share of " + std::to_string(options.sample) + " of all traces; use 0 to 1");
  if (options.service_name.empty()) options.service_name = program;
  const double sample = options.sample;
  auto exporter = SpanExporter::open(std::move(options));
  if (!exporter) return fail(exporter.error());
  return std::shared_ptr<Tracer>(new Tracer(std::move(*exporter), sample));
}

Tracer::Tracer(std::unique_ptr<SpanExporter> exporter, double sample)
    : exporter_(std::move(exporter)), sample_(sample) {}

// By the trace's own id, so that whoever looks at it comes to the same.
bool Tracer::samples(const TraceId& trace) const {
  constexpr int kBits = 53;  // as many as a double has
  return static_cast<double>(trace.low >> (64 - kBits)) <
         sample_ * static_cast<double>(std::uint64_t{1} << kBits);
}

OpenSpan Tracer::begin(std::string name, SpanKind kind, const std::optional<TraceContext>& parent) {
  OpenSpan open;
  open.span.name = std::move(name);
  open.span.kind = kind;
  TraceContext& context = open.span.context;
  const std::lock_guard lock(mutex_);
  if (parent) {
    context = *parent;
    open.span.parent = parent->span;
  } else {
    context.trace = ids_.trace();
    context.flags = TraceContext::kRandom;
    if (samples(context.trace)) context.flags |= TraceContext::kSampled;
  }
  context.span = ids_.span();
  return open;
}

OpenSpan Tracer::start(std::string name, SpanKind kind, const std::optional<TraceContext>& parent) {
  OpenSpan open = begin(std::move(name), kind, parent);
  open.started = clock_.now();
  open.span.start_ns = wall_ns();
  return open;
}

OpenSpan Tracer::start(std::string name, SpanKind kind, const TraceContext& parent,
                       MonotonicTime started) {
  OpenSpan open = begin(std::move(name), kind, parent);
  open.started = started;
  open.span.start_ns = wall_ns() - (clock_.now() - started).count();
  return open;
}

void Tracer::finish(OpenSpan&& span) {
  const MonotonicTime now = clock_.now();
  finish(std::move(span), now);
}

// By the monotonic clock: a span does not end before it began, whatever the wall clock does.
void Tracer::finish(OpenSpan&& span, MonotonicTime at) {
  if (!span.recorded()) return;
  span.span.end_ns = span.span.start_ns + (at - span.started).count();
  exporter_->add(std::move(span.span));
}

}  // namespace leat
