#include "examples/orders/trace_view.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <vector>

namespace leat::orders {
namespace {

struct Seen {
  std::string service, trace, id, parent, name, outcome;
  std::int64_t start = 0, end = 0;
  bool failed = false;
};
using Trace = std::vector<Seen>;

// The value of a field, in the spelling of our own exporter.
std::string field(const std::string& json, const std::string& name) {
  const auto at = json.find("\"" + name + "\":\"");
  if (at == std::string::npos) return {};
  const auto from = at + name.size() + 4;
  return json.substr(from, json.find('"', from) - from);
}

std::string attribute(const std::string& json, const std::string& name) {
  const auto at = json.find("{\"key\":\"" + name + "\"");
  return at == std::string::npos ? "" : field(json.substr(at), "stringValue");
}

void read_line(const std::string& line, std::map<std::string, Trace>& traces) {
  const std::string service = attribute(line, "service.name");
  // Spans begin with their ids; links, too, but they have no kind.
  for (auto at = line.find("{\"traceId\":"); at != std::string::npos;) {
    const auto next = line.find("{\"traceId\":", at + 1);
    const std::string json = line.substr(at, next == std::string::npos ? next : next - at);
    at = next;
    if (json.find("\"kind\":") == std::string::npos) continue;
    Seen seen{.service = service,
              .trace = field(json, "traceId"),
              .id = field(json, "spanId"),
              .parent = field(json, "parentSpanId"),
              .name = field(json, "name"),
              .outcome = attribute(json, "messaging.leat.outcome"),
              .failed = json.find("\"status\":{\"code\":2") != std::string::npos};
    const std::string start = field(json, "startTimeUnixNano"),
                      end = field(json, "endTimeUnixNano");
    if (start.empty() || end.empty()) continue;  // cut off by a kill
    seen.start = std::stoll(start);
    seen.end = std::stoll(end);
    traces[seen.trace].push_back(std::move(seen));
  }
}

// Every span but the first has its parent there: no process was killed with one of them in hand.
bool hangs_together(const Trace& trace) {
  std::set<std::string> ids;
  for (const Seen& seen : trace) ids.insert(seen.id);
  std::size_t roots = 0;
  for (const Seen& seen : trace) {
    roots += seen.parent.empty();
    if (!seen.parent.empty() && !ids.contains(seen.parent)) return false;
  }
  return roots == 1;
}

std::size_t services_in(const Trace& trace) {
  std::set<std::string> services;
  for (const Seen& seen : trace) services.insert(seen.service);
  return services.size();
}

void print_below(const Trace& trace, const std::string& parent, std::int64_t began, int depth) {
  for (const Seen& seen : trace) {
    if (seen.parent != parent) continue;
    std::printf("%9.1f ms %8.1f ms  %-10s %*s%s%s%s%s\n",
                static_cast<double>(seen.start - began) / 1e6,
                static_cast<double>(seen.end - seen.start) / 1e6, seen.service.c_str(), 2 * depth,
                "", seen.name.c_str(), seen.outcome.empty() ? "" : ": ", seen.outcome.c_str(),
                seen.failed ? ", failed" : "");
    print_below(trace, seen.id, began, depth + 1);
  }
}

}  // namespace

bool print_a_trace(const std::string& directory) {
  std::map<std::string, Trace> traces;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (!entry.path().filename().string().starts_with("traces.")) continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) read_line(line, traces);
  }
  Trace* best = nullptr;
  const auto rank = [](const Trace& trace) { return std::pair(services_in(trace), trace.size()); };
  for (auto& [id, trace] : traces)
    if (hangs_together(trace) && (!best || rank(trace) > rank(*best))) best = &trace;
  if (!best) return false;
  std::ranges::sort(*best, {}, &Seen::start);
  std::printf("one order, followed through %zu processes (trace %s):\n\n%12s %11s  %-10s\n",
              services_in(*best), best->front().trace.c_str(), "at", "took", "in");
  print_below(*best, "", best->front().start, 0);
  return true;
}

}  // namespace leat::orders
