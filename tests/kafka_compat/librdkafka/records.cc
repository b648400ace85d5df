#include "tests/kafka_compat/librdkafka/records.h"

#include <chrono>
#include <ostream>

#include <gtest/gtest.h>

#include "tests/kafka_compat/librdkafka/broker.h"

namespace leat::compat {
namespace {

constexpr std::int64_t kFirstTimestamp = 1'700'000'000'000;

std::unique_ptr<RdKafka::Conf> configuration(const Settings& settings) {
  std::unique_ptr<RdKafka::Conf> conf(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
  std::string error;
  for (const auto& [name, value] : settings)
    EXPECT_EQ(conf->set(name, value, error), RdKafka::Conf::CONF_OK) << error;
  return conf;
}

std::optional<std::string> text(const void* data, std::size_t size) {
  if (!data) return std::nullopt;
  return std::string(static_cast<const char*>(data), size);
}

RdKafka::ErrorCode enqueue(RdKafka::Producer& producer, const std::string& topic, int partition,
                           const Sent& sent) {
  auto* headers = RdKafka::Headers::create();
  for (const auto& [name, value] : sent.headers)
    headers->add(name, value ? value->data() : nullptr, value ? value->size() : 0);
  const auto error =
      producer.produce(topic, partition, RdKafka::Producer::RK_MSG_COPY,
                       sent.value ? const_cast<char*>(sent.value->data()) : nullptr,
                       sent.value ? sent.value->size() : 0, sent.key ? sent.key->data() : nullptr,
                       sent.key ? sent.key->size() : 0, sent.timestamp_ms, headers, nullptr);
  if (error != RdKafka::ERR_NO_ERROR) delete headers;  // taken only on success
  return error;
}

}  // namespace

void PrintTo(const Sent& sent, std::ostream* out) {
  const auto show = [&](const std::optional<std::string>& what) {
    if (!what)
      *out << "none";
    else if (what->size() > 40)
      *out << what->size() << " bytes";
    else
      *out << '"' << *what << '"';
  };
  show(sent.key);
  *out << ": ";
  show(sent.value);
  for (const auto& [name, value] : sent.headers) {
    *out << " " << name << "=";
    show(value);
  }
  *out << " at " << sent.timestamp_ms;
}

std::vector<Sent> odd_records() {
  std::string every_byte, noise;
  for (int i = 0; i < 256; ++i) every_byte += static_cast<char>(i);
  std::uint32_t state = 1;
  for (int i = 0; i < 100'000; ++i)
    noise += static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  std::vector<Sent> records = {
      {"key", "value", {}},
      {std::nullopt, "no key", {}},
      {"", "an empty key", {}},
      {"tombstone", std::nullopt, {}},
      {"empty value", "", {}},
      {every_byte, every_byte, {{"binary", every_byte}}},
      {"headers", "value", {{"a", "1"}, {"a", "2"}, {"empty", ""}, {"none", std::nullopt}}},
      {"large, to be compressed", std::string(200'000, 'x'), {}},
      {"large, not to be compressed", noise, {}},
      {"ключ", "значение", {{"заголовок", "да"}}},
  };
  for (std::size_t i = 0; i < records.size(); ++i)
    records[i].timestamp_ms = kFirstTimestamp + static_cast<std::int64_t>(i) * 1'000;
  return records;
}

std::vector<Sent> plain_records(int count, const std::string& prefix) {
  std::vector<Sent> records;
  for (int i = 0; i < count; ++i)
    records.push_back(
        {"key" + std::to_string(i), prefix + std::to_string(i), {}, kFirstTimestamp + i * 1'000});
  return records;
}

std::unique_ptr<RdKafka::Producer> producer(const std::string& bootstrap, Settings settings) {
  settings.emplace("bootstrap.servers", bootstrap);
  settings.emplace("message.timeout.ms", std::to_string(kHangMs));
  std::string error;
  std::unique_ptr<RdKafka::Producer> made(
      RdKafka::Producer::create(configuration(settings).get(), error));
  EXPECT_TRUE(made) << error;
  return made;
}

std::unique_ptr<RdKafka::KafkaConsumer> consumer(const std::string& bootstrap,
                                                 const std::string& group, Settings settings,
                                                 RdKafka::RebalanceCb* rebalance) {
  settings.emplace("bootstrap.servers", bootstrap);
  settings.emplace("group.id", group);
  settings.emplace("enable.auto.commit", "false");
  settings.emplace("auto.offset.reset", "earliest");
  const auto conf = configuration(settings);
  std::string error;
  if (rebalance) conf->set("rebalance_cb", rebalance, error);
  std::unique_ptr<RdKafka::KafkaConsumer> made(RdKafka::KafkaConsumer::create(conf.get(), error));
  EXPECT_TRUE(made) << error;
  return made;
}

void Reports::dr_cb(RdKafka::Message& message) {
  if (message.err() != RdKafka::ERR_NO_ERROR) {
    failures.push_back(message.err());
    return;
  }
  ++delivered;
  offsets.push_back(message.offset());
}

Reports send(const std::string& bootstrap, const std::string& topic, const std::vector<Sent>& sent,
             Settings settings, int partition) {
  Reports reports;
  settings.emplace("bootstrap.servers", bootstrap);
  settings.emplace("message.timeout.ms", std::to_string(kHangMs));
  const auto conf = configuration(settings);
  std::string error;
  conf->set("dr_cb", static_cast<RdKafka::DeliveryReportCb*>(&reports), error);
  std::unique_ptr<RdKafka::Producer> producer(RdKafka::Producer::create(conf.get(), error));
  EXPECT_TRUE(producer) << error;
  for (const Sent& record : sent)
    if (const auto failed = enqueue(*producer, topic, partition, record);
        failed != RdKafka::ERR_NO_ERROR)
      reports.failures.push_back(failed);
  EXPECT_EQ(producer->flush(kHangMs), RdKafka::ERR_NO_ERROR);
  return reports;
}

std::unique_ptr<RdKafka::Message> next(RdKafka::KafkaConsumer& consumer) {
  std::unique_ptr<RdKafka::Message> message;
  do message.reset(consumer.consume(kHangMs));
  while (message->err() == RdKafka::ERR__PARTITION_EOF);
  return message;
}

Sent as_sent(RdKafka::Message& message) {
  Sent sent{text(message.key_pointer(), message.key_len()),
            text(message.payload(), message.len()),
            {},
            message.timestamp().timestamp};
  if (RdKafka::Headers* headers = message.headers())
    for (const RdKafka::Headers::Header& header : headers->get_all())
      sent.headers.emplace_back(header.key(), text(header.value(), header.value_size()));
  return sent;
}

std::vector<Sent> read(const std::string& bootstrap, const std::string& topic, std::size_t count,
                       std::int64_t from, Settings settings) {
  settings.emplace("check.crcs", "true");
  const auto reader = consumer(bootstrap, "reads-by-hand", settings);
  const std::unique_ptr<RdKafka::TopicPartition> at(
      RdKafka::TopicPartition::create(topic, 0, from));
  EXPECT_EQ(reader->assign({at.get()}), RdKafka::ERR_NO_ERROR);
  std::vector<Sent> found;
  while (found.size() < count) {
    const auto message = next(*reader);
    if (message->err() != RdKafka::ERR_NO_ERROR) {
      ADD_FAILURE() << message->errstr();
      break;
    }
    found.push_back(as_sent(*message));
  }
  reader->close();
  return found;
}

}  // namespace leat::compat
