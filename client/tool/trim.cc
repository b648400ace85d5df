// `leat topic trim` and `leat topic purge`: records go, the topic stays.
#include <algorithm>
#include <cstdio>

#include "client/tool/start.h"
#include "client/tool/tool.h"
#include "protocol/base/clock.h"

namespace leat::tool {
namespace {

struct TrimArguments {
  std::string name, before, partitions;
  bool yes = false, dry_run = false;
};

struct Cut {
  TopicPartition partition;
  Offset from, to;  // of the log start
};

// "7d" is a time ago; a bare number an offset, and -N all but the last N of each partition.
Result<StartFrom> parse_before(const std::string& text) {
  if (auto ago = parse_since(text, "--before", SystemClock().wall_now())) return ago;
  auto where = parse_start(text, "--before");
  if (!text.empty() && where) return where;
  return fail(ErrorCode::kUsage,
              "--before takes OFFSET, -N (keep the last N), a time like 2026-01-31T12:00:00Z or so "
              "long ago: 90s, 10m, 2h, 7d; not '" +
                  text + "'");
}

Result<std::vector<Cut>> cuts(blocking::Client& client, const TopicDescription& topic,
                              std::vector<PartitionIndex> partitions, const StartFrom& before) {
  if (partitions.empty())
    for (std::size_t i = 0; i < topic.partitions.size(); ++i)
      partitions.emplace_back(static_cast<std::int32_t>(i));
  std::vector<Cut> all;
  for (const PartitionIndex partition : partitions) {
    auto to = resolve(client, topic, partition, before);
    const auto index = static_cast<std::size_t>(partition.value);
    const Offset from =
        index < topic.partitions.size() ? topic.partitions[index].log_start : Offset();
    const bool gone = before.kind == StartFrom::Kind::kOffset && before.value < from.value;
    if (!to && gone) to = from;
    if (!to) return fail(to.error());
    all.push_back({{topic.name, partition}, from, std::max(from, *to)});
  }
  return all;
}

// How many went is known only then: retention may have been ahead.
void print(const Cut& cut, const char* remark) {
  std::printf("%s %d\t%lld -> %lld\t%lld records%s\n", cut.partition.topic.c_str(),
              cut.partition.partition.value, static_cast<long long>(cut.from.value),
              static_cast<long long>(cut.to.value), static_cast<long long>(cut.to - cut.from),
              remark);
}

int forget(const Context& context, const TrimArguments& arguments, const std::string& doing,
           const StartFrom& before) {
  auto partitions = parse_partitions(arguments.partitions);
  if (!partitions) return usage_failed(partitions.error().detail);
  auto client = context.connect();
  if (!client) return failed(doing, client.error());
  auto topic = client->describe_topic(arguments.name);
  if (!topic) return failed(doing, topic.error());
  auto all = cuts(*client, *topic, *partitions, before);
  if (!all) return failed(doing, all.error());
  std::int64_t records = 0;
  for (const Cut& cut : *all) records += cut.to - cut.from;
  const std::string question =
      "Delete " + std::to_string(records) + " records of topic " + arguments.name + ", for good?";
  const bool ask = records > 0 && !arguments.dry_run && !arguments.yes;
  if (ask && !confirmed(question)) return 1;
  for (Cut& cut : *all) {
    if (!arguments.dry_run) {
      auto log_start = client->delete_records(cut.partition, cut.to);
      if (!log_start) return failed(doing, log_start.error());
      cut.to = *log_start;
    }
    print(cut, arguments.dry_run ? "\t(dry run)" : "");
  }
  return 0;
}

int trim(const Context& context, const TrimArguments& arguments) {
  auto before = parse_before(arguments.before);
  if (!before) return usage_failed(before.error().detail);
  return forget(context, arguments, "topic trim", *before);
}

int purge(const Context& context, const TrimArguments& arguments) {
  return forget(context, arguments, "topic purge", StartFrom::latest());
}

CLI::App* add_verb(CLI::App& topic, const char* name, const char* help, TrimArguments& arguments) {
  auto* verb = topic.add_subcommand(name, help);
  verb->add_option("NAME", arguments.name)->required();
  verb->add_option("--partitions,--partition", arguments.partitions, "0-3 or 0,2 (default: all)");
  verb->add_flag("--dry-run", arguments.dry_run, "only say what would go");
  verb->add_flag("--yes", arguments.yes, "do not ask");
  return verb;
}

}  // namespace

void add_trim(CLI::App& topic, Context& context, Run& run) {
  auto arguments = std::make_shared<TrimArguments>();
  auto* trim_verb = add_verb(topic, "trim", "delete a topic's oldest records", *arguments);
  trim_verb
      ->add_option("--before", arguments->before,
                   "what lies below goes: OFFSET, -N (all but the last N of each partition), a "
                   "time, or so long ago: 90s, 10m, 2h, 7d")
      ->required();
  trim_verb->callback(
      [&, arguments] { run = [&context, arguments] { return trim(context, *arguments); }; });
  auto* purge_verb = add_verb(topic, "purge", "delete all records of a topic", *arguments);
  purge_verb->callback(
      [&, arguments] { run = [&context, arguments] { return purge(context, *arguments); }; });
}

}  // namespace leat::tool
