#include <cstdio>
#include <ctime>

#include "client/tool/color.h"
#include "client/tool/record_format.h"
#include "client/tool/tool.h"
#include "client/tool/topic_settings.h"

namespace leat::tool {
namespace {

struct TopicArguments {
  std::string name;
  std::int32_t partitions = 1;
  std::optional<std::int32_t> more_partitions;
  GivenSettings settings;
  bool if_not_exists = false, yes = false, json = false;
};

std::int64_t records_in(const TopicDescription& topic) {
  std::int64_t records = 0;
  for (const auto& partition : topic.partitions)
    records += partition.high_watermark - partition.log_start;
  return records;
}

int create(const Context& context, const TopicArguments& arguments) {
  auto config = with_settings({}, arguments.settings);
  if (!config) return usage_failed(config.error().detail);
  auto client = context.connect();
  if (!client) return failed("topic create", client.error());
  auto topic =
      client->create_topic(arguments.name, arguments.partitions, arguments.if_not_exists, *config);
  if (!topic) return failed("topic create", topic.error());
  std::printf("%s\t%zu partitions\t%s\n", topic->name.c_str(), topic->partitions.size(),
              topic->id.to_string().c_str());
  return 0;
}

// {"name":…,"id":…,"created_ms":…,"records":…,"partitions":[{"partition":0,"log_start":…,…}]}
void append_topic(std::string& out, const TopicDescription& topic) {
  out += "{\"name\":";
  append_string(out, topic.name);
  out += ",\"id\":\"" + topic.id.to_string() +
         "\",\"created_ms\":" + std::to_string(topic.created_ms) + "," +
         settings_json(topic.config) + ",\"records\":" + std::to_string(records_in(topic)) +
         ",\"partitions\":[";
  for (std::size_t i = 0; i < topic.partitions.size(); ++i)
    out += (i == 0 ? "" : ",") + ("{\"partition\":" + std::to_string(i)) +
           ",\"log_start\":" + std::to_string(topic.partitions[i].log_start.value) +
           ",\"high_watermark\":" + std::to_string(topic.partitions[i].high_watermark.value) + "}";
  out += "]}";
}

int list_json(const std::vector<TopicDescription>& topics) {
  std::string all = "[";
  for (const auto& topic : topics) {
    if (all.size() > 1) all += ",";
    append_topic(all, topic);
  }
  return print_json("topics", all + "]");
}

int list(const Context& context, const TopicArguments& arguments) {
  auto client = context.connect();
  if (!client) return failed("topic ls", client.error());
  auto topics = client->list_topics();
  if (!topics) return failed("topic ls", topics.error());
  if (arguments.json) return list_json(*topics);
  for (const auto& topic : *topics)
    std::printf("%s\t%zu partitions\t%lld records\n",
                colored(stdout, Color::kBold, topic.name).c_str(), topic.partitions.size(),
                static_cast<long long>(records_in(topic)));
  return 0;
}

int info(const Context& context, const TopicArguments& arguments) {
  auto client = context.connect();
  if (!client) return failed("topic info", client.error());
  auto topic = client->describe_topic(arguments.name);
  if (!topic) return failed("topic info", topic.error());
  if (arguments.json) {
    std::string one;
    append_topic(one, *topic);
    return print_json("topic", one);
  }
  const std::time_t created = topic->created_ms / 1000;
  char when[32] = "";
  std::strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&created));
  std::printf("name\t%s\nid\t%s\ncreated\t%s\n", topic->name.c_str(), topic->id.to_string().c_str(),
              when);
  for (const TopicSetting& setting : topic_settings())
    std::printf("%s\t%s\n", setting.name, setting.text(topic->config).c_str());
  std::printf("records\t%lld\n", static_cast<long long>(records_in(*topic)));
  for (std::size_t i = 0; i < topic->partitions.size(); ++i)
    std::printf("partition %zu\toffsets %lld to %lld\n", i,
                static_cast<long long>(topic->partitions[i].log_start.value),
                static_cast<long long>(topic->partitions[i].high_watermark.value));
  return 0;
}

// Every setting goes to the broker: those that were not given, as they are.
int edit(const Context& context, const TopicArguments& arguments) {
  if (arguments.settings.empty() && !arguments.more_partitions)
    return usage_failed("topic edit needs a setting to change, such as --retention 7d");
  if (auto good = with_settings({}, arguments.settings); !good)
    return usage_failed(good.error().detail);
  auto client = context.connect();
  if (!client) return failed("topic edit", client.error());
  auto before = client->describe_topic(arguments.name);
  if (!before) return failed("topic edit", before.error());
  auto config = with_settings(before->config, arguments.settings);
  if (!config) return usage_failed(config.error().detail);
  auto after = before;
  if (!arguments.settings.empty()) after = client->configure_topic(arguments.name, *config);
  if (after && arguments.more_partitions)
    after = client->add_partitions(arguments.name, *arguments.more_partitions);
  if (!after) return failed("topic edit", after.error());
  for (const TopicSetting& setting : topic_settings()) {
    const std::string was = setting.text(before->config), is = setting.text(after->config);
    if (was != is) std::printf("%s\t%s -> %s\n", setting.name, was.c_str(), is.c_str());
  }
  if (after->partitions.size() == before->partitions.size()) return 0;
  std::printf("partitions\t%zu -> %zu\n", before->partitions.size(), after->partitions.size());
  std::fprintf(stderr,
               "Records stay where they are; from now on most keys go to other partitions.\n");
  return 0;
}

int remove(const Context& context, const TopicArguments& arguments) {
  if (!arguments.yes && !confirmed("Delete topic " + arguments.name + " and all its records?"))
    return 1;
  auto client = context.connect();
  if (!client) return failed("topic rm", client.error());
  if (auto ok = client->delete_topic(arguments.name); !ok) return failed("topic rm", ok.error());
  return 0;
}

void add_settings(CLI::App& verb, TopicArguments& arguments) {
  for (const TopicSetting& setting : topic_settings())
    verb.add_option_function<std::string>(
            "--" + std::string(setting.name),
            [&arguments, &setting](const std::string& text) {
              arguments.settings[setting.name] = text;
            },
            setting.help)
        ->type_name("TEXT");
}

}  // namespace

void add_topic(CLI::App& app, Context& context, Run& run) {
  auto* topic = app.add_subcommand("topic", "create, list, describe, change and delete topics");
  topic->require_subcommand(1);
  auto arguments = std::make_shared<TopicArguments>();
  auto* create_verb = topic->add_subcommand("create", "create a topic");
  create_verb->add_option("NAME", arguments->name)->required();
  create_verb->add_option("--partitions", arguments->partitions, "default: 1");
  add_settings(*create_verb, *arguments);
  create_verb->add_flag("--if-not-exists", arguments->if_not_exists,
                        "fine if it exists, whatever it is like");
  create_verb->callback(
      [&, arguments] { run = [&context, arguments] { return create(context, *arguments); }; });
  auto* list_verb = topic->add_subcommand("ls", "list the topics");
  list_verb->add_flag("--json", arguments->json, "for scripts");
  list_verb->callback(
      [&, arguments] { run = [&context, arguments] { return list(context, *arguments); }; });
  auto* info_verb = topic->add_subcommand("info", "describe a topic");
  info_verb->add_option("NAME", arguments->name)->required();
  info_verb->add_flag("--json", arguments->json, "for scripts");
  info_verb->callback(
      [&, arguments] { run = [&context, arguments] { return info(context, *arguments); }; });
  auto* edit_verb =
      topic->add_subcommand("edit", "change settings of a topic: those given; add partitions");
  edit_verb->add_option("NAME", arguments->name)->required();
  edit_verb->add_option("--partitions", arguments->more_partitions,
                        "how many it is to have: only more; keys go to other partitions then");
  add_settings(*edit_verb, *arguments);
  edit_verb->callback(
      [&, arguments] { run = [&context, arguments] { return edit(context, *arguments); }; });
  add_trim(*topic, context, run);
  auto* remove_verb = topic->add_subcommand("rm", "delete a topic and its records");
  remove_verb->add_option("NAME", arguments->name)->required();
  remove_verb->add_flag("--yes", arguments->yes, "do not ask");
  remove_verb->callback(
      [&, arguments] { run = [&context, arguments] { return remove(context, *arguments); }; });
}

}  // namespace leat::tool
