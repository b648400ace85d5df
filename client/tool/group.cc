#include <cstdio>
#include <iostream>
#include <map>

#include <unistd.h>

#include "client/tool/color.h"
#include "client/tool/record_format.h"
#include "client/tool/tool.h"

namespace leat::tool {
namespace {

struct Arguments {
  std::string group, topic, partitions, to;
  std::optional<std::int64_t> offset, since_ms;
  bool json = false, yes = false, dry_run = false;
};

long long printable(std::int64_t number) {
  return static_cast<long long>(number);
}

void append_summary(std::string& out, const GroupSummary& group) {
  out += "{\"name\":";
  append_string(out, group.name);
  out += ",\"kind\":\"" + std::string(name_of(group.kind)) +
         "\",\"epoch\":" + std::to_string(group.epoch) +
         ",\"members\":" + std::to_string(group.members) +
         ",\"settled\":" + (group.settled ? "true" : "false");
}

int list(const Context& context, const Arguments& arguments) {
  auto client = context.connect();
  if (!client) return failed("group ls", client.error());
  auto groups = client->list_groups();
  if (!groups) return failed("group ls", groups.error());
  std::string json = "[";
  for (const GroupSummary& group : *groups) {
    if (json.size() > 1) json += ",";
    append_summary(json, group);
    json += "}";
  }
  if (arguments.json) return print_json("groups", json + "]");
  for (const GroupSummary& group : *groups)
    std::printf("%s\t%s\t%u members\n", colored(stdout, Color::kBold, group.name).c_str(),
                std::string(name_of(group.kind)).c_str(), group.members);
  return 0;
}

int info_json(const GroupDescription& group) {
  std::string out;
  append_summary(out, group.group);
  out += ",\"member_list\":[";
  for (std::size_t i = 0; i < group.members.size(); ++i) {
    out += i == 0 ? "{\"id\":" : ",{\"id\":";
    append_string(out, group.members[i].id);
    out += ",\"client\":";
    append_string(out, group.members[i].client_name);
    out += "}";
  }
  out += "],\"partitions\":[";
  for (std::size_t i = 0; i < group.partitions.size(); ++i) {
    const GroupPartition& row = group.partitions[i];
    out += i == 0 ? "{\"topic\":" : ",{\"topic\":";
    append_string(out, row.topic);
    out += ",\"partition\":" + std::to_string(row.partition.value) +
           ",\"committed\":" + (row.committed ? std::to_string(row.committed->value) : "null") +
           ",\"high_watermark\":" + std::to_string(row.high_watermark.value) +
           ",\"lag\":" + std::to_string(row.lag()) + ",\"member\":";
    append_string(out, row.member);
    out += "}";
  }
  return print_json("group", out + "]}");
}

int info(const Context& context, const Arguments& arguments) {
  auto client = context.connect();
  if (!client) return failed("group info", client.error());
  auto group = client->describe_group(arguments.group);
  if (!group) return failed("group info", group.error());
  if (arguments.json) return info_json(*group);
  std::printf("name\t%s\nkind\t%s\nepoch\t%d\nmembers\t%zu%s\n", group->group.name.c_str(),
              std::string(name_of(group->group.kind)).c_str(), group->group.epoch,
              group->members.size(), group->group.settled ? "" : "\trebalancing");
  for (const GroupMember& member : group->members)
    std::printf("member\t%s\t%s\n", member.id.c_str(), member.client_name.c_str());
  for (const GroupPartition& row : group->partitions)
    std::printf("%s %d\tcommitted %s\tend %lld\tlag %lld\t%s\n", row.topic.c_str(),
                row.partition.value,
                row.committed ? std::to_string(row.committed->value).c_str() : "-",
                printable(row.high_watermark.value), printable(row.lag()),
                row.member.empty() ? "-" : row.member.c_str());
  return 0;
}

bool confirmed(const Arguments& arguments) {
  if (arguments.yes || !::isatty(STDIN_FILENO)) return true;
  std::cerr << "Delete group " << arguments.group << " and what it has committed? [y/N] ";
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "yes";
}

int remove(const Context& context, const Arguments& arguments) {
  if (!confirmed(arguments)) return 1;
  auto client = context.connect();
  if (!client) return failed("group rm", client.error());
  if (auto ok = client->delete_group(arguments.group); !ok) return failed("group rm", ok.error());
  return 0;
}

// ---- moving a group ----

Result<Offset> target_of(Client& client, const TopicDescription& topic, PartitionIndex partition,
                         const Arguments& arguments) {
  const auto& bounds = topic.partitions[static_cast<std::size_t>(partition.value)];
  if (arguments.since_ms)
    return client.find_offset(
        topic, partition,
        SystemClock().wall_now().time_since_epoch().count() - *arguments.since_ms);
  if (arguments.to == "end") return bounds.high_watermark;
  if (!arguments.offset) return bounds.log_start;
  const Offset offset(*arguments.offset);
  if (offset >= bounds.log_start && offset <= bounds.high_watermark) return offset;
  return fail(ErrorCode::kOffsetOutOfRange, std::to_string(offset.value) + "; partition " +
                                                std::to_string(partition.value) + " holds " +
                                                std::to_string(bounds.log_start.value) + " to " +
                                                std::to_string(bounds.high_watermark.value));
}

Result<> move(Client& client, const Arguments& arguments, std::vector<PartitionIndex> partitions) {
  auto topic = client.describe_topic(arguments.topic);
  if (!topic) return fail(topic.error());
  const auto count = static_cast<std::int32_t>(topic->partitions.size());
  for (std::int32_t i = 0; arguments.partitions.empty() && i < count; ++i)
    partitions.emplace_back(i);
  std::map<PartitionIndex, Offset> before;
  if (auto group = client.describe_group(arguments.group))
    for (const GroupPartition& row : group->partitions)
      if (row.topic == arguments.topic && row.committed) before[row.partition] = *row.committed;
  std::vector<std::pair<PartitionIndex, Offset>> moves;
  for (const PartitionIndex partition : partitions) {
    if (partition.value >= count)
      return fail(ErrorCode::kUnknownPartition, std::to_string(partition.value) + "; '" +
                                                    arguments.topic + "' has partitions 0 to " +
                                                    std::to_string(count - 1));
    auto target = target_of(client, *topic, partition, arguments);
    if (!target) return fail(target.error());
    moves.emplace_back(partition, *target);
  }
  if (!arguments.dry_run)
    if (auto ok = client.commit_offsets(arguments.group, *topic, moves); !ok) return ok;
  for (const auto& [partition, offset] : moves)
    std::printf("%s %d\t%s -> %lld%s\n", arguments.topic.c_str(), partition.value,
                before.contains(partition) ? std::to_string(before[partition].value).c_str() : "-",
                printable(offset.value), arguments.dry_run ? "\t(dry run)" : "");
  return {};
}

int moved(const Context& context, const Arguments& arguments, const char* doing) {
  auto partitions = parse_partitions(arguments.partitions);
  if (!partitions) return usage_failed(partitions.error().detail);
  auto client = context.connect();
  if (!client) return failed(doing, client.error());
  if (auto ok = move(*client, arguments, *partitions); !ok) return failed(doing, ok.error());
  return 0;
}

CLI::App* mover(CLI::App& group, const char* name, const char* help,
                const std::shared_ptr<Arguments>& arguments) {
  auto* verb = group.add_subcommand(name, help);
  verb->add_option("GROUP", arguments->group)->required();
  verb->add_option("TOPIC", arguments->topic)->required();
  verb->add_option("--partitions", arguments->partitions, "0-3 or 0,2 (default: all)");
  verb->add_flag("--dry-run", arguments->dry_run, "only say what would change");
  return verb;
}

}  // namespace

void add_group(CLI::App& app, Context& context, Run& run) {
  auto* group = app.add_subcommand("group", "list, describe, move and delete consumer groups");
  group->require_subcommand(1);
  auto arguments = std::make_shared<Arguments>();
  auto* list_verb = group->add_subcommand("ls", "list the groups");
  list_verb->add_flag("--json", arguments->json, "for scripts");
  list_verb->callback(
      [&, arguments] { run = [&context, arguments] { return list(context, *arguments); }; });
  auto* info_verb = group->add_subcommand("info", "members, committed offsets and lag");
  info_verb->add_option("NAME", arguments->group)->required();
  info_verb->add_flag("--json", arguments->json, "for scripts");
  info_verb->callback(
      [&, arguments] { run = [&context, arguments] { return info(context, *arguments); }; });
  auto* seek = mover(*group, "seek", "let a group without members go on at an offset", arguments);
  seek->add_option("--to", arguments->offset, "the offset of the next record")->required();
  seek->callback([&, arguments] {
    run = [&context, arguments] { return moved(context, *arguments, "group seek"); };
  });
  auto* reset =
      mover(*group, "reset", "let a group without members go on at the start, the end or a time",
            arguments);
  auto* to = reset->add_option("--to", arguments->to, "start (default) or end")
                 ->check(CLI::IsMember({"start", "end"}));
  reset->add_option("--since", arguments->since_ms, "instead: so long ago, e.g. 10m")
      ->transform(durations())
      ->excludes(to);
  reset->callback([&, arguments] {
    run = [&context, arguments] { return moved(context, *arguments, "group reset"); };
  });
  auto* remove_verb = group->add_subcommand("rm", "delete a group without members");
  remove_verb->add_option("NAME", arguments->group)->required();
  remove_verb->add_flag("--yes", arguments->yes, "do not ask");
  remove_verb->callback(
      [&, arguments] { run = [&context, arguments] { return remove(context, *arguments); }; });
}

}  // namespace leat::tool
