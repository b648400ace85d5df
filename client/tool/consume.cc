#include <algorithm>
#include <cstdio>
#include <limits>
#include <map>

#include <unistd.h>

#include "client/tool/progress.h"
#include "client/tool/record_format.h"
#include "client/tool/tool.h"

namespace leat::tool {
namespace {

constexpr auto kPollTime = std::chrono::milliseconds(200);  // how soon a signal is seen

struct Arguments {
  std::string topic, group, partitions, from, format = "%v\\n", output;
  bool follow = false;
  std::uint64_t count = 0;
  std::optional<std::int64_t> since_ms;
};

Result<StartFrom> parse_from(std::string_view text) {
  if (text.empty() || text == "start") return StartFrom::earliest();
  if (text == "end") return StartFrom::latest();
  auto value = parse_number(text, "--from takes start, end, OFFSET or -N; not");
  if (!value) return fail(value.error());
  if (*value == std::numeric_limits<std::int64_t>::min()) return StartFrom::earliest();
  return *value < 0 ? StartFrom::last(-*value) : StartFrom::offset(*value);
}

class Printer {
 public:
  Printer(const Arguments& arguments, std::string topic)
      : topic_(std::move(topic)),
        format_(arguments.output == "raw" ? "%v" : arguments.format),
        json_(arguments.output == "json") {}

  void add(const ConsumedRecord& record) {
    if (json_)
      append_json(out_, topic_, record);
    else
      append_formatted(out_, format_, topic_, record);
  }
  // False when nobody reads any more.
  bool write() {
    std::fwrite(out_.data(), 1, out_.size(), stdout);
    out_.clear();
    return flush_output();
  }

 private:
  std::string topic_, format_;
  bool json_;
  std::string out_;
};

// Reads until the end as it was at the start, or for ever with --follow.
class Reading {
 public:
  Reading(Consumer& consumer, const Arguments& arguments, std::chrono::milliseconds timeout)
      : consumer_(consumer),
        arguments_(arguments),
        timeout_(timeout),
        printer_(arguments, arguments.topic) {
    const auto& partitions = consumer.topic().partitions;
    for (std::size_t i = 0; i < partitions.size(); ++i)
      ends_[PartitionIndex(static_cast<std::int32_t>(i))] = partitions[i].high_watermark;
  }

  int run() {
    Progress progress(stderr, !::isatty(STDOUT_FILENO) && ::isatty(STDERR_FILENO), clock_, total());
    auto result = read(progress);
    progress.clear();
    if (!result) return failed(doing_, result.error());
    return output_failed_ ? 1 : interrupted();
  }

 private:
  // How many records will come, where that is known.
  std::optional<std::uint64_t> total() const {
    if (arguments_.count > 0) return arguments_.count;
    if (arguments_.follow) return std::nullopt;
    std::uint64_t all = 0;
    for (const auto& [partition, position] : consumer_.positions())
      all += static_cast<std::uint64_t>(std::max<std::int64_t>(ends_.at(partition) - position, 0));
    return all;
  }

  Result<> read(Progress& shown) {
    auto progress = std::chrono::steady_clock::now();
    while (!finished()) {
      auto records = consumer_.poll(kPollTime);
      if (!records) return fail(records.error());
      const auto now = std::chrono::steady_clock::now();
      if (!records->empty())
        progress = now;
      else if (!arguments_.follow && now - progress >= timeout_)
        return fail(ErrorCode::kTimedOut,
                    "the broker holds more records, but none came; is it still up? "
                    "(--timeout waits longer, --follow for ever)");
      if (records->empty()) continue;
      const Offset next = print(*records);
      if (!printer_.write()) {
        output_failed_ = true;  // and has been said
        break;
      }
      shown.records(printed_, printed_);
      // Written out first, committed then: what was not shown is shown again.
      if (arguments_.group.empty()) continue;
      doing_ = "commit";
      auto ok = consumer_.commit(records->front().partition, next);
      // The partition has gone to another member, and its records with it.
      const bool moved = !ok && (ok.error().code == ErrorCode::kStaleEpoch ||
                                 ok.error().code == ErrorCode::kUnknownMember);
      if (!ok && !moved) return ok;
      doing_ = "consume";
    }
    return {};
  }

  // One poll's records are of one partition. Returns the offset behind the last one printed.
  Offset print(std::span<const ConsumedRecord> records) {
    Offset next = records.front().offset;
    for (const ConsumedRecord& record : records) {
      if (arguments_.count > 0 && printed_ == arguments_.count) break;
      printer_.add(record);
      ++printed_;
      next = record.offset + 1;
    }
    return next;
  }

  bool finished() const {
    if (interrupted() || (arguments_.count > 0 && printed_ >= arguments_.count)) return true;
    if (arguments_.follow) return false;
    for (const auto& [partition, position] : consumer_.positions())
      if (position < ends_.at(partition)) return false;
    return true;
  }

  Consumer& consumer_;
  const Arguments& arguments_;
  const std::chrono::milliseconds timeout_;
  Printer printer_;
  std::map<PartitionIndex, Offset> ends_;
  std::uint64_t printed_ = 0;
  const char* doing_ = "consume";
  bool output_failed_ = false;
  SystemClock clock_;
};

int consume(const Context& context, const Arguments& arguments) {
  if (auto ok = check_format(arguments.format); !ok) return usage_failed(ok.error().detail);
  auto partitions = parse_partitions(arguments.partitions);
  if (!partitions) return usage_failed(partitions.error().detail);
  auto start = parse_from(arguments.from);
  if (!start) return usage_failed(start.error().detail);
  if (arguments.since_ms)
    start = StartFrom::timestamp(SystemClock().wall_now().time_since_epoch().count() -
                                 *arguments.since_ms);
  auto client = context.connect();
  if (!client) return failed("consume", client.error());
  ConsumerOptions options{.topic = arguments.topic, .partitions = *partitions, .start = *start};
  if (!arguments.group.empty()) options.group = Group{arguments.group};
  auto consumer = client->consumer(options);
  if (!consumer) return failed("consume", consumer.error());
  return Reading(**consumer, arguments, context.timeout).run();
}

}  // namespace

void add_consume(CLI::App& app, Context& context, Run& run) {
  auto* verb = app.add_subcommand("consume", "read records, until the end unless --follow");
  auto arguments = std::make_shared<Arguments>();
  verb->add_option("TOPIC", arguments->topic)->required();
  verb->add_option("-g,--group", arguments->group,
                   "be a member of the group: read the partitions it assigns, begin where it "
                   "committed, commit what was written out; with --partitions, read those instead");
  verb->add_option("--partitions", arguments->partitions, "0-3 or 0,2 (default: all)");
  auto* from = verb->add_option("--from", arguments->from,
                                "start, end, OFFSET or -N: the last N of each partition; for a "
                                "group, where it has not committed");
  verb->add_option("--since", arguments->since_ms, "instead: so long ago, e.g. 10m")
      ->transform(durations())
      ->excludes(from);
  verb->add_flag("--follow", arguments->follow, "go on waiting at the end");
  verb->add_option("-n,--count", arguments->count, "stop after so many records");
  verb->add_option("--format", arguments->format,
                   "%t topic %p partition %o offset %k key %v value %h headers %T timestamp "
                   "(default: '%v\\n')");
  verb->add_option("-o,--output", arguments->output,
                   "json: an object a line; raw: the values and nothing between")
      ->check(CLI::IsMember({"json", "raw"}));
  verb->callback(
      [&, arguments] { run = [&context, arguments] { return consume(context, *arguments); }; });
}

}  // namespace leat::tool
