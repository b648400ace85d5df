#include "client/requests.h"

#include <map>

#include "client/call.h"

namespace leat::requests {
namespace {

using namespace native;

TopicDescription description_of(const TopicState& state) {
  TopicDescription topic{state.id, std::string(state.name), state.created_ms, {}, state.config};
  for (const auto& partition : state.partitions)
    topic.partitions.push_back({partition.log_start, partition.high_watermark});
  return topic;
}

GroupListing listing_of(const GroupState& state) {
  return {std::string(state.name), state.kind,        state.epoch, state.members,
          state.settled,           state.redelivered, state.dead};
}

GroupDescription description_of(const DescribeGroupReply& reply) {
  GroupDescription description{listing_of(reply.group), {}, {}};
  for (const auto& member : reply.members)
    description.members.push_back({std::string(member.id),
                                   std::string(member.client_name),
                                   {member.topics.begin(), member.topics.end()}});
  for (const auto& row : reply.partitions) {
    leat::GroupPartition partition{std::string(row.topic),
                                   row.partition.topic,
                                   row.partition.partition,
                                   std::string(row.member),
                                   std::nullopt,
                                   row.log_start,
                                   row.high_watermark,
                                   row.done,
                                   row.leased,
                                   row.waiting};
    if (row.committed.value >= 0) partition.committed = row.committed;
    description.partitions.push_back(std::move(partition));
  }
  return description;
}

std::chrono::milliseconds patience(Link& link) {
  return link.options().request_timeout;
}

Error no_topic(const std::string& name) {
  return {ErrorCode::kUnknownTopic,
          "'" + name + "' (create it with: leat topic create " + name + ")"};
}

}  // namespace

void source_positions(Link& link, const TopicId& topic, std::string source,
                      std::chrono::milliseconds timeout, Completion<StoredSource> done) {
  call(
      link,
      [topic, source = std::move(source)] {
        return SourcePositions{.topic = topic, .source = source};
      },
      timeout, expect<SourcePositionsReply>(std::move(done), [](const SourcePositionsReply& reply) {
        return StoredSource{reply.positions, reply.durability};
      }));
}

void ping(Link& link, Completion<std::chrono::nanoseconds> done) {
  const auto sent = std::chrono::steady_clock::now();
  call(
      link, [] { return Ping{}; }, patience(link),
      expect<Pong>(std::move(done), [sent](const Pong&) -> std::chrono::nanoseconds {
        return std::chrono::steady_clock::now() - sent;
      }));
}

// ---- topics ----

void create_topic(Link& link, NewTopic topic, Completion<TopicDescription> done) {
  const auto repeat = topic.if_not_exists ? Repeat::kAgain : Repeat::kOnce;
  call(
      link,
      [topic = std::move(topic)] {
        return CreateTopic{topic.name, topic.partitions, topic.if_not_exists, topic.config};
      },
      patience(link),
      expect<TopicReply>(std::move(done),
                         [](const TopicReply& reply) { return description_of(reply.topic); }),
      repeat);
}

void delete_topic(Link& link, std::string name, Completion<> done) {
  call(
      link, [name = std::move(name)] { return DeleteTopic{name}; }, patience(link),
      expect<DeleteTopicReply>(std::move(done)), Repeat::kOnce);
}

void add_partitions(Link& link, std::string name, std::int32_t total,
                    Completion<TopicDescription> done) {
  call(
      link,
      [name = std::move(name), total] {
        return AddPartitions{name, total};
      },
      patience(link), expect<TopicReply>(std::move(done), [](const TopicReply& reply) {
        return description_of(reply.topic);
      }));
}

void configure_topic(Link& link, std::string name, const TopicConfig& config,
                     Completion<TopicDescription> done) {
  call(
      link,
      [name = std::move(name), config] {
        return ConfigureTopic{name, config};
      },
      patience(link), expect<TopicReply>(std::move(done), [](const TopicReply& reply) {
        return description_of(reply.topic);
      }));
}

void reset(Link& link, Completion<void> done) {
  call(
      link, [] { return Reset{}; }, patience(link), expect<ResetReply>(std::move(done)),
      Repeat::kAgain);
}

void create_snapshot(Link& link, std::string name, Completion<std::string> done) {
  call(
      link, [name = std::move(name)] { return CreateSnapshot{name}; }, patience(link),
      expect<SnapshotReply>(std::move(done),
                            [](const SnapshotReply& reply) { return std::string(reply.path); }),
      Repeat::kOnce);
}

void delete_records(Link& link, TopicPartition partition, std::optional<Offset> before,
                    Completion<Offset> done) {
  auto ask = [&link, index = partition.partition, before,
              done = std::move(done)](Result<TopicDescription> topic) mutable {
    if (!topic) return done(fail(topic.error()));
    const DeleteRecords request{{topic->id, index}, before.value_or(DeleteRecords::kAll)};
    // All, once more, would be what came meanwhile, too.
    const auto repeat = before ? Repeat::kAgain : Repeat::kOnce;
    call(
        link, [request] { return request; }, patience(link),
        expect<DeleteRecordsReply>(std::move(done),
                                   [](const DeleteRecordsReply& reply) { return reply.log_start; }),
        repeat);
  };
  describe_topic(link, std::move(partition.topic), false, std::move(ask));
}

void list_topics(Link& link, Completion<std::vector<TopicDescription>> done) {
  call(
      link, [] { return ListTopics{}; }, patience(link),
      expect<TopicsReply>(std::move(done), [](const TopicsReply& reply) {
        std::vector<TopicDescription> topics;
        for (const auto& topic : reply.topics) topics.push_back(description_of(topic));
        return topics;
      }));
}

void describe_topic(Link& link, std::string name, bool auto_create,
                    Completion<TopicDescription> done) {
  describe_topic(link, std::move(name), auto_create, patience(link), std::move(done));
}

void describe_topic(Link& link, std::string name, bool auto_create,
                    std::chrono::milliseconds timeout, Completion<TopicDescription> done) {
  call(
      link,
      [name = std::move(name), auto_create] {
        return DescribeTopic{name, auto_create};
      },
      timeout, expect<TopicReply>(std::move(done), [](const TopicReply& reply) {
        return description_of(reply.topic);
      }));
}

void find_offset(Link& link, TopicPartition partition, Timestamp time,
                 Completion<FoundOffset> done) {
  auto ask = [&link, partition, time,
              done = std::move(done)](Result<TopicDescription> topic) mutable {
    if (!topic) return done(fail(topic.error()));
    const FindOffset request{{topic->id, partition.partition}, time.time_since_epoch().count()};
    call(
        link, [request] { return request; }, patience(link),
        expect<FindOffsetReply>(std::move(done), [](const FindOffsetReply& reply) {
          FoundOffset found{reply.offset, std::nullopt};
          if (reply.timestamp_ms >= 0)
            found.record_time = Timestamp(std::chrono::milliseconds(reply.timestamp_ms));
          return found;
        }));
  };
  describe_topic(link, partition.topic, false, std::move(ask));
}

// ---- groups ----

void list_groups(Link& link, Completion<std::vector<GroupListing>> done) {
  call(
      link, [] { return ListGroups{}; }, patience(link),
      expect<ListGroupsReply>(std::move(done), [](const ListGroupsReply& reply) {
        std::vector<GroupListing> groups;
        for (const auto& group : reply.groups) groups.push_back(listing_of(group));
        return groups;
      }));
}

void describe_group(Link& link, std::string group, Completion<GroupDescription> done) {
  call(
      link, [group = std::move(group)] { return DescribeGroup{group}; }, patience(link),
      expect<DescribeGroupReply>(
          std::move(done), [](const DescribeGroupReply& reply) { return description_of(reply); }));
}

void delete_group(Link& link, std::string group, Completion<> done) {
  call(
      link, [group = std::move(group)] { return DeleteGroup{group}; }, patience(link),
      expect<DeleteGroupReply>(std::move(done)), Repeat::kOnce);
}

void set_offsets(Link& link, std::string group, std::vector<PartitionOffset> offsets,
                 Completion<> done) {
  auto commit = [&link, group = std::move(group), offsets = std::move(offsets),
                 done = std::move(done)](Result<std::vector<TopicDescription>> topics) mutable {
    if (!topics) return done(fail(topics.error()));
    std::map<std::string_view, TopicId> ids;
    for (const auto& topic : *topics) ids.emplace(topic.name, topic.id);
    std::vector<CommittedOffset> commits;
    for (const PartitionOffset& offset : offsets) {
      const auto id = ids.find(offset.topic);
      if (id == ids.end()) return done(fail(no_topic(offset.topic)));
      commits.push_back({id->second, offset.partition, offset.offset, {}});
    }
    call(
        link,
        [group = std::move(group), commits = std::move(commits)] {
          return CommitOffsets{group, commits};
        },
        patience(link), expect<CommitOffsetsReply>(std::move(done)));
  };
  list_topics(link, std::move(commit));
}

}  // namespace leat::requests
