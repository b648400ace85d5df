// Whether, and whereto, spans are exported. Nothing is, unless an endpoint is named.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

namespace leat {

struct TraceOptions {
  // "http://HOST:PORT", to a collector that takes OTLP as JSON (at /v1/traces, unless a path is
  // named), or "file:///PATH", one OTLP document a line. Empty: no spans.
  std::string endpoint = {};
  std::string service_name = {};  // empty: what the program is, "leat-cpp" or "leatd"
  // Takes what is empty above from OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, else
  // OTEL_EXPORTER_OTLP_ENDPOINT, and OTEL_SERVICE_NAME.
  bool from_environment = false;
  double sample = 1.0;             // of traces that begin here; others say it themselves
  std::size_t queue_spans = 8192;  // waiting to be exported; what comes beyond is dropped, counted
  std::size_t batch_spans = 512;   // exported together
  std::chrono::milliseconds interval{1'000};   // a span waits so long for company
  std::chrono::milliseconds timeout{10'000};   // of one attempt to export
  std::size_t attempts = 5;                    // then a batch is dropped, and counted
  std::chrono::milliseconds min_backoff{100};  // between them, doubled
  std::chrono::milliseconds max_backoff{5'000};
  std::chrono::milliseconds close_timeout{2'000};  // for what is left at the end
  // Called on the exporting thread when attempts begin to fail, with why, and with nothing when one
  // succeeds again.
  std::function<void(const std::string& why)> on_failure = {};
};

struct TraceStats {
  std::size_t exported = 0;  // spans
  std::size_t dropped = 0;   // spans: the queue was full, or the collector did not take them
  std::size_t failures = 0;  // attempts that failed
  std::string last_failure;  // what was wrong with the latest of them
};

}  // namespace leat
