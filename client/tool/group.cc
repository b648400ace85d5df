#include <algorithm>
#include <cstdio>
#include <map>

#include "client/tool/color.h"
#include "client/tool/record_format.h"
#include "client/tool/start.h"
#include "client/tool/tool.h"
#include "protocol/base/clock.h"

namespace leat::tool {
namespace {

struct GroupArguments {
  std::string name, topic, partitions, to = "earliest", since;
  bool yes = false, json = false, dry_run = false;
};

long long printable(std::int64_t number) {
  return number;
}

// ---- looking ----

void append_listing(std::string& out, const GroupListing& group) {
  out += "{\"name\":";
  append_string(out, group.name);
  out += ",\"kind\":\"" + std::string(name_of(group.kind)) +
         "\",\"epoch\":" + std::to_string(group.epoch) +
         ",\"members\":" + std::to_string(group.members) +
         ",\"settled\":" + (group.settled ? "true" : "false") +
         ",\"redelivered\":" + std::to_string(group.redelivered) +
         ",\"dead\":" + std::to_string(group.dead);
}

bool leases(GroupKind kind) {
  return kind == GroupKind::kShared || kind == GroupKind::kKeyShared;
}

// Of a group with acknowledgements.
std::string failures(const GroupListing& group) {
  if (!leases(group.kind)) return "";
  return "\tredelivered " + std::to_string(group.redelivered) + "\tdead " +
         std::to_string(group.dead);
}

int list(const Context& context, const GroupArguments& arguments) {
  auto client = context.connect();
  if (!client) return failed("group ls", client.error());
  auto groups = client->list_groups();
  if (!groups) return failed("group ls", groups.error());
  std::string all = "[";
  for (const GroupListing& group : *groups) {
    if (!arguments.json) {
      std::printf("%s\t%s\t%zu members%s%s\n", colored(stdout, Color::kBold, group.name).c_str(),
                  std::string(name_of(group.kind)).c_str(), group.members,
                  group.settled ? "" : "\trebalancing", failures(group).c_str());
      continue;
    }
    if (all.size() > 1) all += ",";
    append_listing(all, group);
    all += "}";
  }
  return arguments.json ? print_json("groups", all + "]") : 0;
}

void append_member(std::string& out, const GroupMember& member) {
  out += "{\"id\":";
  append_string(out, member.id);
  out += ",\"client_name\":";
  append_string(out, member.client_name);
  out += ",\"topics\":[";
  for (std::size_t i = 0; i < member.topics.size(); ++i) {
    if (i > 0) out += ",";
    append_string(out, member.topics[i]);
  }
  out += "]}";
}

void append_partition(std::string& out, const GroupPartition& partition) {
  out += "{\"topic\":";
  append_string(out, partition.topic);
  out += ",\"partition\":" + std::to_string(partition.partition.value) + ",\"member\":";
  if (partition.member.empty())
    out += "null";
  else
    append_string(out, partition.member);
  out += ",\"committed\":" +
         (partition.committed ? std::to_string(partition.committed->value) : "null") +
         ",\"log_start\":" + std::to_string(partition.log_start.value) +
         ",\"high_watermark\":" + std::to_string(partition.high_watermark.value) +
         ",\"lag\":" + std::to_string(partition.lag()) +
         ",\"leased\":" + std::to_string(partition.leased) +
         ",\"waiting\":" + std::to_string(partition.waiting) +
         ",\"done\":" + std::to_string(partition.done) + "}";
}

int info_json(const GroupDescription& group) {
  std::string out;
  append_listing(out, group.group);
  out += ",\"member_list\":[";
  for (std::size_t i = 0; i < group.members.size(); ++i) {
    if (i > 0) out += ",";
    append_member(out, group.members[i]);
  }
  out += "],\"partitions\":[";
  for (std::size_t i = 0; i < group.partitions.size(); ++i) {
    if (i > 0) out += ",";
    append_partition(out, group.partitions[i]);
  }
  return print_json("group", out + "]}");
}

// What is known of each record, where records are acked one by one; what is done outlives members.
std::string settled(const GroupPartition& partition, GroupKind kind) {
  if (!leases(kind) && partition.done == 0) return "";
  return "\tleased " + std::to_string(partition.leased) + "\twaiting " +
         std::to_string(partition.waiting) + "\tdone " + std::to_string(partition.done);
}

void print_partition(const GroupPartition& partition, GroupKind kind) {
  std::printf("%s %d\tcommitted %s\tend %lld\tlag %lld%s\t%s\n", partition.topic.c_str(),
              partition.partition.value,
              partition.committed ? std::to_string(partition.committed->value).c_str() : "-",
              printable(partition.high_watermark.value), printable(partition.lag()),
              settled(partition, kind).c_str(),
              partition.member.empty() ? "-" : partition.member.c_str());
}

int info(const Context& context, const GroupArguments& arguments) {
  auto client = context.connect();
  if (!client) return failed("group info", client.error());
  auto group = client->describe_group(arguments.name);
  if (!group) return failed("group info", group.error());
  if (arguments.json) return info_json(*group);
  std::int64_t lag = 0;
  for (const GroupPartition& partition : group->partitions) lag += partition.lag();
  std::printf("name\t%s\nkind\t%s\nepoch\t%d\nmembers\t%zu%s\nlag\t%lld\n",
              group->group.name.c_str(), std::string(name_of(group->group.kind)).c_str(),
              group->group.epoch, group->members.size(),
              group->group.settled ? "" : "\trebalancing", printable(lag));
  if (leases(group->group.kind))
    std::printf("redelivered\t%llu\ndead\t%llu\n",
                static_cast<unsigned long long>(group->group.redelivered),
                static_cast<unsigned long long>(group->group.dead));
  for (const GroupMember& member : group->members)
    std::printf("member %s\t%s\n", member.id.c_str(), member.client_name.c_str());
  for (const GroupPartition& partition : group->partitions)
    print_partition(partition, group->group.kind);
  return 0;
}

// ---- changing ----

using Before = std::map<std::pair<std::string, PartitionIndex>, Offset>;

Result<Before> committed(blocking::Client& client, const std::string& name) {
  Before before;
  auto group = client.describe_group(name);
  if (!group && group.error() != ErrorCode::kUnknownGroup) return fail(group.error());
  if (group)
    for (const GroupPartition& partition : group->partitions)
      if (partition.committed)
        before[{partition.topic, partition.partition}] = *partition.committed;
  return before;
}

Result<std::vector<PartitionOffset>> targets(blocking::Client& client,
                                             const GroupArguments& arguments,
                                             std::vector<PartitionIndex> partitions,
                                             const StartFrom& to) {
  auto topic = client.describe_topic(arguments.topic);
  if (!topic) return fail(topic.error());
  if (partitions.empty())
    for (std::size_t i = 0; i < topic->partitions.size(); ++i)
      partitions.emplace_back(static_cast<std::int32_t>(i));
  std::vector<PartitionOffset> offsets;
  for (const PartitionIndex partition : partitions) {
    auto offset = resolve(client, *topic, partition, to);
    if (!offset) return fail(offset.error());
    offsets.push_back({topic->name, partition, *offset});
  }
  return offsets;
}

// Says what changes, and changes it unless that was all that was wanted.
Result<> change(blocking::Client& client, const GroupArguments& arguments, const Before& before,
                const std::vector<PartitionOffset>& to) {
  for (const PartitionOffset& one : to) {
    const auto was = before.find({one.topic, one.partition});
    std::printf("%s %d\t%s -> %lld%s\n", one.topic.c_str(), one.partition.value,
                was == before.end() ? "-" : std::to_string(was->second.value).c_str(),
                printable(one.offset.value), arguments.dry_run ? "\t(dry run)" : "");
  }
  if (arguments.dry_run) return {};
  std::fflush(stdout);
  if (!arguments.yes && !confirmed("Let group " + arguments.name + " go on there?"))
    return fail(ErrorCode::kNotAllowed, "you said no; nothing was changed");
  return client.set_offsets(arguments.name, to);
}

int move(const Context& context, const GroupArguments& arguments) {
  auto partitions = parse_partitions(arguments.partitions);
  if (!partitions) return usage_failed(partitions.error().detail);
  auto to = arguments.since.empty()
                ? parse_start(arguments.to, "--to")
                : parse_since(arguments.since, "--since", SystemClock().wall_now());
  if (!to) return usage_failed(to.error().detail);
  auto client = context.connect();
  if (!client) return failed("group", client.error());
  auto offsets = targets(*client, arguments, *partitions, *to);
  if (!offsets) return failed("group", offsets.error());
  auto before = committed(*client, arguments.name);
  if (!before) return failed("group", before.error());
  if (auto ok = change(*client, arguments, *before, *offsets); !ok)
    return failed("group", ok.error());
  return 0;
}

int remove(const Context& context, const GroupArguments& arguments) {
  if (!arguments.yes && !confirmed("Delete group " + arguments.name + " and what it committed?"))
    return 1;
  auto client = context.connect();
  if (!client) return failed("group rm", client.error());
  if (auto ok = client->delete_group(arguments.name); !ok) return failed("group rm", ok.error());
  return 0;
}

// Where to is asked for, or has a default.
CLI::App* add_mover(CLI::App& group, const char* name, const char* help, GroupArguments& arguments,
                    bool ask) {
  auto* verb = group.add_subcommand(name, help);
  verb->add_option("GROUP", arguments.name)->required();
  verb->add_option("TOPIC", arguments.topic)->required();
  verb->add_option("--partitions", arguments.partitions, "0-3 or 0,2 (default: all)");
  verb->add_flag("--dry-run", arguments.dry_run, "only say what would change");
  verb->add_flag("--yes", arguments.yes, "do not ask");
  auto* where = verb->add_option_group("where");
  where->add_option("--to", arguments.to, "earliest, latest, OFFSET, -N or a time");
  where->add_option("--since", arguments.since, "a time, or so long ago: 90s, 10m, 2h, 7d");
  where->require_option(ask ? 1 : 0, 1);
  return verb;
}

}  // namespace

void add_group(CLI::App& app, Context& context, Run& run) {
  auto* group = app.add_subcommand("group", "list, describe, move and delete consumer groups");
  group->require_subcommand(1);
  auto arguments = std::make_shared<GroupArguments>();
  const auto runs = [&run, &context, arguments](
                        CLI::App* verb, int (*what)(const Context&, const GroupArguments&)) {
    verb->callback([&run, &context, arguments, what] {
      run = [=, &context] { return what(context, *arguments); };
    });
  };
  auto* list_verb = group->add_subcommand("ls", "list the groups");
  list_verb->add_flag("--json", arguments->json, "for scripts");
  runs(list_verb, list);
  auto* info_verb = group->add_subcommand("info", "members, positions and lag of a group");
  info_verb->add_option("NAME", arguments->name)->required();
  info_verb->add_flag("--json", arguments->json, "for scripts");
  runs(info_verb, info);
  runs(add_mover(*group, "seek", "say where a group without members goes on", *arguments, true),
       move);
  runs(
      add_mover(*group, "reset", "the same, and at the start unless it is said", *arguments, false),
      move);
  auto* remove_verb = group->add_subcommand("rm", "delete a group and what it committed");
  remove_verb->add_option("NAME", arguments->name)->required();
  remove_verb->add_flag("--yes", arguments->yes, "do not ask");
  runs(remove_verb, remove);
}

}  // namespace leat::tool
