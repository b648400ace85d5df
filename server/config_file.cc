#include "server/config_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include <toml++/toml.h>

#include "server/config_topics.h"
#include "server/toml_errors.h"

namespace leat {
namespace {

std::optional<OptionValue> list_of(const toml::array& array) {
  std::vector<std::string> items;
  for (const toml::node& item : array) {
    const auto* text = item.as_string();
    if (text == nullptr) return std::nullopt;
    items.push_back(text->get());
  }
  return items;
}

// The node as a value of the option's type; nullopt where it is of another. Sizes, durations and
// choices are text that is still to be read.
std::optional<OptionValue> value_in(const Option& option, const toml::node& node) {
  if (option.type == OptionType::kFlag && node.is_boolean()) return node.as_boolean()->get();
  const bool number = option.type == OptionType::kCount || option.type == OptionType::kSize;
  if (number && node.is_integer()) return node.as_integer()->get();
  if (option.type == OptionType::kList && node.is_array()) return list_of(*node.as_array());
  const bool text = option.type == OptionType::kText || option.type == OptionType::kChoice ||
                    option.type == OptionType::kSize || option.type == OptionType::kDuration;
  if (text && node.is_string()) return node.as_string()->get();
  return std::nullopt;
}

Result<Setting> setting_of(const Option& option, const toml::node& node, const std::string& name) {
  const std::string key(option.key);
  auto value = value_in(option, node);
  if (!value)
    return wrong(
        name, node.source().begin,
        key + ": expected " + expectation(option) + ", not " + std::string(name_of(node.type())));
  if (const auto* text = std::get_if<std::string>(&*value)) {
    auto parsed = parse_value(option, *text);
    if (!parsed) return wrong(name, node.source().begin, key + ": " + parsed.error().detail);
    value = std::move(*parsed);
  }
  if (auto ok = check_value(option, *value); !ok)
    return wrong(name, node.source().begin, key + ": " + ok.error().detail);
  return Setting{&option, std::move(*value)};
}

std::string unknown(const std::string& key) {
  std::vector<std::string> known;
  for (const Option& option : option_table()) known.emplace_back(option.key);
  known.emplace_back("topics");
  const auto meant = nearest(key, known);
  return "unknown key '" + key + "'; " +
         (meant ? "did you mean '" + *meant + "'?" : "leatd --help-config lists the keys");
}

// Whether keys of the table stand under `key`.
bool is_table(const std::string& key) {
  return std::ranges::any_of(
      option_table(), [&](const Option& option) { return option.key.starts_with(key + "."); });
}

Result<> read_table(const toml::table& table, const std::string& prefix, const std::string& name,
                    Configuration& read) {
  for (const auto& [key, node] : table) {
    const std::string full = prefix + std::string(key.str());
    if (full == "topics") {
      auto topics = topics_of(node, name);
      if (!topics) return fail(topics.error());
      read.topics = std::move(*topics);
    } else if (const Option* option = find_option(full)) {
      auto setting = setting_of(*option, node, name);
      if (!setting) return fail(setting.error());
      read.settings.push_back(std::move(*setting));
    } else if (const toml::table* inner = node.as_table(); inner && !inner->empty()) {
      if (auto ok = read_table(*inner, full + ".", name, read); !ok) return ok;
    } else if (!inner || !is_table(full)) {
      return wrong(name, key.source().begin, unknown(full));
    }
  }
  return {};
}

}  // namespace

Result<Configuration> parse_config(std::string_view text, const std::string& name) {
  toml::table table;
  try {
    table = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    return wrong(name, error.source().begin, std::string(error.description()));
  }
  Configuration read;
  if (auto ok = read_table(table, {}, name, read); !ok) return fail(ok.error());
  return read;
}

Result<Configuration> read_config(const std::string& path) {
  constexpr std::size_t kMaxBytes = 1 << 20;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             &std::fclose);
  std::string text(kMaxBytes + 1, '\0');
  if (file) text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (file && text.size() > kMaxBytes)
    return fail(ErrorCode::kUsage, path + " is no configuration: it has more than 1 MiB");
  if (file && !std::ferror(file.get())) return parse_config(text, path);
  const ErrorCode code = errno == ENOENT   ? ErrorCode::kNotFound
                         : errno == EACCES ? ErrorCode::kNotAllowed
                         : errno == EISDIR ? ErrorCode::kUsage
                                           : ErrorCode::kIoError;
  return fail(code, "configuration file " + path + ": " + std::strerror(errno) +
                        "; leatd --print-config writes one");
}

}  // namespace leat
