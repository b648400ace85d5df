#include "server/c/leat.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "server/server.h"

// The handles: what C sees as incomplete types.
struct leat_server {
  std::unique_ptr<leat::Server> server;
  std::string listener;
};

struct leat_client {
  explicit leat_client(leat::blocking::Client c) : client(std::move(c)) {}
  leat::blocking::Client client;
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<leat::blocking::Producer>, std::less<>>
      producers;  // by topic
};

struct leat_consumer {
  std::unique_ptr<leat::blocking::Consumer> consumer;
  std::vector<leat_record> records;  // what the last poll returned
  std::vector<leat_header> headers;
};

namespace {

using leat::Error;
using leat::ErrorCode;
using leat::Result;

static_assert(LEAT_ERROR_STALE_EPOCH == static_cast<int>(ErrorCode::kStaleEpoch) &&
              LEAT_ERROR_USAGE == static_cast<int>(ErrorCode::kUsage) &&
              LEAT_ERROR_NO_SPACE == static_cast<int>(ErrorCode::kNoSpace) &&
              LEAT_ERROR_UNKNOWN_TOPIC == static_cast<int>(ErrorCode::kUnknownTopic));

std::int32_t told(const Error& why, leat_error* error) {
  const auto code = static_cast<std::int32_t>(why.code);
  if (error) {
    const std::string text = why.message();
    const std::size_t size = std::min(text.size(), sizeof error->text - 1);
    error->code = code;
    std::memcpy(error->text, text.data(), size);
    error->text[size] = '\0';
  }
  return code;
}

// Exceptions stop here: only memory that runs out should throw one.
template <class Work>
std::int32_t guarded(leat_error* error, Work work) noexcept {
  try {
    const Result<> done = work();
    if (!done) return told(done.error(), error);
    if (error) {
      error->code = 0;
      error->text[0] = '\0';
    }
    return LEAT_OK;
  } catch (const std::exception& thrown) {
    if (error) {
      error->code = LEAT_ERROR_INTERNAL;
      std::strncpy(error->text, thrown.what(), sizeof error->text - 1);
      error->text[sizeof error->text - 1] = '\0';
    }
    return LEAT_ERROR_INTERNAL;
  }
}

tl::unexpected<Error> usage(const char* what) {
  return leat::fail(ErrorCode::kUsage, what);
}

std::string_view text_of(const leat_bytes& bytes) {
  return {static_cast<const char*>(bytes.data), bytes.data ? bytes.size : 0};
}

std::optional<leat::Bytes> bytes_of(const leat_bytes& bytes) {
  if (!bytes.data) return std::nullopt;
  return leat::Bytes(static_cast<const std::byte*>(bytes.data), bytes.size);
}

leat_bytes from(std::string_view text) {
  return {text.data(), text.size()};
}

// An empty value may have no address; for C that would be an absent one.
leat_bytes from(const std::optional<leat::Bytes>& bytes) {
  if (!bytes) return {nullptr, 0};
  return {bytes->empty() ? static_cast<const void*>("") : bytes->data(), bytes->size()};
}

leat::ServerOptions options_of(const leat_server_options& given) {
  leat::ServerOptions options{.data_dir = std::string(text_of(given.data_dir))};
  if (given.listen.data) options.listen.emplace_back(text_of(given.listen));
  if (given.memory_bytes > 0) options.memory_bytes = given.memory_bytes;
  options.limits.broker.max_stored_bytes = given.max_stored_bytes;
  if (given.log)
    options.log = [log = given.log, context = given.log_context](leat::LogLevel level,
                                                                 std::string_view line) {
      log(context, static_cast<leat_log_level>(level), from(line));
    };
  options.on_assert = given.on_assert;
  return options;
}

// Made without the lock: another topic's sends need not wait for the broker's answer.
Result<std::shared_ptr<leat::blocking::Producer>> producer_of(leat_client& client,
                                                              std::string_view topic) {
  const auto find = [&] {
    const std::lock_guard lock(client.mutex);
    const auto known = client.producers.find(topic);
    return known == client.producers.end() ? nullptr : known->second;
  };
  if (auto known = find()) return known;
  auto made = client.client.producer(leat::Topic{std::string(topic)},
                                     {.linger = std::chrono::milliseconds(0)});
  if (!made) return leat::fail(made.error());
  const std::lock_guard lock(client.mutex);
  return client.producers.try_emplace(std::string(topic), std::move(*made)).first->second;
}

leat::OutgoingRecord outgoing(const leat_record& record) {
  leat::OutgoingRecord to_send{.key = bytes_of(record.key), .value = bytes_of(record.value)};
  for (std::size_t i = 0; i < record.header_count; ++i)
    to_send.headers.push_back({text_of(record.headers[i].name), bytes_of(record.headers[i].value)});
  if (record.partition != LEAT_ANY_PARTITION)
    to_send.partition = leat::PartitionIndex(record.partition);
  if (record.timestamp_ms != 0) to_send.timestamp_ms = record.timestamp_ms;
  return to_send;
}

void show(std::span<const leat::ConsumedRecord> polled, leat_consumer& consumer) {
  consumer.records.clear();
  consumer.headers.clear();
  std::size_t headers = 0;
  for (const auto& record : polled) headers += record.headers.size();
  consumer.headers.reserve(headers);  // records point into it
  for (const auto& record : polled) {
    leat_record shown{from(record.key),
                      from(record.value),
                      consumer.headers.data() + consumer.headers.size(),
                      record.headers.size(),
                      record.partition.value,
                      record.offset.value,
                      record.timestamp_ms};
    for (const auto& header : record.headers)
      consumer.headers.push_back({from(header.key), from(header.value)});
    consumer.records.push_back(shown);
  }
}

}  // namespace

const char* leat_error_name(std::int32_t code) {
  return leat::error_info(static_cast<ErrorCode>(code)).name.data();  // a literal: terminated
}

int leat_error_retryable(std::int32_t code) {
  return leat::error_info(static_cast<ErrorCode>(code)).retryable;
}

const char* leat_version(void) {
  return leat::version().data();  // a literal: terminated
}

std::int32_t leat_open(const leat_server_options* options, leat_server** server,
                       leat_error* error) {
  return guarded(error, [&]() -> Result<> {
    if (!options || !server) return usage("leat_open: options and server must not be NULL");
    if (options->struct_size < sizeof(leat_server_options))
      return usage("leat_open: begin the options with LEAT_SERVER_OPTIONS");
    auto opened = leat::Server::open(options_of(*options));
    if (!opened) return leat::fail(opened.error());
    auto handle = std::make_unique<leat_server>();
    handle->server = std::move(*opened);
    if (const auto urls = handle->server->listeners(); !urls.empty())
      handle->listener = urls.front();
    *server = handle.release();
    return {};
  });
}

leat_bytes leat_listener(const leat_server* server) {
  if (!server || server->listener.empty()) return {nullptr, 0};
  return from(server->listener);
}

void leat_close(leat_server* server) {
  delete server;
}

std::int32_t leat_connect_local(leat_server* server, leat_client** client, leat_error* error) {
  return guarded(error, [&]() -> Result<> {
    if (!server || !client) return usage("leat_connect_local: neither argument may be NULL");
    auto connected = server->server->connect_local({.client_name = "leat-c"});
    if (!connected) return leat::fail(connected.error());
    *client = new leat_client(std::move(*connected));
    return {};
  });
}

std::int32_t leat_connect(leat_bytes url, leat_client** client, leat_error* error) {
  return guarded(error, [&]() -> Result<> {
    if (!client) return usage("leat_connect: client must not be NULL");
    auto connected = leat::blocking::Client::connect(
        {.broker = std::string(text_of(url)), .client_name = "leat-c"});
    if (!connected) return leat::fail(connected.error());
    *client = new leat_client(std::move(*connected));
    return {};
  });
}

void leat_disconnect(leat_client* client) {
  delete client;
}

std::int32_t leat_create_topic(leat_client* client, leat_bytes topic, std::int32_t partitions,
                               int if_not_exists, leat_error* error) {
  return guarded(error, [&]() -> Result<> {
    if (!client) return usage("leat_create_topic: client must not be NULL");
    auto created = client->client.create_topic(text_of(topic), partitions, if_not_exists != 0);
    if (!created) return leat::fail(created.error());
    return {};
  });
}

std::int32_t leat_produce(leat_client* client, leat_bytes topic, const leat_record* record,
                          leat_ack* ack, leat_error* error) {
  return guarded(error, [&]() -> Result<> {
    if (!client || !record) return usage("leat_produce: client and record must not be NULL");
    if (record->header_count > 0 && !record->headers)
      return usage("leat_produce: header_count is not 0 and headers is NULL");
    auto producer = producer_of(*client, text_of(topic));
    if (!producer) return leat::fail(producer.error());
    const auto stored = (*producer)->send_and_wait(outgoing(*record));
    if (!stored) return leat::fail(stored.error());
    if (ack) *ack = {stored->partition.value, stored->offset.value};
    return {};
  });
}

std::int32_t leat_subscribe(leat_client* client, leat_bytes topic, leat_bytes group,
                            leat_start start, leat_consumer** consumer, leat_error* error) {
  return guarded(error, [&]() -> Result<> {
    if (!client || !consumer) return usage("leat_subscribe: client and consumer must not be NULL");
    leat::ConsumerOptions options{.topics = {std::string(text_of(topic))}};
    if (group.data) options.group = leat::Group{std::string(text_of(group))};
    if (start == LEAT_LATEST) options.start = leat::StartFrom::latest();
    auto made = client->client.consumer(std::move(options));
    if (!made) return leat::fail(made.error());
    auto handle = std::make_unique<leat_consumer>();
    handle->consumer = std::move(*made);
    *consumer = handle.release();
    return {};
  });
}

std::int32_t leat_poll(leat_consumer* consumer, std::int32_t timeout_ms,
                       const leat_record** records, std::size_t* count, leat_error* error) {
  return guarded(error, [&]() -> Result<> {
    if (!consumer || !records || !count)
      return usage("leat_poll: consumer, records and count must not be NULL");
    const auto polled =
        consumer->consumer->poll(std::chrono::milliseconds(std::max(timeout_ms, 0)));
    if (!polled) return leat::fail(polled.error());
    show(*polled, *consumer);
    *records = consumer->records.data();
    *count = consumer->records.size();
    return {};
  });
}

std::int32_t leat_commit(leat_consumer* consumer, leat_error* error) {
  return guarded(error, [&]() -> Result<> {
    if (!consumer) return usage("leat_commit: consumer must not be NULL");
    return consumer->consumer->commit();
  });
}

void leat_unsubscribe(leat_consumer* consumer) {
  delete consumer;
}
