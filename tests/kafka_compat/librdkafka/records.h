// What is sent and read back byte for byte, and the clients that do it, through librdkafka's C++
// API.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <librdkafka/rdkafkacpp.h>

namespace leat::compat {

struct Sent {
  std::optional<std::string> key, value;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;
  std::int64_t timestamp_ms = 0;

  bool operator==(const Sent&) const = default;
};
void PrintTo(const Sent& sent, std::ostream* out);

// Keys, headers and values that are absent, empty, binary, repeated, large.
std::vector<Sent> odd_records();
// "prefix0", "prefix1", …
std::vector<Sent> plain_records(int count, const std::string& prefix = "value");

using Settings = std::map<std::string, std::string>;

// With idempotence where the settings ask for it; fails the test when it cannot be made.
std::unique_ptr<RdKafka::Producer> producer(const std::string& bootstrap, Settings settings = {});
std::unique_ptr<RdKafka::KafkaConsumer> consumer(const std::string& bootstrap,
                                                 const std::string& group, Settings settings = {},
                                                 RdKafka::RebalanceCb* rebalance = nullptr);

// Counts what became of the records that were sent.
class Reports : public RdKafka::DeliveryReportCb {
 public:
  void dr_cb(RdKafka::Message& message) override;

  int delivered = 0;
  std::vector<RdKafka::ErrorCode> failures;
  std::vector<std::int64_t> offsets;
};

// Sends to one partition and waits for every report.
Reports send(const std::string& bootstrap, const std::string& topic, const std::vector<Sent>& sent,
             Settings settings = {}, int partition = 0);

// Reads `count` records of partition 0 from an offset on (RdKafka::Topic::OFFSET_* too), outside
// any group's assignment.
std::vector<Sent> read(const std::string& bootstrap, const std::string& topic, std::size_t count,
                       std::int64_t from, Settings settings = {});

// The next record, or an error other than having to wait; nothing after a minute.
std::unique_ptr<RdKafka::Message> next(RdKafka::KafkaConsumer& consumer);
Sent as_sent(RdKafka::Message& message);

}  // namespace leat::compat
