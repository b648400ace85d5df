// A span of a trace, as it is exported: an operation, when it began and ended, what it was about.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/trace/trace_context.h"

namespace leat {

enum class SpanKind : std::uint8_t { kInternal = 1, kServer, kClient, kProducer, kConsumer };

struct TraceSpan {
  // Names are of the program's own text, which outlives every span.
  using Value = std::variant<std::string, std::int64_t>;
  using Attribute = std::pair<std::string_view, Value>;

  std::string name;
  SpanKind kind = SpanKind::kInternal;
  TraceContext context;
  SpanId parent;              // none: it begins its trace
  std::string trace_state;    // as it came
  std::int64_t start_ns = 0;  // since 1970
  std::int64_t end_ns = 0;
  std::vector<Attribute> attributes;
  std::vector<TraceContext> links;  // other spans it goes back to
  std::optional<std::string> error;

  void add(std::string_view key, Value value) { attributes.emplace_back(key, std::move(value)); }
};

}  // namespace leat
