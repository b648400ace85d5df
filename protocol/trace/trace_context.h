// W3C Trace Context: by which a trace goes from one process to the next, in the headers
// traceparent and tracestate. What others sent is believed where it is well formed, and else is
// as if it were not there: a record is never refused for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/random.h"

namespace leat {

inline constexpr std::size_t kMaxTraceStateBytes = 512;

// 16 bytes; all zero: none.
struct TraceId {
  std::uint64_t high = 0, low = 0;
  explicit operator bool() const { return high != 0 || low != 0; }
  friend bool operator==(const TraceId&, const TraceId&) = default;
};

// 8 bytes; zero: none.
struct SpanId {
  std::uint64_t value = 0;
  explicit operator bool() const { return value != 0; }
  friend bool operator==(const SpanId&, const SpanId&) = default;
};

// A span, as others refer to it.
struct TraceContext {
  static constexpr std::uint8_t kSampled = 1, kRandom = 2;
  TraceId trace;
  SpanId span;
  std::uint8_t flags = 0;

  bool sampled() const { return (flags & kSampled) != 0; }
  friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

// None, unless it is a traceparent of version 00, or begins like one in a later version.
std::optional<TraceContext> parse_traceparent(std::string_view text);
// In version 00, 55 characters.
std::string format_traceparent(const TraceContext& context);
// At most 32 members of keys and values as W3C has them, in at most kMaxTraceStateBytes.
bool valid_tracestate(std::string_view text);

std::string hex(const TraceId& id);  // 32 lower-case digits
std::string hex(const SpanId& id);   // 16

// Ids, from randomness that comes from outside (rule 11). One Random has 64 bits; two of them make
// traces that no other process has. One thread.
class TraceIds {
 public:
  TraceIds(Random first, Random second) : first_(first), second_(second) {}

  SpanId span();
  TraceId trace();

 private:
  Random first_, second_;
};

}  // namespace leat
