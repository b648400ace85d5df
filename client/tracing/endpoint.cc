#include "client/tracing/endpoint.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "protocol/names.h"

namespace leat {
namespace {

constexpr std::string_view kHttp = "http://", kFile = "file://", kTraces = "/v1/traces";
constexpr std::size_t kMaxEndpointBytes = 2'048;

tl::unexpected<Error> invalid(const std::string& text, const std::string& why) {
  return fail(ErrorCode::kInvalidAddress, "'" + escaped(text) + "' for spans " + why +
                                              "; use http://HOST:PORT or file:///PATH");
}

bool valid_port(std::string_view port) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return error == std::errc() && end == port.data() + port.size() && number > 0 && number < 65'536;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

Result<TraceEndpoint> parse_trace_endpoint(const std::string& text) {
  if (text.size() > kMaxEndpointBytes) return invalid(text.substr(0, 40) + "…", "is too long");
  if (text.starts_with(kFile)) {
    TraceEndpoint endpoint{.file = text.substr(kFile.size()), .given = text};
    if (!endpoint.file.starts_with('/')) return invalid(text, "names no absolute path");
    return endpoint;
  }
  if (text.starts_with("https://"))
    return invalid(text, "wants TLS, which is for a collector near by to speak");
  if (!text.starts_with(kHttp)) return invalid(text, "is neither HTTP nor a file");
  // It becomes part of a request, so nothing that ends a line may be in it.
  if (std::ranges::any_of(text, [](char c) { return c <= ' ' || c > '~'; }))
    return invalid(text, "has characters that no address has");
  std::string_view rest = std::string_view(text).substr(kHttp.size());
  const auto slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash), path = rest.substr(slash);
  if (authority.find('@') != std::string_view::npos) return invalid(text, "has a user in it");
  TraceEndpoint endpoint{.port = "4318", .given = text};
  std::string_view after;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) return invalid(text, "lacks a ']'");
    endpoint.host = authority.substr(1, end - 1);
    after = authority.substr(end + 1);
  } else {
    const auto colon = std::min(authority.find(':'), authority.size());
    endpoint.host = authority.substr(0, colon);
    after = authority.substr(colon);
  }
  if (endpoint.host.empty()) return invalid(text, "names no host");
  if (!after.empty()) endpoint.port = after.substr(1);
  if (!after.empty() && (after.front() != ':' || !valid_port(endpoint.port)))
    return invalid(text, "has no port from 1 to 65535");
  endpoint.path = path.empty() || path == "/" ? kTraces : path;
  return endpoint;
}

TraceOptions with_environment(TraceOptions options) {
  if (!options.from_environment) return options;
  if (options.endpoint.empty())
    options.endpoint = environment("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
  if (options.endpoint.empty()) {
    options.endpoint = environment("OTEL_EXPORTER_OTLP_ENDPOINT");
    const bool http = options.endpoint.starts_with(kHttp);
    while (http && options.endpoint.ends_with('/')) options.endpoint.pop_back();
    if (http) options.endpoint += kTraces;
  }
  if (options.service_name.empty()) options.service_name = environment("OTEL_SERVICE_NAME");
  return options;
}

}  // namespace leat
