#include "server/broker/commits.h"

#include "protocol/names.h"
#include "server/broker/partitions.h"

namespace leat::broker {

Result<storage::TopicPartition> Commits::find(const PartitionRef& ref) const {
  const storage::Topic* topic =
      ref.topic.empty() ? storage_.find_topic(ref.id) : storage_.find_topic(ref.topic);
  if (!topic)
    return fail(ref.topic.empty() ? ErrorCode::kUnknownTopicId : ErrorCode::kUnknownTopic);
  auto found = find_partition(storage_, topic->id, ref.partition);
  if (!found) return fail(found.error());
  return storage::TopicPartition{topic->id, ref.partition};
}

void Commits::commit(const RequestId& id, const CommitAsRequest& request, MonotonicTime now) {
  if (request.commits.size() > options_.commits_per_request)
    return replies_.reply(
        id, Error(ErrorCode::kInvalidRequest, std::to_string(request.commits.size()) +
                                                  " offsets in a commit; use at most " +
                                                  std::to_string(options_.commits_per_request)));
  if (auto ok = classic_.check_commit(request.who, now); !ok) return replies_.reply(id, ok.error());
  PartitionResults results;
  std::vector<storage::OffsetCommit> commits;
  for (const CommitAsRequest::Commit& commit : request.commits) {
    auto at = find(commit.at);
    ErrorCode code = at ? ErrorCode::kOk : at.error().code;
    if (at && commit.metadata.size() > options_.metadata_bytes) code = ErrorCode::kMetadataTooLarge;
    results.partitions.push_back(code);
    if (code == ErrorCode::kOk)
      commits.push_back({at->topic, at->partition, commit.offset, commit.metadata, commit.epoch});
  }
  if (!commits.empty()) {
    auto position = storage_.commit_offsets(request.who.group, commits);
    if (!position) return replies_.reply(id, position.error());
    committed_(request.who.group, now);
  }
  replies_.reply(id, std::move(results));
}

void Commits::fetch(const RequestId& id, std::string_view group,
                    const std::optional<std::vector<PartitionRef>>& partitions) {
  if (auto ok = validate_group_name(group); !ok) return replies_.reply(id, ok.error());
  NamedOffsets named;
  const auto add = [&](const storage::Topic& topic, PartitionIndex partition,
                       const std::optional<storage::Committed>& committed) {
    NamedOffset& offset = named.offsets.emplace_back(topic.id, topic.name, partition);
    if (!committed) return;
    offset.offset = committed->offset;
    offset.metadata = committed->metadata;
    offset.epoch = committed->epoch;
  };
  if (!partitions) {
    for (const auto& [at, committed] : storage_.commits(group))
      if (const storage::Topic* topic = storage_.find_topic(at.topic))
        add(*topic, at.partition, committed);
    return replies_.reply(id, std::move(named));
  }
  for (const PartitionRef& ref : *partitions) {
    const storage::Topic* topic =
        ref.topic.empty() ? storage_.find_topic(ref.id) : storage_.find_topic(ref.topic);
    if (topic) {
      add(*topic, ref.partition, storage_.committed(group, topic->id, ref.partition));
      continue;
    }
    // By name, a topic that is not there has nothing committed, as a partition has not.
    NamedOffset& offset = named.offsets.emplace_back(ref.id, std::string(ref.topic), ref.partition);
    if (ref.topic.empty()) offset.code = ErrorCode::kUnknownTopicId;
  }
  replies_.reply(id, std::move(named));
}

void Commits::remove(const RequestId& id, const RemoveOffsetsRequest& request) {
  if (auto ok = validate_group_name(request.group); !ok) return replies_.reply(id, ok.error());
  if (!storage_.has_group(request.group) && !classic_.find(request.group))
    return replies_.reply(id, Error(ErrorCode::kUnknownGroup, quoted(request.group)));
  const std::size_t members = ids_.members_of(request.group);
  if (members > 0 && !request.subscribed)
    return replies_.reply(
        id, Error(ErrorCode::kGroupNotEmpty,
                  quoted(request.group) + " has " + std::to_string(members) + "; stop them first"));
  PartitionResults results;
  std::vector<storage::TopicPartition> gone;
  for (const PartitionRef& ref : request.partitions) {
    auto at = find(ref);
    ErrorCode code = at ? ErrorCode::kOk : at.error().code;
    if (at && members > 0 && request.subscribed->contains(storage_.find_topic(at->topic)->name))
      code = ErrorCode::kGroupSubscribed;
    results.partitions.push_back(code);
    if (code == ErrorCode::kOk && storage_.committed(request.group, at->topic, at->partition))
      gone.push_back(*at);
  }
  if (!gone.empty())
    if (auto position = storage_.remove_offsets(request.group, gone); !position)
      return replies_.reply(id, position.error());
  replies_.reply(id, std::move(results));
}

}  // namespace leat::broker
