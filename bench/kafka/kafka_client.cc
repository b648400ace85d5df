#include "bench/kafka/kafka_client.h"

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>

#include <librdkafka/rdkafka.h>

#include "bench/measure.h"

namespace leat::bench {
namespace {

constexpr int kHangMs = 120'000;
constexpr std::size_t kErrorBytes = 512;

[[noreturn]] void give_up(const std::string& what) {
  throw std::runtime_error("librdkafka: " + what);
}

// What has become of what was sent.
struct Delivered {
  std::uint64_t count = 0;
  rd_kafka_resp_err_t failure = RD_KAFKA_RESP_ERR_NO_ERROR;
};

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  auto& delivered = *static_cast<Delivered*>(opaque);
  ++delivered.count;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) delivered.failure = message->err;
}

using Client = std::unique_ptr<rd_kafka_t, decltype(&rd_kafka_destroy)>;

Client make(rd_kafka_type_t type, const Settings& settings, Delivered* delivered) {
  std::array<char, kErrorBytes> error{};
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  for (const auto& [name, value] : settings)
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error.data(), error.size()) !=
        RD_KAFKA_CONF_OK)
      give_up(error.data());
  if (delivered) {
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, delivered);
  }
  rd_kafka_t* client = rd_kafka_new(type, conf, error.data(), error.size());
  if (!client) give_up(error.data());
  return {client, rd_kafka_destroy};
}

void enqueue(rd_kafka_t* producer, rd_kafka_topic_t* topic, const std::string& value) {
  while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                          const_cast<char*>(value.data()), value.size(), nullptr, 0,
                          nullptr) != 0) {
    const rd_kafka_resp_err_t error = rd_kafka_last_error();
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) give_up(rd_kafka_err2str(error));
    rd_kafka_poll(producer, 100);
  }
  rd_kafka_poll(producer, 0);
}

template <class Work>
Rate measured(std::uint64_t records, Work work) {
  const Used before = used();
  const auto began = Clock::now();
  work();
  const double seconds = seconds_since(began);
  return {static_cast<double>(records) / seconds, (used() - before).cpu_seconds};
}

}  // namespace

Rate kafka_produce(const Settings& settings, const std::string& topic, std::size_t bytes,
                   std::uint64_t records) {
  Delivered delivered;
  const Client producer = make(RD_KAFKA_PRODUCER, settings, &delivered);
  const std::unique_ptr<rd_kafka_topic_t, decltype(&rd_kafka_topic_destroy)> handle(
      rd_kafka_topic_new(producer.get(), topic.c_str(), nullptr), rd_kafka_topic_destroy);
  const std::string value(bytes, 'v');
  const auto wait = [&](std::uint64_t count) {
    if (rd_kafka_flush(producer.get(), kHangMs) != RD_KAFKA_RESP_ERR_NO_ERROR)
      give_up("records are not acknowledged within two minutes");
    if (delivered.failure != RD_KAFKA_RESP_ERR_NO_ERROR)
      give_up(rd_kafka_err2str(delivered.failure));
    if (delivered.count != count) give_up("not every record was reported on");
  };
  enqueue(producer.get(), handle.get(),
          value);  // connections and metadata are not what is measured
  wait(1);
  return measured(records, [&] {
    for (std::uint64_t i = 0; i < records; ++i) enqueue(producer.get(), handle.get(), value);
    wait(1 + records);
  });
}

Rate kafka_consume(const Settings& settings, const std::string& topic, int partitions,
                   std::uint64_t records) {
  Settings all = settings;
  all.emplace("group.id", "bench");
  all.emplace("enable.auto.commit", "false");
  const Client consumer = make(RD_KAFKA_CONSUMER, all, nullptr);
  rd_kafka_poll_set_consumer(consumer.get());
  const std::unique_ptr<rd_kafka_queue_t, decltype(&rd_kafka_queue_destroy)> queue(
      rd_kafka_queue_get_consumer(consumer.get()), rd_kafka_queue_destroy);
  const std::unique_ptr<rd_kafka_topic_partition_list_t,
                        decltype(&rd_kafka_topic_partition_list_destroy)>
      list(rd_kafka_topic_partition_list_new(partitions), rd_kafka_topic_partition_list_destroy);
  for (int i = 0; i < partitions; ++i)
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), i)->offset =
        RD_KAFKA_OFFSET_BEGINNING;
  rd_kafka_assign(consumer.get(), list.get());
  const auto take = [&] {
    std::array<rd_kafka_message_t*, 1'000> messages{};
    const ssize_t count =
        rd_kafka_consume_batch_queue(queue.get(), kHangMs, messages.data(), messages.size());
    if (count <= 0) give_up("no records within two minutes");
    for (ssize_t i = 0; i < count; ++i) {
      rd_kafka_message_t* message = messages[static_cast<std::size_t>(i)];
      if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) give_up(rd_kafka_message_errstr(message));
      rd_kafka_message_destroy(message);
    }
    return static_cast<std::uint64_t>(count);
  };
  // Until the first come it connects, and mostly waits for half a second of its own
  // (librdkafka asks for offsets again then, having had no connection when it was assigned).
  std::uint64_t seen = take();
  const Rate rate = measured(records - std::min(records, seen), [&] {
    while (seen < records) seen += take();
  });
  rd_kafka_consumer_close(consumer.get());
  return rate;
}

}  // namespace leat::bench
