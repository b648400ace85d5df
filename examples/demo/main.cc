// ./dev demo: real records through a broker that is killed twice, read by two consumers of one
// group, of which one is killed too. Ends with a ledger that accounts for every record.
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/blocking.h"
#include "examples/demo/ledger.h"
#include "examples/demo/process.h"
#include "examples/demo/real_input.h"

namespace leat::demo {
namespace {

using std::chrono::steady_clock;

constexpr auto kHang = std::chrono::seconds(60);
constexpr std::size_t kLogLines = 20'000;
constexpr std::uint64_t kWindow =
    256;  // unacknowledged records, so that the kills find work going on
constexpr const char* kTopic = "inventory";
constexpr const char* kGroup = "auditors";

template <class T>
T must(Result<T> result, const std::string& doing) {
  if (!result) throw std::runtime_error(doing + ": " + result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

volatile sig_atomic_t g_stop = 0;

// ---- a consumer process: prints "partition offset number key" of each record, then commits ----

int consume(const std::string& url, int first, int last) {
  ::signal(SIGTERM, [](int) { g_stop = 1; });
  auto client = must(blocking::Client::connect({.broker = url}), "connecting");
  ConsumerOptions options{.topics = {kTopic}, .group = Group{kGroup}};
  for (int i = first; i <= last; ++i) options.partitions.emplace_back(i);
  options.fetch_bytes = 16 << 10;  // small bites, so that a kill falls between two commits
  auto consumer = must(client.consumer(options), "consuming");
  std::puts("ready");
  std::fflush(stdout);
  while (!g_stop) {
    const auto records = must(consumer->poll(std::chrono::milliseconds(100)), "polling");
    std::string lines;
    for (const ConsumedRecord& record : records) {
      lines +=
          std::to_string(record.partition.value) + " " + std::to_string(record.offset.value) + " ";
      if (const auto number = record.headers.find("number")) lines += as_text(*number->value);
      lines.append(" ").append(as_text(record.key.value_or(Bytes()))).append("\n");
    }
    std::fwrite(lines.data(), 1, lines.size(), stdout);
    std::fflush(stdout);
    if (!records.empty()) must(consumer->commit(), "committing");
  }
  return 0;
}

// ---- the story ----

class Demo {
 public:
  Demo(std::string leatd, std::string self) : leatd_(std::move(leatd)), self_(std::move(self)) {
    std::string path = std::filesystem::temp_directory_path() / "leat-demo-XXXXXX";
    if (!::mkdtemp(path.data())) throw std::runtime_error("cannot create " + path);
    directory_ = path;
  }
  ~Demo() {
    for (auto& reader : readers_) reader->finish();
    broker_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  int run() {
    load();
    start_broker("leat://127.0.0.1:0");
    auto client = must(blocking::Client::connect({.broker = url_}), "connecting");
    must(client.create_topic(kTopic, 8), "creating the topic");
    start_consumer(0, 3);
    start_consumer(4, 7);
    auto producer =
        must(client.producer(Topic{kTopic}, {.linger = std::chrono::milliseconds(2)}), "producing");
    const auto began = steady_clock::now();
    produce(*producer);
    must(producer->flush(kHang), "waiting for the last acknowledgements");
    wait_until([this] { return ledger_.first_receptions() == input_.size(); });
    return conclude(std::chrono::duration<double>(steady_clock::now() - began).count());
  }

 private:
  // Reads one consumer's lines into the ledger.
  struct Reader {
    Reader(Demo& demo, const std::vector<std::string>& command, int from, int to)
        : first(from),
          last(to),
          process(command, demo.directory_ + "/consumer.log"),
          thread([this, &demo] {
            for (std::string line; process.read_line(line);) demo.received(*this, line);
          }) {}
    void finish(int signal = SIGKILL) {
      if (!thread.joinable()) return;
      process.stop(signal);
      thread.join();
    }
    int first, last;
    std::map<int, std::int64_t> began_at;  // partition -> first offset it read
    std::uint64_t lines = 0;
    bool ready = false;
    Process process;
    std::thread thread;
  };

  void load() {
    input_ = installed_packages();
    const std::size_t packages = input_.size();
    LogFile log = largest_log(kLogLines);
    input_.insert(input_.end(), log.lines.begin(), log.lines.end());
    if (packages == 0) throw std::runtime_error("no installed packages in the dpkg database");
    std::printf("%zu installed packages, %zu lines of %s\n", packages, log.lines.size(),
                log.path.c_str());
  }

  void start_broker(const std::string& listen) {
    broker_ = std::make_unique<Process>(
        std::vector<std::string>{leatd_, "--data-dir", directory_ + "/data", "--listen", listen},
        directory_ + "/leatd.log");
    std::string ready;
    if (!broker_->read_line(ready)) throw std::runtime_error("leatd did not start");
    const std::size_t begin = ready.find("leat://"), end = ready.find('"', begin);
    url_ = ready.substr(begin, end - begin);
    std::printf("broker %d listens on %s\n", broker_->pid(), url_.c_str());
  }

  void start_consumer(int first, int last) {
    readers_.push_back(std::make_unique<Reader>(
        *this,
        std::vector<std::string>{self_, "consume", url_, std::to_string(first),
                                 std::to_string(last)},
        first, last));
    std::printf("consumer %d reads partitions %d to %d\n", readers_.back()->process.pid(), first,
                last);
    // Connected before the next kill: from then on it comes back by itself.
    wait_until([reader = readers_.back().get()] { return reader->ready; });
  }

  void received(Reader& reader, const std::string& line) {
    if (line == "ready") {
      const std::lock_guard lock(mutex_);
      reader.ready = true;
      return changed_.notify_all();
    }
    int partition = 0;
    long long offset = 0;
    unsigned long long number = 0;
    int key_at = 0;
    const int fields =
        std::sscanf(line.c_str(), "%d %lld %llu %n", &partition, &offset, &number, &key_at);
    const std::lock_guard lock(mutex_);
    ledger_.received(fields == 3 ? number : ~0ull, line.substr(static_cast<std::size_t>(key_at)));
    reader.began_at.try_emplace(partition, offset);
    reader.lines += 1;
    changed_.notify_all();
  }

  template <class Condition>
  void wait_until(Condition condition) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kHang, [&] { return g_stop || condition(); }))
      throw std::runtime_error("no progress for 60 seconds");
    if (g_stop) throw std::runtime_error("interrupted");
  }

  void produce(blocking::Producer& producer) {
    const std::uint64_t total = input_.size();
    for (std::uint64_t i = 0; i < total; ++i) {
      wait_until([&] { return i < acknowledged_ + kWindow; });
      if (broker_kills_ == 0 && i >= total / 4) kill_broker();
      if (consumer_kills_ == 0 && i >= total / 2) kill_consumer();
      if (broker_kills_ == 1 && i >= total * 3 / 4) kill_broker();
      send(producer, i);
    }
  }

  void send(blocking::Producer& producer, std::uint64_t i) {
    const std::string text = std::to_string(i);
    {
      const std::lock_guard lock(mutex_);
      ledger_.sent(input_[i].key);
    }
    must(producer.send({.key = as_bytes(input_[i].key),
                        .value = as_bytes(input_[i].value),
                        .headers = {{"number", as_bytes(text)}}},
                       [this, i](const Result<Ack>& ack) {
                         const std::lock_guard lock(mutex_);
                         if (ack) ledger_.acknowledged(i);
                         ++acknowledged_;
                         changed_.notify_all();
                       }),
         "sending");
  }

  void kill_broker() {
    std::uint64_t acknowledged;
    {
      const std::lock_guard lock(mutex_);
      acknowledged = acknowledged_;
    }
    if (acknowledged == 0 || acknowledged == input_.size())
      throw std::runtime_error("a kill fell outside the first and the last acknowledgement");
    broker_->stop(SIGKILL);
    ++broker_kills_;
    std::printf("SIGKILL to the broker after %llu acknowledgements\n",
                static_cast<unsigned long long>(acknowledged));
    start_broker(url_);
  }

  void kill_consumer() {
    Reader& victim = *readers_.front();
    wait_until([&] { return victim.lines > 0; });
    victim.finish();
    ++consumer_kills_;
    std::printf("SIGKILL to a consumer after %llu records\n",
                static_cast<unsigned long long>(victim.lines));
    start_consumer(victim.first, victim.last);
  }

  // The successor must not have begun again at the start of what its predecessor had read.
  bool resumed() {
    const Reader& victim = *readers_.front();
    const Reader& successor = *readers_.back();
    for (const auto& [partition, offset] : successor.began_at)
      if (victim.began_at.contains(partition) && offset > victim.began_at.at(partition))
        return true;
    return false;
  }

  int conclude(double seconds) {
    for (auto& reader : readers_) reader->finish(SIGTERM);
    const int stopped = broker_->stop(SIGTERM);
    const Report report = ledger_.report();
    const bool came_back = resumed();
    std::printf(
        "\nproduced          %llu\nacknowledged      %llu\nconsumed          %llu\n"
        "lost              %llu\nduplicates        %llu\norder violations  %llu\n"
        "foreign           %llu\nkills             %d broker, %d consumer\nresumed           %s\n"
        "records/s         %.0f (paced: %llu in flight, kills included)\n",
        static_cast<unsigned long long>(report.sent),
        static_cast<unsigned long long>(report.acknowledged),
        static_cast<unsigned long long>(report.received),
        static_cast<unsigned long long>(report.lost),
        static_cast<unsigned long long>(report.duplicates),
        static_cast<unsigned long long>(report.misordered),
        static_cast<unsigned long long>(report.foreign), broker_kills_, consumer_kills_,
        came_back ? "from the committed offset" : "NO", static_cast<double>(report.sent) / seconds,
        static_cast<unsigned long long>(kWindow));
    const bool ok =
        report.clean() && broker_kills_ == 2 && consumer_kills_ == 1 && came_back && stopped == 0;
    std::puts(ok ? "\nEvery acknowledged record was read, in order: lost 0."
                 : "\nSOMETHING IS OFF.");
    return ok ? 0 : 1;
  }

  std::string leatd_, self_, directory_, url_;
  std::vector<Input> input_;
  std::unique_ptr<Process> broker_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Ledger ledger_;
  std::uint64_t acknowledged_ = 0;
  int broker_kills_ = 0, consumer_kills_ = 0;
  std::vector<std::unique_ptr<Reader>> readers_;
};

}  // namespace
}  // namespace leat::demo

int main(int argc, char** argv) {
  using namespace leat::demo;
  try {
    if (argc == 5 && std::string(argv[1]) == "consume")
      return consume(argv[2], std::stoi(argv[3]), std::stoi(argv[4]));
    const std::string self = std::filesystem::canonical("/proc/self/exe");
    const std::string leatd =
        argc == 2 ? argv[1] : (std::filesystem::path(self).parent_path() / "leatd").string();
    ::signal(SIGINT, [](int) { g_stop = 1; });
    ::signal(SIGTERM, [](int) { g_stop = 1; });
    ::setvbuf(stdout, nullptr, _IOLBF, 0);
    return Demo(leatd, self).run();
  } catch (const std::exception& error) {
    std::cerr << "demo: " << error.what() << "\n";
    return 1;
  }
}
