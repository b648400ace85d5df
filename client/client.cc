#include "client/client.h"

#include "client/consumer_core.h"
#include "client/link.h"
#include "client/producer_core.h"
#include "client/socket_transport.h"

namespace leat {
namespace {

TopicDescription description_of(const native::TopicState& state) {
  TopicDescription topic{state.id, std::string(state.name), state.created_ms, {}, state.config};
  for (const auto& partition : state.partitions)
    topic.partitions.push_back({partition.log_start, partition.high_watermark});
  return topic;
}

GroupSummary summary_of(const native::GroupState& state) {
  return {std::string(state.name), state.kind, state.epoch, state.members, state.settled};
}

GroupDescription description_of(const native::DescribeGroupReply& reply) {
  GroupDescription group{summary_of(reply.group), {}, {}};
  for (const auto& member : reply.members)
    group.members.push_back({std::string(member.id),
                             std::string(member.client_name),
                             {member.topics.begin(), member.topics.end()}});
  for (const auto& row : reply.partitions) {
    GroupPartition partition{std::string(row.topic),  row.partition.partition,
                             std::string(row.member), {},
                             row.log_start,           row.high_watermark};
    if (row.committed.value >= 0) partition.committed = row.committed;
    group.partitions.push_back(std::move(partition));
  }
  return group;
}

}  // namespace

Result<Client> Client::connect(ClientOptions options) {
  auto address = parse_broker_url(options.broker);
  if (!address) return fail(address.error());
  auto connector = socket_connector(std::move(*address), options.broker);
  return connect(std::move(options), std::move(connector));
}

Result<Client> Client::connect(ClientOptions options, std::unique_ptr<Connector> connector) {
  // In a forked child it is left alone: taking it apart would reach into the parent's sockets.
  const std::shared_ptr<Link> link(new Link(std::move(options), std::move(connector)),
                                   [](Link* made) {
                                     if (made->check_process()) delete made;
                                   });
  if (auto ok = link->connect(); !ok) return fail(ok.error());
  return Client(link);
}

Result<std::chrono::nanoseconds> Client::ping() {
  const auto sent = std::chrono::steady_clock::now();
  auto ok = link_->call(native::Ping{}, link_->options().request_timeout, [](const auto&) {});
  if (!ok) return fail(ok.error());
  return std::chrono::steady_clock::now() - sent;
}

Result<TopicDescription> Client::create_topic(std::string_view name, std::int32_t partitions,
                                              bool if_not_exists, TopicConfig config) {
  TopicDescription topic;
  auto ok = link_->call(
      native::CreateTopic{name, partitions, if_not_exists, config},
      link_->options().request_timeout,
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

Result<Offset> Client::find_offset(const TopicDescription& topic, PartitionIndex partition,
                                   std::int64_t timestamp_ms) {
  Offset offset;
  auto ok = link_->call(native::FindOffset{{topic.id, partition}, timestamp_ms},
                        link_->options().request_timeout, [&](const native::Reply& reply) {
                          if (const auto* found = std::get_if<native::FindOffsetReply>(&reply))
                            offset = found->offset;
                        });
  if (!ok) return fail(ok.error());
  return offset;
}

Result<std::vector<GroupSummary>> Client::list_groups() {
  std::vector<GroupSummary> groups;
  auto ok = link_->call(native::ListGroups{}, link_->options().request_timeout,
                        [&](const native::Reply& reply) {
                          const auto* found = std::get_if<native::ListGroupsReply>(&reply);
                          if (!found) return;
                          for (const auto& group : found->groups)
                            groups.push_back(summary_of(group));
                        });
  if (!ok) return fail(ok.error());
  return groups;
}

Result<GroupDescription> Client::describe_group(std::string_view name) {
  GroupDescription group;
  auto ok = link_->call(native::DescribeGroup{name}, link_->options().request_timeout,
                        [&](const native::Reply& reply) {
                          if (const auto* found = std::get_if<native::DescribeGroupReply>(&reply))
                            group = description_of(*found);
                        });
  if (!ok) return fail(ok.error());
  return group;
}

Result<> Client::delete_group(std::string_view group) {
  return link_->call(
      native::DeleteGroup{group}, link_->options().request_timeout, [](const auto&) {},
      Link::Repeat::kOnce);
}

Result<> Client::commit_offsets(std::string_view group, const TopicDescription& topic,
                                std::span<const std::pair<PartitionIndex, Offset>> offsets) {
  native::CommitOffsets request{.group = group, .offsets = {}};
  for (const auto& [partition, offset] : offsets)
    request.offsets.push_back({topic.id, partition, offset, {}});
  return link_->call(request, link_->options().request_timeout, [](const auto&) {});
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
