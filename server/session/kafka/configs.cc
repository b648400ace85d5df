// Settings of topics and of the broker are shown; those of topics are changed.
#include <algorithm>
#include <map>

#include "server/session/kafka/broker_settings.h"
#include "server/session/kafka/handlers.h"
#include "server/session/kafka/refusals.h"
#include "server/session/kafka/topic_settings.h"

namespace leat::session {
namespace {

using kafka::KafkaError;

enum class Resource : std::int8_t { kTopic = 2, kBroker = 4 };

bool is(std::int8_t type, Resource resource) {
  return type == static_cast<std::int8_t>(resource);
}
Error unknown_resource(std::int8_t type) {
  return {ErrorCode::kInvalidRequest,
          "resources of type " + std::to_string(type) +
              " have no settings here; topics (2) and the broker (4) have"};
}

// ---- DescribeConfigs ----

using Shown = kafka::DescribeConfigsResponse::Resource;

struct Wanted {
  bool synonyms = false, documentation = false;
  std::optional<std::vector<std::string>> names;  // none: all

  bool has(std::string_view name) const {
    return !names || std::ranges::find(*names, name) != names->end();
  }
};

// What the value stands on, the strongest first.
std::vector<Shown::Config::Synonym> synonyms_of(const ShownSetting& setting, std::string_view value,
                                                AnyExchange& exchange) {
  std::vector<Shown::Config::Synonym> synonyms;
  if (setting.source != SettingSource::kDefault)
    synonyms.push_back({setting.name, value, static_cast<std::int8_t>(setting.source)});
  const bool of_topic = !setting.broker_name.empty();
  if (of_topic || setting.source == SettingSource::kDefault)
    synonyms.push_back({of_topic ? setting.broker_name : setting.name,
                        exchange.keep(setting.default_value),
                        static_cast<std::int8_t>(SettingSource::kDefault)});
  return synonyms;
}

void show(std::vector<ShownSetting> settings, const Wanted& wanted, AnyExchange& exchange,
          Shown& shown) {
  for (ShownSetting& setting : settings) {
    if (!wanted.has(setting.name)) continue;
    Shown::Config& config = shown.configs.emplace_back();
    config.name = setting.name;
    config.value = exchange.keep(std::move(setting.value));
    config.read_only = setting.read_only;
    config.config_source = static_cast<std::int8_t>(setting.source);
    config.config_type = static_cast<std::int8_t>(setting.type);
    if (wanted.synonyms) config.synonyms = synonyms_of(setting, *config.value, exchange);
    if (wanted.documentation) config.documentation = setting.documentation;
  }
}

void show_topic(std::string_view name, Wanted wanted, AnyExchange& exchange, Shown& shown) {
  const auto id =
      exchange.expect([&exchange, &shown, wanted = std::move(wanted)](broker::Reply& reply) {
        if (const auto* refused = std::get_if<Error>(&reply))
          return refuse(shown, exchange, *refused);
        const auto& topic = std::get<broker::TopicDescription>(reply);
        show(shown_settings(topic.config, exchange.broker().options().batch_bytes), wanted,
             exchange, shown);
      });
  exchange.broker().describe_topic(id, name, false, exchange.now());
}

// Without a name it is what all brokers were given at run time: nothing.
void show_broker(std::string_view name, const Wanted& wanted, AnyExchange& exchange, Shown& shown) {
  if (name.empty()) return;
  if (name != std::to_string(KafkaFacts::kNodeId))
    return refuse(
        shown, exchange,
        {ErrorCode::kInvalidRequest, "broker '" + std::string(name) + "'; there is one, " +
                                         std::to_string(KafkaFacts::kNodeId)});
  show(broker_settings(exchange.broker().options(), KafkaFacts::kNodeId), wanted, exchange, shown);
}

}  // namespace

void carry_out(const kafka::DescribeConfigsRequest& request,
               Exchange<kafka::DescribeConfigsResponse>& exchange) {
  auto& results = exchange.response.results;
  results.resize(request.resources.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    const auto& asked = request.resources[i];
    results[i].resource_type = asked.resource_type;
    results[i].resource_name = exchange.keep(std::string(asked.resource_name));
    Wanted wanted{request.include_synonyms, request.include_documentation, {}};
    if (asked.configuration_keys && !asked.configuration_keys->empty())
      wanted.names.emplace(asked.configuration_keys->begin(), asked.configuration_keys->end());
    if (is(asked.resource_type, Resource::kTopic))
      show_topic(asked.resource_name, std::move(wanted), exchange, results[i]);
    else if (is(asked.resource_type, Resource::kBroker))
      show_broker(asked.resource_name, wanted, exchange, results[i]);
    else
      refuse(results[i], exchange, unknown_resource(asked.resource_type));
  }
}

// ---- AlterConfigs, IncrementalAlterConfigs ----

namespace {

// Of a topic that is there; the others are told so by the broker.
template <class Changed>
void change_topic(std::string_view name, const TopicConfig& before,
                  const std::vector<GivenSetting>& given, bool validate_only, AnyExchange& exchange,
                  Changed& changed) {
  broker::Broker& broker = exchange.broker();
  const auto config = with_settings(before, given, broker.options().batch_bytes);
  if (!config) refuse(changed, exchange, config.error());
  if (!config || (validate_only && broker.topic(name))) return tell_when_durable(exchange, name);
  const auto id = exchange.expect([&exchange, &changed](broker::Reply& reply) {
    if (const auto* refused = std::get_if<Error>(&reply)) refuse(changed, exchange, *refused);
  });
  broker.configure_topic(id, name, *config, exchange.now().monotonic);
}

template <class Asked, class Changed>
void change(const Asked& asked, const std::vector<GivenSetting>& given, bool all_anew,
            bool validate_only, AnyExchange& exchange, Changed& changed) {
  if (is(asked.resource_type, Resource::kTopic)) {
    const storage::Topic* topic = exchange.broker().topic(asked.resource_name);
    const TopicConfig before = topic && !all_anew ? topic->config : TopicConfig();
    return change_topic(asked.resource_name, before, given, validate_only, exchange, changed);
  }
  if (!is(asked.resource_type, Resource::kBroker))
    return refuse(changed, exchange, unknown_resource(asked.resource_type));
  if (!given.empty())
    refuse(changed, exchange,
           {ErrorCode::kInvalidRequest,
            "the broker's settings are those of leatd's configuration file and flags: change "
            "them there, and start it again"});
}

SettingChange change_of(const kafka::AlterConfigsRequest::Resource::Config&) {
  return SettingChange::kSet;
}
SettingChange change_of(const kafka::IncrementalAlterConfigsRequest::Resource::Config& config) {
  return static_cast<SettingChange>(config.config_operation);
}

// `all_anew`: what is not given becomes the default.
template <class Request, class Response>
void change_all(const Request& request, bool all_anew, Exchange<Response>& exchange) {
  std::map<std::pair<std::int8_t, std::string_view>, int> times;
  for (const auto& asked : request.resources) ++times[{asked.resource_type, asked.resource_name}];
  auto& responses = exchange.response.responses;
  responses.resize(request.resources.size());
  for (std::size_t i = 0; i < responses.size(); ++i) {
    const auto& asked = request.resources[i];
    responses[i].resource_type = asked.resource_type;
    responses[i].resource_name = exchange.keep(std::string(asked.resource_name));
    if (times[{asked.resource_type, asked.resource_name}] > 1) {
      refuse(responses[i], exchange,
             {ErrorCode::kInvalidRequest, "the resource is given more than once"});
      continue;
    }
    std::vector<GivenSetting> given;
    for (const auto& config : asked.configs)
      given.push_back({config.name, config.value, change_of(config)});
    change(asked, given, all_anew, request.validate_only, exchange, responses[i]);
  }
}

}  // namespace

void carry_out(const kafka::AlterConfigsRequest& request,
               Exchange<kafka::AlterConfigsResponse>& exchange) {
  change_all(request, true, exchange);
}

void carry_out(const kafka::IncrementalAlterConfigsRequest& request,
               Exchange<kafka::IncrementalAlterConfigsResponse>& exchange) {
  change_all(request, false, exchange);
}

}  // namespace leat::session
