// The option table: file and flags set the same fields, and every mistake is named with its place.
#include "server/options.h"

#include <fstream>
#include <set>

#include <gtest/gtest.h>

#include "server/command_line.h"
#include "server/config_file.h"
#include "server/config_text.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

Result<CommandLine> parse(std::vector<std::string> flags) {
  std::vector<const char*> argv = {"leatd"};
  for (const std::string& flag : flags) argv.push_back(flag.c_str());
  return parse_command_line(static_cast<int>(argv.size()), argv.data());
}

DaemonOptions options_of(std::vector<std::string> flags) {
  auto line = parse(std::move(flags));
  EXPECT_TRUE(line) << line.error().message();
  return line ? line->options : DaemonOptions{};
}

std::string refusal(std::vector<std::string> flags) {
  auto line = parse(std::move(flags));
  EXPECT_FALSE(line);
  if (line) return {};
  EXPECT_EQ(line.error().code, ErrorCode::kUsage);
  return line.error().detail;
}

std::string config_error(std::string_view text) {
  auto settings = parse_config(text, "leat.toml");
  EXPECT_FALSE(settings) << text;
  if (settings) return {};
  EXPECT_EQ(settings.error().code, ErrorCode::kUsage);
  return settings.error().detail;
}

std::vector<OptionValue> values(const DaemonOptions& options) {
  std::vector<OptionValue> all;
  for (const Option& option : option_table()) all.push_back(value_of(option, options));
  return all;
}

// ---- the table ----

TEST(OptionTable, RowsAreWellFormed) {
  std::set<std::string_view> keys, kafka;
  std::set<std::string> flags;
  for (const Option& option : option_table()) {
    EXPECT_TRUE(keys.insert(option.key).second) << option.key;
    EXPECT_TRUE(flags.insert(flag_of(option)).second) << option.key;
    EXPECT_TRUE(option.kafka.empty() || kafka.insert(option.kafka).second) << option.kafka;
    EXPECT_FALSE(option.help.empty() || option.help.ends_with('.')) << option.key;
    EXPECT_EQ(option.help.find('|'), std::string_view::npos) << option.key;
    EXPECT_EQ(option.type == OptionType::kChoice, !option.choices.empty()) << option.key;
    EXPECT_EQ(find_option(option.key), &option);
  }
  EXPECT_EQ(flag_of(*find_option("limits.batch_bytes")), "--limits-batch-bytes");
}

TEST(OptionTable, DefaultsAreWithinTheirRanges) {
  for (const char* profile : {"default", "edge"}) {
    const DaemonOptions options = default_options(profile);
    for (const Option& option : option_table())
      EXPECT_TRUE(check_value(option, value_of(option, options))) << profile << option.key;
    EXPECT_TRUE(check_limits(options.server.limits)) << profile;
  }
  EXPECT_EQ(values(default_options("default")), values(DaemonOptions{}));
}

// Every option comes to its own field, whichever way it is set.
TEST(OptionTable, EachRowSetsItsOwnFieldByFileAndByFlag) {
  for (const Option& option : option_table()) {
    OptionValue other;
    switch (option.type) {
      case OptionType::kFlag:
        other = true;
        break;
      case OptionType::kText:
        other = std::string("some \"text\" \\ and \x01");
        break;
      case OptionType::kList:
        other = std::vector<std::string>{"one", "two"};
        break;
      case OptionType::kChoice:
        other = std::string(option.choices.substr(0, option.choices.find('|')));
        break;
      default:
        other = option.least + 1;
    }
    const auto settings =
        parse_config(std::string(option.key) + " = " + toml_of(option, other), "x");
    ASSERT_TRUE(settings) << option.key << settings.error().message();
    ASSERT_EQ(settings->settings.size(), 1u);
    DaemonOptions changed;
    set_value(*settings->settings.front().option, settings->settings.front().value, changed);
    auto expected = values(DaemonOptions{});
    expected[static_cast<std::size_t>(&option - option_table().data())] = other;
    EXPECT_EQ(values(changed), expected) << option.key;
  }
}

TEST(OptionTable, SizesAndDurationsHaveUnits) {
  const Option& size = *find_option("memory");
  const std::pair<const char*, std::int64_t> sizes[] = {
      {"0", 0},          {"123", 123},       {"64KiB", 65'536},
      {"64kib", 65'536}, {"1 MiB", 1 << 20}, {"2GiB", std::int64_t{2} << 30},
      {"3kB", 3'000},    {"5MB", 5'000'000}};
  for (const auto& [text, bytes] : sizes)
    EXPECT_EQ(std::get<std::int64_t>(parse_value(size, text).value()), bytes) << text;
  for (const char* bad :
       {"", "-1", "MiB", "1.5MiB", "1XiB", "9999999999GiB", "99999999999999999999"})
    EXPECT_FALSE(parse_value(size, bad)) << bad;
  const Option& duration = *find_option("limits.fetch_wait");
  const std::pair<const char*, std::int64_t> durations[] = {
      {"500ms", 500}, {"10s", 10'000}, {"2m", 120'000}, {"1h", 3'600'000}};
  for (const auto& [text, ms] : durations) {
    EXPECT_EQ(std::get<std::int64_t>(parse_value(duration, text).value()), ms) << text;
    EXPECT_EQ(toml_of(duration, OptionValue(ms)), "\"" + std::string(text) + "\"");
  }
  for (const char* bad : {"", "10", "10 days", "s", "-1s"})
    EXPECT_FALSE(parse_value(duration, bad)) << bad;
}

// ---- the file ----

TEST(ConfigFile, SetsOptions) {
  const auto settings = parse_config(R"(
data_dir = '/var/lib/leat'
listen = ["leat://127.0.0.1:0", "unix:///run/leat"]
memory = 33554432
auto_create_topics = true
[limits]
topics = 1_000
batch_bytes = "2MiB"
frame_deadline = "2s"
)",
                                     "leat.toml");
  ASSERT_TRUE(settings) << settings.error().message();
  DaemonOptions options;
  for (const Setting& setting : settings->settings)
    set_value(*setting.option, setting.value, options);
  EXPECT_EQ(options.server.data_dir, "/var/lib/leat");
  EXPECT_EQ(options.server.listen.size(), 2u);
  EXPECT_EQ(options.server.memory_bytes, 32u << 20);
  const ServerLimits& limits = options.server.limits;
  EXPECT_TRUE(limits.broker.auto_create_topics);
  EXPECT_EQ(limits.broker.topics, 1'000u);
  EXPECT_EQ(limits.broker.batch_bytes, 2u << 20);
  EXPECT_EQ(limits.session.frame_deadline, std::chrono::seconds(2));
  EXPECT_TRUE(parse_config("", "empty"));
  EXPECT_TRUE(parse_config("[limits]\n", "nothing in it"));
}

TEST(ConfigFile, UnknownKeysNameTheNearestOne) {
  EXPECT_EQ(config_error("\n[limits]\n  topcis = 3\n"),
            "leat.toml:3:3: unknown key 'limits.topcis'; did you mean 'limits.topics'?");
  EXPECT_EQ(config_error("data-dir = 'x'"),
            "leat.toml:1:1: unknown key 'data-dir'; did you mean 'data_dir'?");
  EXPECT_EQ(config_error("topcis = 3"),
            "leat.toml:1:1: unknown key 'topcis'; did you mean 'topics'?");
  EXPECT_EQ(config_error("[limit]\ntopics = 3"),
            "leat.toml:2:1: unknown key 'limit.topics'; did you mean 'limits.topics'?");
  EXPECT_EQ(config_error("frobnicate = 3"),
            "leat.toml:1:1: unknown key 'frobnicate'; leatd --help-config lists the keys");
  EXPECT_NE(config_error("[frobnicate]").find("unknown key"), std::string::npos);
  EXPECT_NE(config_error("[[limits]]\ntopics = 3").find("unknown key"), std::string::npos);
}

TEST(ConfigFile, WrongTypesSayWhatWasExpected) {
  const std::pair<const char*, const char*> cases[] = {
      {"memory = true", "1:10: memory: expected a size such as \"64MiB\", not true or false"},
      {"memory = 'much'", "1:10: memory: expected a size such as \"64MiB\", not \"much\""},
      {"memory = 1.5",
       "1:10: memory: expected a size such as \"64MiB\", not a number with a fraction"},
      {"dev = 'yes'", "1:7: dev: expected true or false, not text"},
      {"data_dir = 7", "1:12: data_dir: expected text in quotes, not a whole number"},
      {"listen = 'leat://x'", "expected a list such as [\"leat://127.0.0.1:5328\"], not text"},
      {"listen = ['leat://x', 7]", "expected a list"},
      {"log_level = 'loud'",
       "expected one of debug, info, warning, error, in quotes, not \"loud\""},
      {"log_level = 1979-05-27", "not a date or time"},
      {"limits.topics = '5'", "limits.topics: expected a whole number such as 100, not text"},
      {"limits.fetch_wait = 5",
       "expected a duration such as \"500ms\" or \"10s\", not a whole number"},
      {"limits.fetch_wait = '5'", "expected a duration such as \"500ms\" or \"10s\", not \"5\""},
      {"data_dir = {}", "not a table"},
  };
  for (const auto& [text, expected] : cases) {
    const std::string error = config_error(text);
    EXPECT_NE(error.find(expected), std::string::npos) << error;
    EXPECT_TRUE(error.starts_with("leat.toml:1:")) << error;
  }
}

TEST(ConfigFile, RangesAreSaid) {
  EXPECT_EQ(config_error("[limits]\ntopics = 0"),
            "leat.toml:2:10: limits.topics: 0 is out of range: 1 to 100000");
  EXPECT_NE(config_error("limits.topics = -5").find("-5 is out of range"), std::string::npos);
  EXPECT_NE(config_error("memory = '1MiB'").find("1MiB is out of range: 8MiB to 1TiB"),
            std::string::npos);
  EXPECT_NE(config_error("limits.write_deadline = '48h'").find("48h is out of range: 1ms to 1h"),
            std::string::npos);
}

TEST(ConfigFile, SyntaxAndDuplicatesAreSaidWithTheirPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {"dev = true\ndev = false\n", "leat.toml:2:"},
      {"[limits]\ntopics = 1\n[limits]\ngroups = 1\n", "leat.toml:3:"},
      {"dev = \n", "leat.toml:1:"},
      {"\n\nlisten = [\n", "leat.toml:3:"},
      {"dev true", "leat.toml:1:"},
      {"data_dir = 'x", "leat.toml:1:"},
      {"data_dir = \"\xff\"", "leat.toml:1:"},
      {"limits.topics = 99999999999999999999", "leat.toml:1:"},
  };
  for (const auto& [text, place] : cases)
    EXPECT_TRUE(config_error(text).starts_with(place)) << config_error(text);
}

TEST(ConfigFile, MissingFilesHaveTheirOwnError) {
  test::TemporaryDirectory directory;
  EXPECT_EQ(read_config(directory / "none.toml").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read_config(directory.path()).error().code, ErrorCode::kUsage);  // a directory
  EXPECT_EQ(read_config("/dev/zero").error().code, ErrorCode::kUsage);       // no end
  EXPECT_EQ(parse({"--config", directory / "none.toml"}).error().code, ErrorCode::kNotFound);
}

// ---- the command line ----

TEST(CommandLine, FlagsGoBeforeTheFileAndTheFileBeforeTheProfile) {
  test::TemporaryDirectory directory;
  const std::string path = directory / "leat.toml";
  std::ofstream(path) << "data_dir = 'd'\nprofile = 'edge'\nmemory = '32MiB'\ninsecure = true\n"
                         "[limits]\ntopics = 5\ngroups = 6\n";
  const auto options = options_of({"--config", path, "--limits-topics", "7", "--insecure=false"});
  EXPECT_EQ(options.server.limits.broker.topics, 7u);
  EXPECT_EQ(options.server.limits.broker.groups, 6u);
  EXPECT_EQ(options.server.memory_bytes, 32u << 20);
  EXPECT_EQ(options.server.limits.broker.batch_bytes, 1u << 20);  // the profile's
  EXPECT_FALSE(options.server.insecure);
  EXPECT_EQ(options_of({"--config", path, "--profile", "default"}).server.limits.broker.batch_bytes,
            8u << 20);
}

TEST(CommandLine, TakesListsFlagsAndUnits) {
  const auto options =
      options_of({"--dev", "--listen", "leat://127.0.0.1:0", "--listen=unix:///x", "--memory",
                  "64MiB", "--limits-fetch-wait=2s", "--log-level", "debug"});
  EXPECT_TRUE(options.dev);
  EXPECT_EQ(options.server.listen, (std::vector<std::string>{"leat://127.0.0.1:0", "unix:///x"}));
  EXPECT_EQ(options.server.memory_bytes, 64u << 20);
  EXPECT_EQ(options.server.limits.broker.fetch_wait, std::chrono::seconds(2));
  EXPECT_EQ(options.log_level, "debug");
}

TEST(CommandLine, RefusesWithTheReason) {
  EXPECT_NE(refusal({"--limits-topcs", "3"}).find("did you mean --limits-topics?"),
            std::string::npos);
  EXPECT_NE(refusal({"--dev", "--topics=3"}).find("unknown option --topics"), std::string::npos);
  EXPECT_NE(refusal({"--memory", "lots"}).find("--memory: expected a size"), std::string::npos);
  EXPECT_NE(refusal({"--limits-topics", "0"}).find("--limits-topics: 0 is out of range: 1 to"),
            std::string::npos);
  EXPECT_NE(refusal({"--profile", "huge"}).find("default, edge"), std::string::npos);
  EXPECT_NE(refusal({"--memory"}).find("--memory"), std::string::npos);
  EXPECT_NE(refusal({"--dev", "stray"}).find("stray"), std::string::npos);
  EXPECT_NE(refusal({}).find("--data-dir"), std::string::npos);
  EXPECT_NE(refusal({"--dev", "--data-dir", "x"}).find("not both"), std::string::npos);
  EXPECT_NE(refusal({"--dev", "--limits-frame-bytes", "1MiB"})
                .find("limits.frame_bytes (1048576) is less than limits.batch_bytes"),
            std::string::npos);
}

TEST(CommandLine, WhatItPrintsCanBeReadBack) {
  test::TemporaryDirectory directory;
  const std::string path = directory / "leat.toml";
  const std::vector<std::string> flags = {
      "--data-dir",          "x\"y",   "--profile", "edge",
      "--limits-fetch-wait", "1500ms", "--listen",  "unix:///a"};
  auto printing = flags;
  printing.push_back("--print-config");
  const auto printed = parse(printing);
  ASSERT_TRUE(printed && printed->print);
  std::ofstream(path) << *printed->print;
  EXPECT_EQ(values(options_of({"--config", path})), values(options_of(flags)));
  EXPECT_TRUE(parse({"--print-config"})->print);  // without a place for records, too
}

TEST(CommandLine, HelpNamesEveryOption) {
  const std::string help = parse({"--help"})->print.value();
  for (const Option& option : option_table())
    EXPECT_NE(help.find(flag_of(option)), std::string::npos) << option.key;
  EXPECT_EQ(parse({"--version"})->print, std::string(version()) + "\n");
}

TEST(ConfigText, TheDocumentIsTheTable) {
  std::ifstream file(std::string(LEAT_SOURCE_DIR) + "/docs/configuration.md");
  const std::string document{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(document, config_markdown()) << "run: leatd --help-config > docs/configuration.md";
}

}  // namespace
}  // namespace leat
