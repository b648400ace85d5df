// librdkafka's admin interface, which only its C API has, as plain calls. Each answers "" or the
// error's name (ERR_…, without its prefix), and waits for at most a minute.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <librdkafka/rdkafka.h>

namespace leat::compat {

struct GroupDescription {
  std::string error, state, assignor;
  std::size_t members = 0;
};

class Admin {
 public:
  explicit Admin(const std::string& bootstrap);
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  std::string create_topic(const std::string& topic, int partitions,
                           const std::map<std::string, std::string>& configs = {}, int replicas = 1,
                           bool validate_only = false);
  std::string delete_topic(const std::string& topic);
  std::string create_partitions(const std::string& topic, std::size_t total);
  std::string delete_records(const std::string& topic, int partition, std::int64_t before);
  // The low watermark that the last delete_records() was answered with.
  std::int64_t low_watermark() const { return low_watermark_; }

  // Topics by name with their number of partitions.
  std::map<std::string, int> topics();
  // Waits until the topic has so many partitions, or with 0 is gone: a Kafka broker answers from a
  // view of the cluster that is a moment behind. False after a minute.
  [[nodiscard]] bool becomes(const std::string& topic, int partitions);
  // All configs of a topic or broker; empty with an error.
  std::map<std::string, std::string> describe_configs(rd_kafka_ResourceType_t type,
                                                      const std::string& name);
  std::string alter_configs(const std::string& topic,
                            const std::map<std::string, std::string>& configs);

  // Groups by name with their state.
  std::map<std::string, std::string> groups();
  GroupDescription describe_group(const std::string& group);
  std::string delete_group(const std::string& group);
  std::string commit(const std::string& group, const std::string& topic, std::int64_t offset);
  // What the group has committed of partition 0; RD_KAFKA_OFFSET_INVALID for nothing.
  std::int64_t committed(const std::string& group, const std::string& topic);
  std::string delete_offsets(const std::string& group, const std::string& topic);

 private:
  using Event = std::unique_ptr<rd_kafka_event_t, decltype(&rd_kafka_event_destroy)>;
  // The answer to the one request that is on its way.
  Event answer();

  rd_kafka_t* client_ = nullptr;
  rd_kafka_queue_t* queue_ = nullptr;
  std::int64_t low_watermark_ = -1;
};

}  // namespace leat::compat
