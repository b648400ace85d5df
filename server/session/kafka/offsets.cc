// How far groups are: written down, read, removed. A partition's answer is its own.
#include "server/session/kafka/group_subscription.h"
#include "server/session/kafka/handlers.h"

namespace leat::session {
namespace {

using kafka::KafkaError;

constexpr std::int16_t kByTopicId = 10;  // OffsetCommit and OffsetFetch
constexpr std::int16_t kManyGroups = 8;  // OffsetFetch
constexpr std::int16_t kWholeError = 2;  // OffsetFetch: from here on of the whole response

// Calls `each` with every partition of `topics`, in order.
void each_partition(auto& topics, auto each) {
  for (auto& topic : topics)
    for (auto& partition : topic.partitions) each(partition);
}

// What became of every partition of `topics`, in the order of the request.
void fill(const broker::Reply& reply, auto& topics) {
  if (const auto* error = std::get_if<Error>(&reply))
    return each_partition(topics,
                          [&](auto& row) { row.error_code = kafka::kafka_error(error->code); });
  const auto& results = std::get<broker::PartitionResults>(reply).partitions;
  std::size_t i = 0;
  each_partition(topics, [&](auto& row) { row.error_code = kafka::kafka_error(results[i++]); });
}

}  // namespace

// ---- OffsetCommit ----

void carry_out(const kafka::OffsetCommitRequest& request,
               Exchange<kafka::OffsetCommitResponse>& exchange) {
  const bool by_id = exchange.version() >= kByTopicId;
  broker::CommitAsRequest commit{{request.group_id, request.member_id, request.group_instance_id,
                                  request.generation_id_or_member_epoch},
                                 {}};
  for (const auto& topic : request.topics) {
    auto& answer = exchange.response.topics.emplace_back();
    answer.name = exchange.keep(std::string(topic.name));
    answer.topic_id = topic.topic_id;
    for (const auto& partition : topic.partitions) {
      answer.partitions.push_back({.partition_index = partition.partition_index});
      commit.commits.push_back({{by_id ? std::string_view() : topic.name, topic.topic_id,
                                 PartitionIndex(partition.partition_index)},
                                Offset(partition.committed_offset),
                                partition.committed_metadata.value_or(""),
                                LeaderEpoch(partition.committed_leader_epoch)});
    }
  }
  const auto id = exchange.expect(
      [&response = exchange.response](broker::Reply& reply) { fill(reply, response.topics); });
  exchange.broker().commits().commit(id, commit, exchange.now().monotonic);
}

// ---- OffsetFetch ----

namespace {

void fill(const broker::NamedOffset& offset, AnyExchange& exchange, auto& row) {
  row.partition_index = offset.partition.value;
  row.committed_offset = offset.offset.value;
  row.committed_leader_epoch = offset.epoch.value;
  row.metadata = exchange.keep(offset.metadata);
  row.error_code = kafka::kafka_error(offset.code);
}

void name(const broker::NamedOffset& offset, AnyExchange& exchange, auto& topic) {
  topic.name = exchange.keep(offset.name);
  if constexpr (requires { topic.topic_id; }) topic.topic_id = offset.topic;
}

// The topics that were asked for, with their partitions, in that order: what could not be found is
// answered as well.
template <class Topics>
void fill(const broker::NamedOffsets& offsets, AnyExchange& exchange, Topics& topics) {
  std::size_t i = 0;
  for (auto& topic : topics)
    for (auto& row : topic.partitions) {
      const broker::NamedOffset& offset = offsets.offsets[i++];
      fill(offset, exchange, row);
    }
}

template <class Topics>
void fill_all(const broker::NamedOffsets& offsets, AnyExchange& exchange, Topics& topics) {
  const TopicId* last = nullptr;
  for (const broker::NamedOffset& offset : offsets.offsets) {
    if (!last || *last != offset.topic) name(offset, exchange, topics.emplace_back());
    last = &offset.topic;
    fill(offset, exchange, topics.back().partitions.emplace_back());
  }
}

// Asks for what `wanted` names, or all, and fills `topics`; an error is given to `refuse`.
template <class Wanted, class Topics, class Refuse>
void fetch(std::string_view group, const std::optional<std::vector<Wanted>>& wanted,
           Exchange<kafka::OffsetFetchResponse>& exchange, Topics& topics, Refuse refuse) {
  std::optional<std::vector<broker::PartitionRef>> refs;
  if (wanted) {
    refs.emplace();
    for (const Wanted& topic : *wanted) {
      auto& answer = topics.emplace_back();
      answer.name = exchange.keep(std::string(topic.name));
      broker::PartitionRef ref{topic.name, {}, {}};
      if constexpr (requires { topic.topic_id; })
        if (exchange.version() >= kByTopicId) {
          ref = {{}, topic.topic_id, {}};
          answer.topic_id = topic.topic_id;
        }
      for (const std::int32_t partition : topic.partition_indexes) {
        answer.partitions.push_back({.partition_index = partition, .committed_offset = -1});
        answer.partitions.back().metadata = "";
        ref.partition = PartitionIndex(partition);
        refs->push_back(ref);
      }
    }
  }
  const bool all = !wanted;
  const auto id = exchange.expect([&exchange, &topics, all, refuse](broker::Reply& reply) {
    if (const auto* error = std::get_if<Error>(&reply))
      return refuse(kafka::kafka_error(error->code));
    const auto& offsets = std::get<broker::NamedOffsets>(reply);
    if (all)
      fill_all(offsets, exchange, topics);
    else
      fill(offsets, exchange, topics);
  });
  exchange.broker().commits().fetch(id, group, refs);
}

}  // namespace

// Without transactions every offset is stable: nothing is to be done for `require_stable`.
void carry_out(const kafka::OffsetFetchRequest& request,
               Exchange<kafka::OffsetFetchResponse>& exchange) {
  auto& response = exchange.response;
  if (exchange.version() < kManyGroups) {
    const bool whole = exchange.version() >= kWholeError;
    return fetch(request.group_id, request.topics, exchange, response.topics,
                 [&response, whole](KafkaError code) {
                   if (whole) response.error_code = code;
                   each_partition(response.topics, [&](auto& row) { row.error_code = code; });
                 });
  }
  response.groups.resize(request.groups.size());
  for (std::size_t i = 0; i < request.groups.size(); ++i) {
    auto& group = response.groups[i];
    group.group_id = exchange.keep(std::string(request.groups[i].group_id));
    fetch(request.groups[i].group_id, request.groups[i].topics, exchange, group.topics,
          [&group](KafkaError code) {
            group.error_code = code;
            group.topics.clear();
          });
  }
}

// ---- OffsetDelete ----

void carry_out(const kafka::OffsetDeleteRequest& request,
               Exchange<kafka::OffsetDeleteResponse>& exchange) {
  broker::RemoveOffsetsRequest remove{request.group_id, {}, {}};
  if (const auto* group = exchange.broker().classic_groups().find(request.group_id))
    remove.subscribed = subscribed_topics(*group);
  for (const auto& topic : request.topics) {
    auto& answer = exchange.response.topics.emplace_back();
    answer.name = exchange.keep(std::string(topic.name));
    for (const auto& partition : topic.partitions) {
      answer.partitions.push_back({.partition_index = partition.partition_index});
      remove.partitions.push_back({topic.name, {}, PartitionIndex(partition.partition_index)});
    }
  }
  const auto id = exchange.expect([&response = exchange.response](broker::Reply& reply) {
    if (const auto* error = std::get_if<Error>(&reply)) {
      response.error_code = kafka::kafka_error(error->code);
      response.topics.clear();
      return;
    }
    fill(reply, response.topics);
  });
  exchange.broker().commits().remove(id, remove);
}

}  // namespace leat::session
