// Where spans go, as people write it.
#pragma once

#include <string>

#include "client/tracing/trace_options.h"
#include "protocol/base/result.h"

namespace leat {

struct TraceEndpoint {
  std::string file;                     // or, where that is empty:
  std::string host, port, path, given;  // of HTTP; `given`: as it was written
};

// Error: kInvalidAddress, naming what it has and what it may be.
Result<TraceEndpoint> parse_trace_endpoint(const std::string& text);

// With what the environment says, where that is asked for.
TraceOptions with_environment(TraceOptions options);

}  // namespace leat
