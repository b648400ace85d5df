// Topics that a configuration file or a flag declares.
#include "server/config_topics.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "server/config_file.h"
#include "server/config_text.h"

namespace leat {
namespace {

constexpr std::string_view kFile = R"(
memory = "64MiB"
[[topics]]
name = "orders"
partitions = 3
config = {"cleanup.policy" = "compact", "max.message.bytes" = 100000}
records = [
  {key = "42", value = "say \"hi\"", headers = {source = "seed", lang = "en"}},
  {key = "43", partition = 2},
]
[[topics]]
name = "plain"
)";

std::string error_of(std::string_view text) {
  const auto read = parse_config(text, "leat.toml");
  EXPECT_FALSE(read) << text;
  if (read) return {};
  EXPECT_EQ(read.error().code, ErrorCode::kUsage);
  return read.error().detail;
}

void expect_orders(const std::vector<broker::TopicDeclaration>& topics) {
  ASSERT_EQ(topics.size(), 2u);
  const broker::TopicDeclaration& orders = topics[0];
  EXPECT_EQ(orders.name, "orders");
  EXPECT_EQ(orders.partitions, 3);
  EXPECT_EQ(orders.config.cleanup, Cleanup::kCompact);
  EXPECT_EQ(orders.config.max_batch_bytes, 100'000);
  ASSERT_EQ(orders.records.size(), 2u);
  EXPECT_EQ(orders.records[0].key, "42");
  EXPECT_EQ(orders.records[0].value, "say \"hi\"");
  EXPECT_EQ(orders.records[0].headers.size(), 2u);
  EXPECT_EQ(orders.records[1].value, std::nullopt);
  EXPECT_EQ(orders.records[1].partition, 2);
  EXPECT_EQ(topics[1].name, "plain");
  EXPECT_EQ(topics[1].partitions, 1);
}

TEST(ConfigTopics, StandInTheFileWithTheirSettingsAndRecords) {
  const auto read = parse_config(kFile, "leat.toml");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->settings.size(), 1u);
  expect_orders(read->topics);
}

TEST(ConfigTopics, ComeThroughPrintConfig) {
  DaemonOptions options;
  options.server.topics = parse_config(kFile, "leat.toml")->topics;
  const auto again = parse_config(config_toml(options), "printed");
  ASSERT_TRUE(again) << again.error().message() << config_toml(options);
  expect_orders(again->topics);
}

TEST(ConfigTopics, MistakesAreNamedWithTheirPlace) {
  const std::pair<std::string_view, std::string_view> mistakes[] = {
      {"topics = 3", "leat.toml:1:10: topics: write each as [[topics]]"},
      {"[[topics]]\npartitions = 3", "a topic without a name"},
      {"[[topics]]\nname = 3", "leat.toml:2:8: name: expected text, not a whole number"},
      {"[[topics]]\nname = 'a'\npartition = 3",
       "leat.toml:3:1: a topic has no 'partition'; it has name, partitions, config, records"},
      {"[[topics]]\nname = 'a'\npartitions = -1", "leat.toml:3:14: partitions: -1 is out of range"},
      {"[[topics]]\nname = 'a'\npartitions = 0", "use 1 partition or more"},
      {"[[topics]]\nname = 'a/b'", "'a/b'"},
      {"[[topics]]\nname = 'a'\nconfig = {'retention.sm' = 1}", "retention.sm"},
      {"[[topics]]\nname = 'a'\nconfig = {'retention.ms' = 1.5}", "expected text, a whole number"},
      {"[[topics]]\nname = 'a'\nrecords = [1]", "expected a table for each"},
      {"[[topics]]\nname = 'a'\nrecords = [{kye = 'x'}]", "a record has no 'kye'"},
      {"[[topics]]\nname = 'a'\nrecords = [{partition = 1}]", "a record for partition 1"},
      {"[[topics]]\nname = 'a'\nrecords = [{headers = {x = 1}}]", "x: expected text"}};
  for (const auto& [text, what] : mistakes)
    EXPECT_NE(error_of(text).find(what), std::string::npos) << error_of(text) << "\n" << text;
}

// What the documents show can be started with.
TEST(ConfigTopics, TheDocumentsExamplesAreTaken) {
  for (const std::string name : {"docs/configuration.md", "docs/kafka.md"}) {
    std::ifstream file(LEAT_SOURCE_DIR "/" + name);
    std::stringstream whole;
    whole << file.rdbuf();
    const std::string text = whole.str();
    const std::size_t topics = text.find("[[topics]]\n");
    ASSERT_NE(topics, std::string::npos) << name;
    const std::size_t begin = text.find('\n', text.rfind("```", topics));
    const std::size_t end = text.find("```", topics);
    const auto read = parse_config(text.substr(begin, end - begin), name);
    ASSERT_TRUE(read) << read.error().message();
    ASSERT_EQ(read->topics.size(), 1u);
    EXPECT_EQ(read->topics[0].records.size(), 2u);
  }
}

TEST(ConfigTopics, AFlagNamesATopicAndItsPartitions) {
  EXPECT_EQ(parse_topic("orders")->partitions, 1);
  EXPECT_EQ(parse_topic("orders:12")->name, "orders");
  EXPECT_EQ(parse_topic("orders:12")->partitions, 12);
  for (const char* bad : {"orders:", "orders:x", "orders:3x", "orders:99999999999"})
    EXPECT_EQ(parse_topic(bad).error().code, ErrorCode::kUsage) << bad;
}

}  // namespace
}  // namespace leat
