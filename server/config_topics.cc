#include "server/config_topics.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "server/options.h"
#include "server/session/kafka/topic_settings.h"
#include "server/toml_errors.h"

namespace leat {
namespace {

using broker::SeedRecord;
using broker::TopicDeclaration;

// A batch that is too large for the broker is refused when it comes.
constexpr std::size_t kAnySize = std::numeric_limits<std::int32_t>::max();

// One table of the file, whose keys are asked for one by one; what nobody asked for is a mistake.
class Keys {
 public:
  Keys(const toml::table& table, std::string what, const std::string& file)
      : table_(table), what_(std::move(what)), file_(file) {}

  const std::string& file() const { return file_; }
  const toml::node* find(std::string_view key) {
    asked_.emplace_back(key);
    return table_.get(key);
  }
  Result<std::optional<std::string>> text(std::string_view key) {
    const toml::node* node = find(key);
    if (!node) return std::nullopt;
    if (const auto* text = node->as_string()) return text->get();
    return expected(*node, key, "text");
  }
  Result<std::optional<std::int32_t>> count(std::string_view key) {
    const toml::node* node = find(key);
    if (!node) return std::nullopt;
    const auto* number = node->as_integer();
    if (!number) return expected(*node, key, "a whole number");
    if (number->get() < 0 || number->get() > std::numeric_limits<std::int32_t>::max())
      return wrong(file_, node->source().begin,
                   std::string(key) + ": " + std::to_string(number->get()) + " is out of range");
    return static_cast<std::int32_t>(number->get());
  }
  Result<const toml::table*> table(std::string_view key) {
    const toml::node* node = find(key);
    if (!node) return nullptr;
    if (const auto* table = node->as_table()) return table;
    return expected(*node, key, "a table");
  }
  Result<> nothing_else() const {
    for (const auto& [key, node] : table_)
      if (std::ranges::find(asked_, std::string_view(key.str())) == asked_.end())
        return wrong(file_, key.source().begin,
                     what_ + " has no '" + std::string(key.str()) + "'; it has " + listed());
    return {};
  }
  tl::unexpected<Error> expected(const toml::node& node, std::string_view key,
                                 std::string_view type) const {
    return wrong(file_, node.source().begin,
                 std::string(key) + ": expected " + std::string(type) + ", not " +
                     std::string(name_of(node.type())));
  }

 private:
  std::string listed() const {
    std::string text;
    for (const std::string& key : asked_) text += (text.empty() ? "" : ", ") + key;
    return text;
  }
  const toml::table& table_;
  const std::string what_;
  const std::string& file_;
  std::vector<std::string> asked_;
};

Result<SeedRecord> record_of(const toml::node& node, const std::string& file) {
  const toml::table* table = node.as_table();
  if (!table) return wrong(file, node.source().begin, "records: expected a table for each");
  Keys keys(*table, "a record", file);
  auto key = keys.text("key"), value = keys.text("value");
  auto partition = keys.count("partition");
  auto headers = keys.table("headers");
  for (const Error* error :
       {key ? nullptr : &key.error(), value ? nullptr : &value.error(),
        partition ? nullptr : &partition.error(), headers ? nullptr : &headers.error()})
    if (error) return fail(*error);
  if (auto ok = keys.nothing_else(); !ok) return fail(ok.error());
  SeedRecord record{
      .key = std::move(*key), .value = std::move(*value), .headers = {}, .partition = *partition};
  if (*headers)
    for (const auto& [name, header] : **headers) {
      const auto* text = header.as_string();
      if (!text) return keys.expected(header, name.str(), "text");
      record.headers.emplace_back(name.str(), text->get());
    }
  return record;
}

// Kafka's settings: text, or numbers and truths that stand for themselves.
Result<std::string> setting_text(const toml::node& node, std::string_view key, const Keys& keys) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
  return keys.expected(node, key, "text, a whole number, true or false");
}

Result<TopicConfig> config_of(const toml::table& table, const Keys& keys) {
  TopicConfig config;
  std::vector<std::pair<std::string, std::string>> texts;
  for (const auto& [name, node] : table) {
    auto text = setting_text(node, name.str(), keys);
    if (!text) return fail(text.error());
    texts.emplace_back(name.str(), std::move(*text));
  }
  std::vector<session::GivenSetting> given;
  for (const auto& [name, text] : texts) given.push_back({.name = name, .value = text});
  auto changed = session::with_settings(config, given, kAnySize);
  if (!changed) return wrong(keys.file(), table.source().begin, changed.error().message());
  return changed;
}

Result<TopicDeclaration> topic_of(const toml::node& node, const std::string& file) {
  const toml::table* table = node.as_table();
  if (!table) return wrong(file, node.source().begin, "topics: write each as [[topics]]");
  Keys keys(*table, "a topic", file);
  TopicDeclaration topic;
  auto name = keys.text("name");
  if (!name) return fail(name.error());
  if (!*name) return wrong(file, table->source().begin, "a topic without a name");
  topic.name = **name;
  auto partitions = keys.count("partitions");
  if (!partitions) return fail(partitions.error());
  topic.partitions = partitions->value_or(1);
  auto settings = keys.table("config");
  if (!settings) return fail(settings.error());
  if (*settings) {
    auto config = config_of(**settings, keys);
    if (!config) return fail(config.error());
    topic.config = *config;
  }
  if (const toml::node* records = keys.find("records")) {
    const toml::array* list = records->as_array();
    if (!list) return keys.expected(*records, "records", "a list");
    for (const toml::node& each : *list) {
      auto record = record_of(each, file);
      if (!record) return fail(record.error());
      topic.records.push_back(std::move(*record));
    }
  }
  if (auto ok = keys.nothing_else(); !ok) return fail(ok.error());
  if (auto ok = broker::check_declarations({&topic, 1}); !ok)
    return wrong(file, table->source().begin, ok.error().detail);
  return topic;
}

std::string record_toml(const SeedRecord& record) {
  std::string text;
  const auto add = [&](const std::string& item) { text += (text.empty() ? "" : ", ") + item; };
  if (record.key) add("key = " + toml_text(*record.key));
  if (record.value) add("value = " + toml_text(*record.value));
  std::string headers;
  for (const auto& [name, value] : record.headers)
    headers += (headers.empty() ? "" : ", ") + toml_text(name) + " = " + toml_text(value);
  if (!headers.empty()) add("headers = {" + headers + "}");
  if (record.partition) add("partition = " + std::to_string(*record.partition));
  return "{" + text + "}";
}

}  // namespace

Result<TopicDeclaration> parse_topic(std::string_view text) {
  TopicDeclaration topic;
  const std::size_t colon = text.find(':');
  topic.name = text.substr(0, colon);
  if (colon == std::string_view::npos) return topic;
  const std::string_view count = text.substr(colon + 1);
  const auto [end, error] =
      std::from_chars(count.data(), count.data() + count.size(), topic.partitions);
  if (error != std::errc() || end != count.data() + count.size())
    return fail(ErrorCode::kUsage,
                "--topic " + std::string(text) + ": write NAME or NAME:PARTITIONS, as orders:3");
  return topic;
}

Result<std::vector<TopicDeclaration>> topics_of(const toml::node& node, const std::string& name) {
  const toml::array* list = node.as_array();
  if (!list) return wrong(name, node.source().begin, "topics: write each as [[topics]]");
  std::vector<TopicDeclaration> topics;
  for (const toml::node& each : *list) {
    auto topic = topic_of(each, name);
    if (!topic) return fail(topic.error());
    topics.push_back(std::move(*topic));
  }
  return topics;
}

std::string topics_toml(std::span<const TopicDeclaration> topics) {
  std::string text;
  for (const TopicDeclaration& topic : topics) {
    text += "\n[[topics]]\nname = " + toml_text(topic.name) +
            "\npartitions = " + std::to_string(topic.partitions) + "\n";
    std::string settings;
    for (const auto& setting : session::shown_settings(topic.config, kAnySize))
      if (setting.source == session::SettingSource::kTopic)
        settings += (settings.empty() ? "" : ", ") + toml_text(setting.name) + " = " +
                    toml_text(setting.value);
    if (!settings.empty()) text += "config = {" + settings + "}\n";
    if (topic.records.empty()) continue;
    text += "records = [\n";
    for (const SeedRecord& record : topic.records) text += "  " + record_toml(record) + ",\n";
    text += "]\n";
  }
  return text;
}

}  // namespace leat
