// Spans as OpenTelemetry's protocol has them in JSON (OTLP 1.x, ExportTraceServiceRequest): ids in
// hexadecimal, 64-bit numbers as strings.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "protocol/trace/span.h"

namespace leat {

// One request, without a line break in it. Bytes that are no UTF-8 become U+FFFD.
std::string encode_otlp(std::span<const TraceSpan> spans, std::string_view service_name);

// As a string of JSON, in quotes.
void append_json_string(std::string& json, std::string_view text);

}  // namespace leat
