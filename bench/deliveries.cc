// Delivery with acknowledgements over TCP: every record acked on its own, beside the same records
// read without acks in the same run.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <sys/resource.h>

#include "bench/measure.h"
#include "client/blocking.h"
#include "client/client.h"
#include "server/server.h"

namespace leat::bench {
namespace {

constexpr std::size_t kValueBytes = 100;
constexpr std::size_t kOutstanding = 32'000;  // records that all members together may hold

void complain(LogLevel level, std::string_view line) {
  if (level >= LogLevel::kWarning) std::cerr << line << "\n";
}

// Of all threads, broker and clients: says most where other programs want the processors, too.
double processor_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

struct Options {
  bool tmpfs = false, keyed_only = false;
  std::uint64_t records = 2'000'000;
  std::uint64_t keys = 10'000;  // fewer than members hold records: most keys are somebody's
};

class Deliveries {
 public:
  Deliveries(const std::string& directory, const Options& options)
      : server_(must(Server::open(
            {.data_dir = directory + "/data", .listen = {"leat://127.0.0.1:0"}, .log = complain}))),
        url_(server_->listeners().front()),
        records_(options.records),
        keys_(options.keys) {
    std::printf(
        "file system %s, %llu records of %zu B and %llu keys in 8 partitions, load of the machine "
        "%.2f\n\n",
        file_system(directory), static_cast<unsigned long long>(records_), kValueBytes,
        static_cast<unsigned long long>(keys_), load_average());
    produce();
  }

  void run() {
    const double plain = timed("partitioned, committed at the end", [&] { consume_plain(); });
    const double shared = timed("shared, 1 member, each record acked",
                                [&] { consume(GroupKind::kShared, 1, "one"); });
    timed("shared, 16 members, each record acked",
          [&] { consume(GroupKind::kShared, 16, "sixteen"); });
    std::printf("\nshared to partitioned %.2f, key_shared with 16 to shared with 1 %.2f\n",
                shared / plain, keyed() / shared);
  }

  double keyed() {
    return timed("key_shared, 16 members, each record acked",
                 [&] { consume(GroupKind::kKeyShared, 16, "keyed"); });
  }

 private:
  blocking::Client connect() { return must(blocking::Client::connect({.broker = url_})); }

  void produce() {
    auto client = connect();
    must(client.create_topic("load", 8));
    auto producer = must(client.producer(Topic{"load"}));
    const std::string value(kValueBytes, 'v');
    for (std::uint64_t i = 0; i < records_; ++i) {
      const std::string key = std::to_string(i * 7919 % keys_);
      must(producer->send({.key = as_bytes(key), .value = as_bytes(value)}));
    }
    must(producer->flush());
  }

  template <class Work>
  double timed(const char* what, Work work) {
    const std::uint64_t syncs = server_->journal_syncs();
    const auto began = Clock::now();
    const double cpu_began = processor_seconds();
    work();
    const double rate = static_cast<double>(records_) / seconds_since(began);
    std::printf("%-44s %12.0f records/s %6.2f us of CPU each %8llu syncs\n", what, rate,
                (processor_seconds() - cpu_began) * 1e6 / static_cast<double>(records_),
                static_cast<unsigned long long>(server_->journal_syncs() - syncs));
    std::fflush(stdout);
    return rate;
  }

  void consume_plain() {
    auto client = connect();
    auto consumer = must(client.consumer({.topics = {"load"}, .group = Group{"plain"}}));
    for (std::uint64_t seen = 0; seen < records_;)
      seen += must(consumer->poll(std::chrono::seconds(30))).size();
    must(consumer->commit());
  }

  // Until every ack is confirmed.
  void consume(GroupKind kind, int members, const std::string& group) {
    std::atomic<std::uint64_t> acked{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < members; ++i)
      threads.emplace_back([&] {
        auto client = connect();
        ConsumerOptions options{.topics = {"load"}, .group = Group{group}, .kind = kind};
        options.prefetch_records = kOutstanding / static_cast<std::size_t>(members);
        auto consumer = must(client.consumer(options));
        while (acked < records_) {
          const auto records = must(consumer->poll(std::chrono::milliseconds(20)));
          for (const ConsumedRecord& record : records)
            must(consumer->ack_async(record, [&](const Result<>& ok) { acked += ok.has_value(); }));
        }
      });
    for (std::thread& thread : threads) thread.join();
    if (acked != records_) throw std::runtime_error("not every record was acked once");
  }

  std::unique_ptr<Server> server_;
  std::string url_;
  std::uint64_t records_, keys_;
};

}  // namespace
}  // namespace leat::bench

int main(int argc, char** argv) {
  leat::bench::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--tmpfs") {
      options.tmpfs = true;
    } else if (option == "--key-shared") {
      options.keyed_only = true;
    } else if (option == "--records" && i + 1 < argc) {
      options.records = std::stoull(argv[++i]);
    } else if (option == "--keys" && i + 1 < argc) {
      options.keys = std::max(1ull, std::stoull(argv[++i]));
    } else {
      std::cerr << "usage: leat-deliveries [--key-shared] [--records N] [--keys N] [--tmpfs]\n";
      return 2;
    }
  }
  try {
    const leat::bench::WorkDirectory directory(options.tmpfs);
    leat::bench::Deliveries deliveries(directory.path(), options);
    if (options.keyed_only)
      deliveries.keyed();
    else
      deliveries.run();
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench: " << error.what() << "\n";
    return 1;
  }
}
