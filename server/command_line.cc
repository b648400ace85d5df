#include "server/command_line.h"

#include <algorithm>
#include <map>

#include <CLI/CLI.hpp>

#include "server/config_file.h"
#include "server/config_text.h"
#include "server/config_topics.h"

namespace leat {
namespace {

std::string placeholder(OptionType type) {
  switch (type) {
    case OptionType::kCount:
      return "N";
    case OptionType::kSize:
      return "SIZE";
    case OptionType::kDuration:
      return "TIME";
    default:
      return "TEXT";
  }
}

std::string help_of(const Option& option, const DaemonOptions& defaults) {
  std::string text(option.help);
  if (option.type == OptionType::kFlag) return text;
  const std::string range = range_of(option);
  std::string value = toml_of(option, value_of(option, defaults));
  std::erase_if(value, [](char c) { return c == '"' || c == '[' || c == ']'; });
  if (value.empty()) return text;
  return text + " (default: " + value + (range.empty() ? "" : "; " + range) + ")";
}

std::string asks_for_help(const CLI::ParseError& error) {
  return std::string(error.what()) + "; see leatd --help";
}

class Parser {
 public:
  Parser() {
    app_.set_version_flag("--version", std::string(version()));
    app_.add_option("--config", config_, "a TOML file with options; flags go before it");
    app_.add_flag("--print-config", print_config_, "write what is in force as a file, and exit");
    app_.add_flag("--help-config", help_config_, "write docs/configuration.md, and exit");
    app_.add_flag("--check", check_,
                  "verify the data directory, in which no broker runs, change nothing, and exit: 0 "
                  "sound, 1 damaged, 2 it could not be looked at");
    app_.add_flag(
        "--repair", repair_,
        "make a damaged data directory one that starts: keep what is intact, move what was "
        "there to DIR/damaged, write what is lost to DIR/repair-TIME.txt, and exit");
    const DaemonOptions defaults;
    for (const Option& option : option_table()) add(option, defaults);
  }

  Result<CommandLine> parse(int argc, const char* const* argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
      return CommandLine{.options = {}, .print = app_.help()};
    } catch (const CLI::CallForVersion&) {
      return CommandLine{.options = {}, .print = std::string(version()) + "\n"};
    } catch (const CLI::ExtrasError& error) {
      return fail(ErrorCode::kUsage, unknown(argc, argv).value_or(asks_for_help(error)));
    } catch (const CLI::ParseError& error) {
      return fail(ErrorCode::kUsage, asks_for_help(error));
    }
    if (help_config_) return CommandLine{.options = {}, .print = config_markdown()};
    return compose();
  }

 private:
  void add(const Option& option, const DaemonOptions& defaults) {
    const std::string flag = flag_of(option), help = help_of(option, defaults);
    CLI::Option* added = nullptr;
    if (option.type == OptionType::kFlag)
      added = app_.add_flag(flag, given_, help);
    else if (option.type == OptionType::kList)
      added = app_.add_option(flag, given_list_, help)->allow_extra_args(false);
    else
      added = app_.add_option(flag, given_, help);
    if (option.type != OptionType::kFlag) added->type_name(placeholder(option.type));
    if (option.key.starts_with("limits.")) added->group("Limits");
    flags_[option.key] = added;
  }

  Result<std::vector<Setting>> settings_of_flags() const {
    std::vector<Setting> settings;
    for (const Option& option : option_table()) {
      const std::vector<std::string> texts = flags_.at(option.key)->results();
      if (texts.empty()) continue;
      auto value = parse_value(option, texts.back());
      if (value && option.type == OptionType::kList) value = OptionValue(texts);
      auto ok = value ? check_value(option, *value) : Result<>(fail(value.error()));
      if (!ok) return fail(ErrorCode::kUsage, flag_of(option) + ": " + ok.error().detail);
      settings.push_back({&option, std::move(*value)});
    }
    return settings;
  }

  // Defaults, the profile's, the file's, the flags': each lies over what stands before it.
  Result<CommandLine> compose() const {
    Configuration file;
    if (!config_.empty()) {
      auto read = read_config(config_);
      if (!read) return fail(read.error());
      file = std::move(*read);
    }
    std::vector<Setting>& settings = file.settings;
    auto flags = settings_of_flags();
    if (!flags) return fail(flags.error());
    settings.insert(settings.end(), flags->begin(), flags->end());
    CommandLine line;
    for (const Setting& setting : settings)
      if (setting.option->key == "profile") set_value(*setting.option, setting.value, line.options);
    line.options = default_options(line.options.profile);
    for (const Setting& setting : settings) set_value(*setting.option, setting.value, line.options);
    if (auto ok = check_limits(line.options.server.limits); !ok) return fail(ok.error());
    line.options.server.topics = std::move(file.topics);
    for (const std::string& text : line.options.topics) {
      auto topic = parse_topic(text);
      if (!topic) return fail(topic.error());
      line.options.server.topics.push_back(std::move(*topic));
    }
    if (auto ok = broker::check_declarations(line.options.server.topics); !ok)
      return fail(ok.error());
    if (print_config_) line.print = config_toml(line.options);
    if (check_) line.task = Task::kCheck;
    if (repair_) line.task = Task::kRepair;
    if ((check_ || repair_) && line.options.dev)
      return fail(ErrorCode::kUsage,
                  "--check and --repair want a --data-dir; --dev has none that stays");
    if (!print_config_ && line.options.dev == !line.options.server.data_dir.empty())
      return fail(
          ErrorCode::kUsage,
          "say where records are kept: --data-dir DIR or data_dir in the file, or --dev for "
          "a temporary directory (not both)");
    return line;
  }

  std::optional<std::string> unknown(int argc, const char* const* argv) const {
    std::vector<std::string> known = {"--help",        "--version", "--config", "--print-config",
                                      "--help-config", "--check",   "--repair"};
    for (const Option& option : option_table()) known.push_back(flag_of(option));
    for (int i = 1; i < argc; ++i) {
      const std::string_view word = argv[i];
      const std::string flag(word.substr(0, word.find('=')));
      if (!flag.starts_with("-") || std::ranges::find(known, flag) != known.end()) continue;
      const auto meant = nearest(flag, known);
      return "unknown option " + flag +
             (meant ? "; did you mean " + *meant + "?" : "; see leatd --help");
    }
    return std::nullopt;
  }

  CLI::App app_{"leatd: a message broker the size of a library", "leatd"};
  std::string config_;
  bool print_config_ = false, help_config_ = false, check_ = false, repair_ = false;
  // CLI11 wants somewhere to put what was given; it is read from the options themselves.
  std::string given_;
  std::vector<std::string> given_list_;
  std::map<std::string_view, CLI::Option*> flags_;
};

}  // namespace

Result<CommandLine> parse_command_line(int argc, const char* const* argv) {
  return Parser().parse(argc, argv);
}

}  // namespace leat
