#include "tests/kafka_compat/librdkafka/admin.h"

#include <chrono>
#include <stdexcept>
#include <thread>

#include "tests/kafka_compat/librdkafka/broker.h"

namespace leat::compat {
namespace {

constexpr std::size_t kErrorBytes = 512;

std::string name_of(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_NO_ERROR ? "" : rd_kafka_err2name(error);
}
std::string name_of(const rd_kafka_error_t* error) {
  return error ? name_of(rd_kafka_error_code(error)) : "";
}

std::string first_of(const rd_kafka_topic_result_t** topics, std::size_t count) {
  return count == 1 ? name_of(rd_kafka_topic_result_error(topics[0])) : "no result";
}
std::string first_of(const rd_kafka_group_result_t** groups, std::size_t count) {
  return count == 1 ? name_of(rd_kafka_group_result_error(groups[0])) : "no result";
}

using Partitions = std::unique_ptr<rd_kafka_topic_partition_list_t,
                                   decltype(&rd_kafka_topic_partition_list_destroy)>;
Partitions one_partition(const std::string& topic, int partition, std::int64_t offset) {
  Partitions list(rd_kafka_topic_partition_list_new(1), rd_kafka_topic_partition_list_destroy);
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = offset;
  return list;
}

std::string first_of(const rd_kafka_group_result_t** groups, std::size_t count,
                     std::int64_t* offset) {
  if (count != 1) return "no result";
  const auto* partitions = rd_kafka_group_result_partitions(groups[0]);
  if (const auto failed = name_of(rd_kafka_group_result_error(groups[0])); !failed.empty())
    return failed;
  if (!partitions || partitions->cnt != 1) return "no partition";
  if (offset) *offset = partitions->elems[0].offset;
  return name_of(partitions->elems[0].err);
}

}  // namespace

Admin::Admin(const std::string& bootstrap) {
  char error[kErrorBytes];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  if (rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap.c_str(), error, sizeof error) !=
      RD_KAFKA_CONF_OK)
    throw std::runtime_error(error);
  client_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
  if (!client_) throw std::runtime_error(error);
  queue_ = rd_kafka_queue_new(client_);
}

Admin::~Admin() {
  rd_kafka_queue_destroy(queue_);
  rd_kafka_destroy(client_);
}

Admin::Event Admin::answer() {
  Event event(rd_kafka_queue_poll(queue_, kHangMs), rd_kafka_event_destroy);
  if (!event) throw std::runtime_error("no answer of the broker");
  return event;
}

std::string Admin::create_topic(const std::string& topic, int partitions,
                                const std::map<std::string, std::string>& configs, int replicas,
                                bool validate_only) {
  char error[kErrorBytes];
  auto* wanted = rd_kafka_NewTopic_new(topic.c_str(), partitions, replicas, error, sizeof error);
  if (!wanted) return error;
  for (const auto& [name, value] : configs)
    rd_kafka_NewTopic_set_config(wanted, name.c_str(), value.c_str());
  auto* options = rd_kafka_AdminOptions_new(client_, RD_KAFKA_ADMIN_OP_CREATETOPICS);
  rd_kafka_AdminOptions_set_validate_only(options, validate_only ? 1 : 0, error, sizeof error);
  rd_kafka_CreateTopics(client_, &wanted, 1, options, queue_);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_NewTopic_destroy(wanted);
  const Event event = answer();
  if (const auto failed = name_of(rd_kafka_event_error(event.get())); !failed.empty())
    return failed;
  std::size_t count = 0;
  const auto* result = rd_kafka_event_CreateTopics_result(event.get());
  const auto** topics = rd_kafka_CreateTopics_result_topics(result, &count);
  return first_of(topics, count);
}

std::string Admin::delete_topic(const std::string& topic) {
  auto* unwanted = rd_kafka_DeleteTopic_new(topic.c_str());
  rd_kafka_DeleteTopics(client_, &unwanted, 1, nullptr, queue_);
  rd_kafka_DeleteTopic_destroy(unwanted);
  const Event event = answer();
  if (const auto failed = name_of(rd_kafka_event_error(event.get())); !failed.empty())
    return failed;
  std::size_t count = 0;
  const auto* result = rd_kafka_event_DeleteTopics_result(event.get());
  const auto** topics = rd_kafka_DeleteTopics_result_topics(result, &count);
  return first_of(topics, count);
}

std::string Admin::create_partitions(const std::string& topic, std::size_t total) {
  char error[kErrorBytes];
  auto* wanted = rd_kafka_NewPartitions_new(topic.c_str(), total, error, sizeof error);
  if (!wanted) return error;
  rd_kafka_CreatePartitions(client_, &wanted, 1, nullptr, queue_);
  rd_kafka_NewPartitions_destroy(wanted);
  const Event event = answer();
  if (const auto failed = name_of(rd_kafka_event_error(event.get())); !failed.empty())
    return failed;
  std::size_t count = 0;
  const auto* result = rd_kafka_event_CreatePartitions_result(event.get());
  const auto** topics = rd_kafka_CreatePartitions_result_topics(result, &count);
  return first_of(topics, count);
}

std::string Admin::delete_records(const std::string& topic, int partition, std::int64_t before) {
  const auto list = one_partition(topic, partition, before);
  auto* unwanted = rd_kafka_DeleteRecords_new(list.get());
  rd_kafka_DeleteRecords(client_, &unwanted, 1, nullptr, queue_);
  rd_kafka_DeleteRecords_destroy(unwanted);
  const Event event = answer();
  if (const auto failed = name_of(rd_kafka_event_error(event.get())); !failed.empty())
    return failed;
  const auto* offsets =
      rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event.get()));
  if (offsets->cnt != 1) return "no result";
  low_watermark_ = offsets->elems[0].offset;
  return name_of(offsets->elems[0].err);
}

std::map<std::string, int> Admin::topics() {
  const struct rd_kafka_metadata* metadata = nullptr;
  const auto error = rd_kafka_metadata(client_, 1, nullptr, &metadata, kHangMs);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(rd_kafka_err2str(error));
  std::map<std::string, int> found;
  for (int i = 0; i < metadata->topic_cnt; ++i)
    found[metadata->topics[i].topic] = metadata->topics[i].partition_cnt;
  rd_kafka_metadata_destroy(metadata);
  return found;
}

bool Admin::becomes(const std::string& topic, int partitions) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kHangMs);
  do {
    const auto now = topics();
    const auto found = now.find(topic);
    if ((found == now.end() ? 0 : found->second) == partitions) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

std::map<std::string, std::string> Admin::describe_configs(rd_kafka_ResourceType_t type,
                                                           const std::string& name) {
  auto* resource = rd_kafka_ConfigResource_new(type, name.c_str());
  rd_kafka_DescribeConfigs(client_, &resource, 1, nullptr, queue_);
  rd_kafka_ConfigResource_destroy(resource);
  const Event event = answer();
  const auto* result = rd_kafka_event_DescribeConfigs_result(event.get());
  std::size_t resources = 0, configs = 0;
  const auto** described = rd_kafka_DescribeConfigs_result_resources(result, &resources);
  std::map<std::string, std::string> found;
  if (resources != 1) return found;
  const auto** entries = rd_kafka_ConfigResource_configs(described[0], &configs);
  for (std::size_t i = 0; i < configs; ++i) {
    const char* value = rd_kafka_ConfigEntry_value(entries[i]);
    found[rd_kafka_ConfigEntry_name(entries[i])] = value ? value : "";
  }
  return found;
}

std::string Admin::alter_configs(const std::string& topic,
                                 const std::map<std::string, std::string>& configs) {
  auto* resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str());
  for (const auto& [name, value] : configs)
    rd_kafka_ConfigResource_set_config(resource, name.c_str(), value.c_str());
  rd_kafka_AlterConfigs(client_, &resource, 1, nullptr, queue_);
  rd_kafka_ConfigResource_destroy(resource);
  const Event event = answer();
  if (const auto failed = name_of(rd_kafka_event_error(event.get())); !failed.empty())
    return failed;
  std::size_t count = 0;
  const auto** altered = rd_kafka_AlterConfigs_result_resources(
      rd_kafka_event_AlterConfigs_result(event.get()), &count);
  return count == 1 ? name_of(rd_kafka_ConfigResource_error(altered[0])) : "no result";
}

std::map<std::string, std::string> Admin::groups() {
  rd_kafka_ListConsumerGroups(client_, nullptr, queue_);
  const Event event = answer();
  std::size_t count = 0;
  const auto** listed = rd_kafka_ListConsumerGroups_result_valid(
      rd_kafka_event_ListConsumerGroups_result(event.get()), &count);
  std::map<std::string, std::string> found;
  for (std::size_t i = 0; i < count; ++i)
    found[rd_kafka_ConsumerGroupListing_group_id(listed[i])] =
        rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupListing_state(listed[i]));
  return found;
}

GroupDescription Admin::describe_group(const std::string& group) {
  const char* name = group.c_str();
  rd_kafka_DescribeConsumerGroups(client_, &name, 1, nullptr, queue_);
  const Event event = answer();
  std::size_t count = 0;
  const auto** groups = rd_kafka_DescribeConsumerGroups_result_groups(
      rd_kafka_event_DescribeConsumerGroups_result(event.get()), &count);
  if (count != 1) return {.error = "no result"};
  return {.error = name_of(rd_kafka_ConsumerGroupDescription_error(groups[0])),
          .state = rd_kafka_consumer_group_state_name(
              rd_kafka_ConsumerGroupDescription_state(groups[0])),
          .assignor = rd_kafka_ConsumerGroupDescription_partition_assignor(groups[0]),
          .members = rd_kafka_ConsumerGroupDescription_member_count(groups[0])};
}

std::string Admin::delete_group(const std::string& group) {
  auto* unwanted = rd_kafka_DeleteGroup_new(group.c_str());
  rd_kafka_DeleteGroups(client_, &unwanted, 1, nullptr, queue_);
  rd_kafka_DeleteGroup_destroy(unwanted);
  const Event event = answer();
  std::size_t count = 0;
  const auto** groups =
      rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event.get()), &count);
  return first_of(groups, count);
}

std::string Admin::commit(const std::string& group, const std::string& topic, std::int64_t offset) {
  const auto list = one_partition(topic, 0, offset);
  auto* wanted = rd_kafka_AlterConsumerGroupOffsets_new(group.c_str(), list.get());
  rd_kafka_AlterConsumerGroupOffsets(client_, &wanted, 1, nullptr, queue_);
  rd_kafka_AlterConsumerGroupOffsets_destroy(wanted);
  const Event event = answer();
  std::size_t count = 0;
  const auto** groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(
      rd_kafka_event_AlterConsumerGroupOffsets_result(event.get()), &count);
  return first_of(groups, count, nullptr);
}

std::int64_t Admin::committed(const std::string& group, const std::string& topic) {
  const auto list = one_partition(topic, 0, RD_KAFKA_OFFSET_INVALID);
  auto* wanted = rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), list.get());
  rd_kafka_ListConsumerGroupOffsets(client_, &wanted, 1, nullptr, queue_);
  rd_kafka_ListConsumerGroupOffsets_destroy(wanted);
  const Event event = answer();
  std::size_t count = 0;
  const auto** groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
      rd_kafka_event_ListConsumerGroupOffsets_result(event.get()), &count);
  std::int64_t offset = 0;
  const auto failed = first_of(groups, count, &offset);
  if (!failed.empty()) throw std::runtime_error(failed);
  return offset;
}

std::string Admin::delete_offsets(const std::string& group, const std::string& topic) {
  const auto list = one_partition(topic, 0, RD_KAFKA_OFFSET_INVALID);
  auto* unwanted = rd_kafka_DeleteConsumerGroupOffsets_new(group.c_str(), list.get());
  rd_kafka_DeleteConsumerGroupOffsets(client_, &unwanted, 1, nullptr, queue_);
  rd_kafka_DeleteConsumerGroupOffsets_destroy(unwanted);
  const Event event = answer();
  std::size_t count = 0;
  const auto** groups = rd_kafka_DeleteConsumerGroupOffsets_result_groups(
      rd_kafka_event_DeleteConsumerGroupOffsets_result(event.get()), &count);
  return first_of(groups, count, nullptr);
}

}  // namespace leat::compat
