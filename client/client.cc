#include "client/client.h"

#include "client/consumer_core.h"
#include "client/link.h"
#include "client/producer_core.h"

namespace leat {
namespace {

TopicDescription description_of(const native::TopicState& state) {
  TopicDescription topic{state.id, std::string(state.name), state.created_ms, {}};
  for (const auto& partition : state.partitions)
    topic.partitions.push_back({partition.log_start, partition.high_watermark});
  return topic;
}

}  // namespace

Result<Client> Client::connect(ClientOptions options) {
  auto address = parse_broker_url(options.broker);
  if (!address) return fail(address.error());
  auto link = std::make_shared<Link>(std::move(options), std::move(*address));
  if (auto ok = link->connect(); !ok) return fail(ok.error());
  return Client(std::move(link));
}

Result<std::chrono::nanoseconds> Client::ping() {
  const auto sent = std::chrono::steady_clock::now();
  auto ok = link_->call(native::Ping{}, link_->options().request_timeout, [](const auto&) {});
  if (!ok) return fail(ok.error());
  return std::chrono::steady_clock::now() - sent;
}

Result<TopicDescription> Client::create_topic(std::string_view name, std::int32_t partitions,
                                              bool if_not_exists) {
  TopicDescription topic;
  auto ok = link_->call(
      native::CreateTopic{name, partitions, if_not_exists}, link_->options().request_timeout,
      [&](const native::Reply& reply) {
        if (const auto* created = std::get_if<native::TopicReply>(&reply))
          topic = description_of(created->topic);
      },
      if_not_exists ? Link::Repeat::kAgain : Link::Repeat::kOnce);
  if (!ok) return fail(ok.error());
  return topic;
}

Result<> Client::delete_topic(std::string_view name) {
  return link_->call(
      native::DeleteTopic{name}, link_->options().request_timeout, [](const auto&) {},
      Link::Repeat::kOnce);
}

Result<std::vector<TopicDescription>> Client::list_topics() {
  std::vector<TopicDescription> topics;
  auto ok = link_->call(native::ListTopics{}, link_->options().request_timeout,
                        [&](const native::Reply& reply) {
                          const auto* found = std::get_if<native::TopicsReply>(&reply);
                          if (!found) return;
                          for (const auto& topic : found->topics)
                            topics.push_back(description_of(topic));
                        });
  if (!ok) return fail(ok.error());
  return topics;
}

Result<TopicDescription> Client::describe_topic(std::string_view name, bool auto_create) {
  TopicDescription topic;
  auto ok = link_->call(native::DescribeTopic{name, auto_create}, link_->options().request_timeout,
                        [&](const native::Reply& reply) {
                          if (const auto* found = std::get_if<native::TopicReply>(&reply))
                            topic = description_of(found->topic);
                        });
  if (!ok) return fail(ok.error());
  return topic;
}

Result<std::unique_ptr<Producer>> Client::producer(const Topic& topic, ProducerOptions options) {
  auto description = describe_topic(topic.name, true);
  if (!description) return fail(description.error());
  auto core = std::make_shared<Producer::Core>(*link_, std::move(*description), options);
  return std::unique_ptr<Producer>(new Producer(link_, std::move(core)));
}

Result<std::unique_ptr<Consumer>> Client::consumer(ConsumerOptions options) {
  auto description = describe_topic(options.topic, true);
  if (!description) return fail(description.error());
  auto core = std::make_shared<Consumer::Core>(*link_, std::move(*description), std::move(options));
  if (auto ok = core->start(); !ok) return fail(ok.error());
  return std::unique_ptr<Consumer>(new Consumer(link_, std::move(core)));
}

}  // namespace leat
