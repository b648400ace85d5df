#include "protocol/trace/otlp_json.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace leat {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

bool continues(std::string_view text, std::size_t at, unsigned char least = 0x80,
               unsigned char most = 0xbf) {
  if (at >= text.size()) return false;
  const auto byte = static_cast<unsigned char>(text[at]);
  return byte >= least && byte <= most;
}

// How long the character is that begins at `at` and is not ASCII; 0: there is none.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (first >= 0xc2 && first <= 0xdf) return continues(text, at + 1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const unsigned char least = first == 0xe0 ? 0xa0 : 0x80;
    const unsigned char most = first == 0xed ? 0x9f : 0xbf;
    return continues(text, at + 1, least, most) && continues(text, at + 2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const unsigned char least = first == 0xf0 ? 0x90 : 0x80;
    const unsigned char most = first == 0xf4 ? 0x8f : 0xbf;
    return continues(text, at + 1, least, most) && continues(text, at + 2) &&
                   continues(text, at + 3)
               ? 4
               : 0;
  }
  return 0;
}

void append_escaped(std::string& json, char c) {
  if (c == '"' || c == '\\') {
    json += '\\';
    json += c;
  } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
    std::array<char, 8> code;
    std::snprintf(code.data(), code.size(), "\\u%04x", static_cast<unsigned>(c));
    json += code.data();
  } else {
    json += c;
  }
}

void append_value(std::string& json, const TraceSpan::Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    json += "{\"intValue\":\"" + std::to_string(*number) + "\"}";
    return;
  }
  json += "{\"stringValue\":";
  append_json_string(json, std::get<std::string>(value));
  json += '}';
}

void append_attribute(std::string& json, std::string_view key, const TraceSpan::Value& value) {
  json += "{\"key\":";
  append_json_string(json, key);
  json += ",\"value\":";
  append_value(json, value);
  json += '}';
}

template <class Range, class Append>
void append_list(std::string& json, std::string_view name, const Range& range, Append append) {
  json += ",\"";
  json += name;
  json += "\":[";
  bool first = true;
  for (const auto& item : range) {
    if (!std::exchange(first, false)) json += ',';
    append(item);
  }
  json += ']';
}

void append_span(std::string& json, const TraceSpan& span) {
  json += "{\"traceId\":\"" + hex(span.context.trace) + "\",\"spanId\":\"" +
          hex(span.context.span) + '"';
  if (!span.trace_state.empty()) {
    json += ",\"traceState\":";
    append_json_string(json, span.trace_state);
  }
  if (span.parent) json += ",\"parentSpanId\":\"" + hex(span.parent) + '"';
  json += ",\"flags\":" + std::to_string(span.context.flags) + ",\"name\":";
  append_json_string(json, span.name);
  json += ",\"kind\":" + std::to_string(static_cast<int>(span.kind)) + ",\"startTimeUnixNano\":\"" +
          std::to_string(span.start_ns) + "\",\"endTimeUnixNano\":\"" +
          std::to_string(std::max(span.start_ns, span.end_ns)) + '"';
  append_list(json, "attributes", span.attributes, [&](const TraceSpan::Attribute& attribute) {
    append_attribute(json, attribute.first, attribute.second);
  });
  if (!span.links.empty())
    append_list(json, "links", span.links, [&](const TraceContext& link) {
      json += "{\"traceId\":\"" + hex(link.trace) + "\",\"spanId\":\"" + hex(link.span) + "\"}";
    });
  if (span.error) {
    json += ",\"status\":{\"code\":2,\"message\":";
    append_json_string(json, *span.error);
    json += '}';
  }
  json += '}';
}

}  // namespace

void append_json_string(std::string& json, std::string_view text) {
  json += '"';
  for (std::size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      append_escaped(json, text[at++]);
    } else if (const std::size_t length = utf8_length(text, at)) {
      json += text.substr(at, length);
      at += length;
    } else {
      json += kReplacement;
      ++at;
    }
  }
  json += '"';
}

std::string encode_otlp(std::span<const TraceSpan> spans, std::string_view service_name) {
  std::string json;
  json.reserve(256 + spans.size() * 600);
  json += "{\"resourceSpans\":[{\"resource\":{\"attributes\":[";
  append_attribute(json, "service.name", std::string(service_name));
  json += ',';
  append_attribute(json, "telemetry.sdk.name", "leat");
  json += ',';
  append_attribute(json, "telemetry.sdk.language", "cpp");
  json += "]},\"scopeSpans\":[{\"scope\":{\"name\":\"leat\"}";
  append_list(json, "spans", spans, [&](const TraceSpan& span) { append_span(json, span); });
  json += "}]}]}";
  return json;
}

}  // namespace leat
