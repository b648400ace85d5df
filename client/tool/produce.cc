#include <atomic>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>

#include "client/tool/progress.h"
#include "client/tool/tool.h"

namespace leat::tool {
namespace {

constexpr std::string_view kNumber = "{n}";  // in an id: which record it is, from 1
constexpr std::int64_t kMostMs = std::int64_t{3'650} * 86'400'000;

struct ProduceArguments {
  std::string topic;
  std::vector<std::string> values;
  std::string file, key_delimiter;
  std::optional<std::string> key;
  std::vector<std::string> headers;
  std::optional<std::int32_t> partition;
  std::optional<std::string> id;
  std::optional<std::int64_t> delay_ms, ttl_ms;
  std::string compression = "none";
  std::int64_t linger_ms = 5;
  std::size_t batch_bytes = 256 << 10;
};

// What became of the records, told by handlers on the client's thread.
struct Outcome {
  std::mutex mutex;
  std::uint64_t acknowledged = 0, known = 0, failed = 0;
  std::uint64_t first_failed = 0;
  std::optional<Error> error;

  void take(std::uint64_t number, const Result<Ack>& ack) {
    const std::lock_guard lock(mutex);
    if (ack) {
      ++acknowledged;
      known += ack->duplicate;
    } else if (++failed == 1) {
      first_failed = number;
      error = ack.error();
    }
  }
};

std::string id_of(std::string text, std::uint64_t number) {
  const std::string digits = std::to_string(number);
  for (std::size_t at = 0; (at = text.find(kNumber, at)) != std::string::npos; at += digits.size())
    text.replace(at, kNumber.size(), digits);
  return text;
}

class Sender {
 public:
  Sender(blocking::Producer& producer, const ProduceArguments& arguments,
         std::optional<std::uint64_t> total_bytes)
      : producer_(producer), arguments_(arguments), progress_(stderr, clock_, total_bytes) {
    for (const std::string& header : arguments.headers) {
      const std::size_t equals = header.find('=');
      headers_.push_back({std::string_view(header).substr(0, equals),
                          as_bytes(std::string_view(header).substr(equals + 1))});
    }
  }

  Result<> send(std::string_view line) {
    OutgoingRecord record;
    std::string_view value = line;
    if (arguments_.key) record.key = as_bytes(*arguments_.key);
    if (!arguments_.key_delimiter.empty()) {
      const std::size_t at = line.find(arguments_.key_delimiter);
      if (at != std::string_view::npos) {
        record.key = as_bytes(line.substr(0, at));
        value = line.substr(at + arguments_.key_delimiter.size());
      }
    }
    record.value = as_bytes(value);
    record.headers = headers_;
    if (arguments_.partition) record.partition = PartitionIndex(*arguments_.partition);
    if (arguments_.delay_ms) record.delay = std::chrono::milliseconds(*arguments_.delay_ms);
    if (arguments_.ttl_ms) record.ttl = std::chrono::milliseconds(*arguments_.ttl_ms);
    const std::uint64_t number = ++sent_;
    std::string id;
    if (arguments_.id) {
      id = id_of(*arguments_.id, number);
      record.id = as_bytes(id);
    }
    sent_bytes_ += line.size() + 1;
    progress_.records(sent_, sent_bytes_);
    return producer_.send(record,
                          [this, number](const Result<Ack>& ack) { outcome_.take(number, ack); });
  }

  int finish(const Result<>& sent) {
    const auto flushed = wait_for_acks();
    progress_.clear();
    const std::lock_guard lock(outcome_.mutex);
    std::cerr << "leat: " << outcome_.acknowledged << " acknowledged";
    if (arguments_.id && outcome_.known > 0)
      std::cerr << ", " << outcome_.known << " of them known already";
    if (outcome_.failed > 0) std::cerr << ", " << outcome_.failed << " failed";
    std::cerr << "\n";
    if (!sent) return failed("record " + std::to_string(sent_), sent.error());
    if (outcome_.error)
      return failed("record " + std::to_string(outcome_.first_failed), *outcome_.error);
    if (flushed || interrupted()) {
      if (!flushed) std::cerr << "leat: interrupted; what was not acknowledged may be lost\n";
      return interrupted();
    }
    return failed("produce", flushed.error());
  }

 private:
  // Until all is settled; after a signal only a little longer, for what is on its way.
  Result<> wait_for_acks() {
    for (int left = kSlicesAfterSignal;;) {
      auto flushed = producer_.flush(kSignalSlice);
      if (flushed || (interrupted() && --left < 0)) return flushed;
    }
  }

  blocking::Producer& producer_;
  const ProduceArguments& arguments_;
  std::vector<RecordHeader> headers_;
  std::uint64_t sent_ = 0, sent_bytes_ = 0;
  SystemClock clock_;
  Progress progress_;
  Outcome outcome_;
};

// What there is to send, where that is known: a file of a certain size.
std::optional<std::uint64_t> bytes_in(const std::string& file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) return std::nullopt;
  const auto bytes = std::filesystem::file_size(file, error);
  return error ? std::nullopt : std::optional<std::uint64_t>(bytes);
}

Result<> send_lines(Sender& sender, std::istream& lines) {
  std::string line;
  while (!interrupted() && std::getline(lines, line))
    if (auto ok = sender.send(line); !ok) return ok;
  return {};
}

int produce(const Context& context, const ProduceArguments& arguments) {
  if (arguments.id && arguments.values.size() != 1 &&
      arguments.id->find(kNumber) == std::string::npos)
    return usage_failed(
        "--id of several records needs {n}, the record's number, as in 'order-{n}'; "
        "one record is given as an argument");
  std::ifstream file;
  if (!arguments.file.empty()) {
    file.open(arguments.file);
    if (!file) return failed("produce", {ErrorCode::kNotFound, "cannot read " + arguments.file});
  }
  auto client = context.connect();
  if (!client) return failed("produce", client.error());
  auto producer = client->producer(
      Topic{arguments.topic}, {.linger = std::chrono::milliseconds(arguments.linger_ms),
                               .batch_bytes = arguments.batch_bytes,
                               .compression = compression_named(arguments.compression).value()});
  if (!producer) return failed("produce", producer.error());
  Sender sender(**producer, arguments, bytes_in(arguments.file));
  Result<> sent;
  for (const std::string& value : arguments.values)
    if (sent) sent = sender.send(value);
  if (arguments.values.empty()) sent = send_lines(sender, arguments.file.empty() ? std::cin : file);
  const int status = sender.finish(sent);
  producer->reset();  // its last handlers still refer to the sender
  return status;
}

std::string check_header(const std::string& header) {
  return header.find('=') == std::string::npos ? "a header is KEY=VALUE" : "";
}

}  // namespace

void add_produce(CLI::App& app, Context& context, Run& run) {
  auto* verb = app.add_subcommand(
      "produce", "send records: the arguments, or else the lines of standard input or a file");
  auto arguments = std::make_shared<ProduceArguments>();
  verb->add_option("TOPIC", arguments->topic)->required();
  auto* values = verb->add_option("VALUE", arguments->values);
  verb->add_option("-f,--file", arguments->file, "send its lines")->excludes(values);
  auto* key = verb->add_option("-k,--key", arguments->key, "of every record");
  verb->add_option("--key-delimiter", arguments->key_delimiter,
                   "what stands before it is the record's key")
      ->excludes(key);
  verb->add_option("-H,--header", arguments->headers, "KEY=VALUE, repeatable")
      ->allow_extra_args(false)
      ->check(check_header);
  verb->add_option("--partition", arguments->partition, "instead of the key's");
  verb->add_option(
          "--id", arguments->id,
          "by which the broker knows a record that comes again, and does not store it; {n} "
          "in it is the record's number from 1")
      ->type_name("TEXT");
  constexpr const char* kTime = "a duration up to 3650d, such as 500ms, 10s or 7d";
  verb->add_option("--delay", arguments->delay_ms,
                   "how long shared and key_shared groups are not given the records, e.g. 10m")
      ->transform(durations(kMostMs, kTime))
      ->type_name("TIME");
  verb->add_option("--ttl", arguments->ttl_ms,
                   "how long they are given them, e.g. 1h; what expires counts as done")
      ->transform(durations(kMostMs, kTime))
      ->type_name("TIME");
  verb->add_option("--linger", arguments->linger_ms,
                   "how long a batch waits for company, e.g. 20ms (default: 5ms)")
      ->transform(durations())
      ->type_name("TIME");
  verb->add_option("--batch-bytes", arguments->batch_bytes,
                   "of a batch before it is compressed, e.g. 64KiB (default: 256KiB)")
      ->transform(sizes(64 << 20, "a size up to 64MiB, such as 64KiB"))
      ->type_name("SIZE");
  verb->add_option("--compression", arguments->compression,
                   "of whole batches: none, gzip, snappy, lz4 or zstd (default: none)")
      ->check(CLI::IsMember({"none", "gzip", "snappy", "lz4", "zstd"}));
  verb->callback(
      [&, arguments] { run = [&context, arguments] { return produce(context, *arguments); }; });
}

}  // namespace leat::tool
