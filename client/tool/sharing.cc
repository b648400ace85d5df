#include "client/tool/sharing.h"

#include <tuple>
#include <utility>

#include "client/tool/tool.h"

namespace leat::tool {
namespace {

using std::chrono::milliseconds;

Result<milliseconds> parse_duration(const std::string& text, const char* flag) {
  const auto ms = parse_duration_ms(text);
  if (!ms)
    return fail(ErrorCode::kUsage, std::string(flag) + " takes a duration such as 500ms or 30s" +
                                       "; not '" + text + "'");
  return milliseconds(*ms);
}

// "1s", always the same, or "1s..1m".
Result<std::pair<milliseconds, milliseconds>> parse_backoff(const std::string& text) {
  const auto dots = text.find("..");
  auto min = parse_duration(text.substr(0, dots), "--backoff");
  if (!min) return fail(min.error());
  if (dots == std::string::npos) return std::pair(*min, *min);
  auto max = parse_duration(text.substr(dots + 2), "--backoff");
  if (!max) return fail(max.error());
  if (*max < *min)
    return fail(ErrorCode::kUsage,
                "--backoff takes the shorter duration first, 1s..1m; not '" + text + "'");
  return std::pair(*min, *max);
}

// A flag that says something only where records are leased.
const char* stray_flag(const Sharing& sharing) {
  if (!sharing.ack.empty()) return "--ack";
  if (!sharing.ack_timeout.empty()) return "--ack-timeout";
  if (sharing.max_deliveries > 0) return "--max-deliveries";
  if (!sharing.dead_letter.empty()) return "--dead-letter";
  if (sharing.dead_letter_expired) return "--dead-letter-expired";
  if (!sharing.backoff.empty()) return "--backoff";
  return nullptr;
}

Result<> check(const Sharing& sharing, const ConsumerOptions& options) {
  const std::string flag = sharing.shared ? "--shared" : "--key-shared";
  if (!sharing.leases()) {
    if (const char* stray = stray_flag(sharing))
      return fail(ErrorCode::kUsage,
                  std::string(stray) + " goes with --shared or --key-shared: add one");
    return {};
  }
  if (sharing.shared && sharing.key_shared)
    return fail(ErrorCode::kUsage, "--shared or --key-shared: choose one");
  if (!options.group) return fail(ErrorCode::kUsage, flag + " needs a group: name it with --group");
  if (!options.partitions.empty())
    return fail(ErrorCode::kUsage, flag + " reads all partitions: leave --partitions out");
  if (options.start.kind != StartFrom::Kind::kEarliest &&
      options.start.kind != StartFrom::Kind::kLatest)
    return fail(ErrorCode::kUsage, flag +
                                       " begins at the earliest or the latest record; for another, "
                                       "use leat group seek before");
  return {};
}

}  // namespace

Result<> apply(const Sharing& sharing, ConsumerOptions& options) {
  if (auto ok = check(sharing, options); !ok || !sharing.leases()) return ok;
  options.kind = sharing.shared ? GroupKind::kShared : GroupKind::kKeyShared;
  options.max_deliveries = sharing.max_deliveries;
  options.dead_letter = sharing.dead_letter;
  options.dead_letter_expired = sharing.dead_letter_expired;
  if (!sharing.ack_timeout.empty()) {
    auto timeout = parse_duration(sharing.ack_timeout, "--ack-timeout");
    if (!timeout) return fail(timeout.error());
    options.ack_timeout = *timeout;
  }
  if (!sharing.backoff.empty()) {
    auto backoff = parse_backoff(sharing.backoff);
    if (!backoff) return fail(backoff.error());
    std::tie(options.min_backoff, options.max_backoff) = *backoff;
  }
  return {};
}

}  // namespace leat::tool
