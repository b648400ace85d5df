#include "server/broker/declared_topics.h"

#include <algorithm>
#include <set>

#include "protocol/names.h"
#include "protocol/partitioner.h"
#include "protocol/record_batch.h"

namespace leat::broker {
namespace {

tl::unexpected<Error> wrong(const TopicDeclaration& topic, const std::string& what) {
  return fail(ErrorCode::kUsage, "topic '" + escaped(topic.name) + "': " + what);
}

std::optional<Bytes> bytes_of(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  return as_bytes(*text);
}

Result<> check_records(const TopicDeclaration& topic) {
  for (const SeedRecord& record : topic.records) {
    if (record.partition && (*record.partition < 0 || *record.partition >= topic.partitions))
      return wrong(topic, "a record for partition " + std::to_string(*record.partition) +
                              "; there are 0 to " + std::to_string(topic.partitions - 1));
    if (!record.key && compacts(topic.config.cleanup))
      return wrong(topic, "a record without a key, where only the newest of each key stays");
  }
  return {};
}

}  // namespace

Result<> check_declarations(std::span<const TopicDeclaration> topics) {
  std::set<std::string_view> names;
  for (const TopicDeclaration& topic : topics) {
    if (auto ok = validate_topic_name(topic.name); !ok) return wrong(topic, ok.error().message());
    if (!names.insert(topic.name).second) return wrong(topic, "declared twice");
    if (topic.partitions < 1) return wrong(topic, "use 1 partition or more");
    if (auto ok = check_config(topic.config); !ok) return wrong(topic, ok.error().message());
    if (auto ok = check_records(topic); !ok) return ok;
  }
  return {};
}

Result<std::vector<SeedBatch>> seed_batches(const TopicDeclaration& topic, WallTime now,
                                            std::size_t batch_bytes) {
  std::vector<SeedBatch> batches;
  std::vector<RecordBatchBuilder> open(static_cast<std::size_t>(topic.partitions));
  const auto finish = [&](PartitionIndex partition) {
    batches.push_back({partition, open[static_cast<std::size_t>(partition.value)].take()});
  };
  std::int32_t turn = 0;
  for (const SeedRecord& seed : topic.records) {
    std::vector<RecordHeader> headers;
    for (const auto& [name, value] : seed.headers) headers.push_back({name, as_bytes(value)});
    const RecordData record{bytes_of(seed.key), bytes_of(seed.value), headers};
    PartitionIndex partition(seed.partition.value_or(0));
    if (!seed.partition)
      partition = seed.key ? partition_for_key(as_bytes(*seed.key), topic.partitions)
                           : PartitionIndex(turn++ % topic.partitions);
    RecordBatchBuilder& builder = open[static_cast<std::size_t>(partition.value)];
    const std::size_t bytes = RecordBatchBuilder::max_record_size(record);
    if (batch_layout::kHeaderBytes + bytes > batch_bytes)
      return wrong(topic, "a record of " + std::to_string(bytes) +
                              " bytes; limits.batch_bytes is " + std::to_string(batch_bytes));
    if (builder.size() + bytes > batch_bytes) finish(partition);
    builder.append(record, now.time_since_epoch().count());
  }
  for (std::int32_t i = 0; i < topic.partitions; ++i)
    if (!open[static_cast<std::size_t>(i)].empty()) finish(PartitionIndex(i));
  return batches;
}

}  // namespace leat::broker
