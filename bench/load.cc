// Durable produce and consume over TCP on this machine's disk, each beside what the disk gives.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "bench/depth_one.h"
#include "bench/measure.h"
#include "client/blocking.h"
#include "server/server.h"

namespace leat::bench {
namespace {

// What a program gets that appends 4 KiB and syncs, once per record.
double fdatasyncs_per_second(const std::string& directory) {
  const std::string path = directory + "/baseline";
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  const std::string block(4096, 'b');
  const auto began = Clock::now();
  int writes = 0;
  for (; seconds_since(began) < 1; ++writes)
    if (::write(fd, block.data(), block.size()) != 4096 || ::fdatasync(fd) != 0)
      throw std::runtime_error("writing " + path);
  const double rate = writes / seconds_since(began);
  ::close(fd);
  ::unlink(path.c_str());
  return rate;
}

void complain(LogLevel level, std::string_view line) {
  if (level >= LogLevel::kWarning) std::cerr << line << "\n";
}

struct Kinds {
  std::string reactor = "auto", journal = "auto";
  bool tmpfs = false;
};

class Load {
 public:
  Load(const std::string& directory, const Kinds& kinds)
      : server_(must(Server::open({.data_dir = directory + "/data",
                                   .listen = {"leat://127.0.0.1:0"},
                                   .reactor = kinds.reactor,
                                   .journal = kinds.journal,
                                   .log = complain}))),
        url_(server_->listeners().front()),
        baseline_(fdatasyncs_per_second(directory)) {
    std::printf("file system %s, reactor %s, journal %s, append + fdatasync of 4 KiB: %.0f/s\n\n",
                file_system(directory), server_->reactor().c_str(), server_->journal().c_str(),
                baseline_);
    std::printf("%-48s %12s %10s %14s %14s %12s\n", "", "records/s", "MB/s", "syncs/record",
                "calls/record", "x fdatasync");
  }

  void produce(const std::string& topic, std::size_t bytes, std::uint64_t records) {
    auto client = connect();
    must(client.create_topic(topic, 1));
    auto producer = must(client.producer(Topic{topic}));
    const std::string value(bytes, 'v');
    measure("pipelined durable produce, " + std::to_string(bytes) + " B, 1 connection", bytes,
            records, [&] {
              for (std::uint64_t i = 0; i < records; ++i)
                must(producer->send({.value = as_bytes(value)}));
              must(producer->flush());
            });
  }

  void single_acks(int connections, std::uint64_t each) {
    constexpr int kPartitions = 8;
    auto admin = connect();
    const std::string topic = "single" + std::to_string(connections);
    const TopicId id = must(admin.create_topic(topic, kPartitions)).id;
    DepthOne load(url_, id, kPartitions, connections, 1024);
    measure("durable acks at depth 1, 1024 B, " + std::to_string(connections) + " connections",
            1024, each * static_cast<std::uint64_t>(connections), [&] { load.run(each); });
  }

  // Again and again what the broker still has in memory.
  void consume_tail(std::size_t bytes, std::uint64_t records, int passes) {
    auto client = connect();
    must(client.create_topic("tail", 1));
    auto producer = must(client.producer(Topic{"tail"}));
    const std::string value(bytes, 'v');
    for (std::uint64_t i = 0; i < records; ++i) must(producer->send({.value = as_bytes(value)}));
    must(producer->flush());
    auto consumer = must(client.consumer({.topics = {"tail"}}));
    const auto read_all = [&] {
      for (std::uint64_t seen = 0; seen < records;)
        seen += must(consumer->poll(std::chrono::seconds(30))).size();
      must(consumer->seek({"tail", PartitionIndex(0)}, Offset(0)));
    };
    read_all();
    measure("tail consume, broker and client, " + std::to_string(bytes) + " B", bytes,
            records * static_cast<std::uint64_t>(passes), [&] {
              for (int i = 0; i < passes; ++i) read_all();
            });
  }

  void consume(const std::string& topic, const char* what, std::size_t bytes,
               std::uint64_t records) {
    auto client = connect();
    auto consumer = must(client.consumer({.topics = {topic}}));
    measure(std::string(what) + ", " + std::to_string(bytes) + " B", bytes, records, [&] {
      for (std::uint64_t seen = 0; seen < records;)
        seen += must(consumer->poll(std::chrono::seconds(30))).size();
    });
  }

 private:
  blocking::Client connect() { return must(blocking::Client::connect({.broker = url_})); }

  template <class Work>
  void measure(const std::string& what, std::size_t bytes, std::uint64_t records, Work work) {
    const std::uint64_t syncs = server_->journal_syncs(), calls = server_->system_calls();
    const auto began = Clock::now();
    work();
    const double seconds = seconds_since(began), count = static_cast<double>(records);
    std::printf("%-48s %12.0f %10.1f %14.4f %14.4f %12.1f\n", what.c_str(), count / seconds,
                count / seconds * static_cast<double>(bytes) / 1e6,
                static_cast<double>(server_->journal_syncs() - syncs) / count,
                static_cast<double>(server_->system_calls() - calls) / count,
                count / seconds / baseline_);
    std::fflush(stdout);
  }

  std::unique_ptr<Server> server_;
  std::string url_;
  double baseline_;
};

void run(const Kinds& kinds) {
  const WorkDirectory directory(kinds.tmpfs);
  Load load(directory.path(), kinds);
  load.produce("small", 100, 2'000'000);
  load.produce("large", 1024, 1'000'000);
  load.single_acks(1, 2'000);
  load.single_acks(16, 4'000);
  load.single_acks(64, 4'000);
  load.consume_tail(1024, 30'000, 20);
  load.consume("small", "catch-up consume, broker and client", 100, 2'000'000);
  load.consume("large", "catch-up consume, broker and client", 1024, 1'000'000);
}

}  // namespace
}  // namespace leat::bench

int main(int argc, char** argv) {
  leat::bench::Kinds kinds;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const bool valued = i + 1 < argc;
    if (option == "--tmpfs") {
      kinds.tmpfs = true;
    } else if (option == "--reactor" && valued) {
      kinds.reactor = argv[++i];
    } else if (option == "--journal" && valued) {
      kinds.journal = argv[++i];
    } else {
      std::cerr << "usage: leat-load [--reactor auto|uring|epoll] [--journal auto|uring|thread] "
                   "[--tmpfs]\n";
      return 2;
    }
  }
  try {
    leat::bench::run(kinds);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench: " << error.what() << "\n";
    return 1;
  }
}
