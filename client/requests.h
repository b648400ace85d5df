// What can be asked of a broker besides sending and receiving records: each a request, or a few,
// with one completion on the link's thread. Any thread may ask. Errors: kTimedOut, kClosed, what
// the broker says; and kDisconnected where a request is not repeated.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "client/completion.h"
#include "client/records.h"

namespace leat {
class Link;
}

namespace leat::requests {

// Completes with the round-trip time.
void ping(Link& link, Completion<std::chrono::nanoseconds> done);

struct NewTopic {
  std::string name;
  std::int32_t partitions = 1;
  bool if_not_exists = false;
  TopicConfig config;
};
void create_topic(Link& link, NewTopic topic, Completion<TopicDescription> done);
void delete_topic(Link& link, std::string name, Completion<> done);
void add_partitions(Link& link, std::string name, std::int32_t total,
                    Completion<TopicDescription> done);
// Every setting of the topic.
void configure_topic(Link& link, std::string name, const TopicConfig& config,
                     Completion<TopicDescription> done);
// The records below `before`, or all; completes with the new log start.
void delete_records(Link& link, TopicPartition partition, std::optional<Offset> before,
                    Completion<Offset> done);
// Completes with its path on the broker's machine.
void reset(Link& link, Completion<void> done);
void create_snapshot(Link& link, std::string name, Completion<std::string> done);
void list_topics(Link& link, Completion<std::vector<TopicDescription>> done);
// With `auto_create`, a broker that creates topics on first use does so.
void describe_topic(Link& link, std::string name, bool auto_create,
                    Completion<TopicDescription> done);
void describe_topic(Link& link, std::string name, bool auto_create,
                    std::chrono::milliseconds timeout, Completion<TopicDescription> done);
// How far a source is stored in each of a topic's partitions; zero: nothing.
struct StoredSource {
  std::vector<SourcePosition> positions;
  Durability durability = Durability::kSync;  // of the topic
};
void source_positions(Link& link, const TopicId& topic, std::string source,
                      std::chrono::milliseconds timeout, Completion<StoredSource> done);
void find_offset(Link& link, TopicPartition partition, Timestamp time,
                 Completion<FoundOffset> done);

void list_groups(Link& link, Completion<std::vector<GroupListing>> done);
void describe_group(Link& link, std::string group, Completion<GroupDescription> done);
void delete_group(Link& link, std::string group, Completion<> done);
// As no member: the group must have none.
void set_offsets(Link& link, std::string group, std::vector<PartitionOffset> offsets,
                 Completion<> done);

}  // namespace leat::requests
