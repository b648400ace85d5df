#include "tests/kafka_compat/librdkafka/broker.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <unistd.h>

namespace leat::compat {
namespace {

constexpr const char* kScheme = "kafka://";

// What of a line is the address behind kafka://, or nothing.
std::string address_in(const std::string& line) {
  const auto at = line.find(kScheme);
  if (at == std::string::npos) return {};
  const auto begin = at + std::string(kScheme).size();
  return line.substr(begin, line.find_first_of(" \",\t", begin) - begin);
}

std::string content(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

Broker::Broker(AutoCreation auto_creation) {
  const bool off = auto_creation == AutoCreation::kOff;
  if (const char* given =
          std::getenv(off ? "LEAT_KAFKA_BOOTSTRAP_NO_AUTO" : "LEAT_KAFKA_BOOTSTRAP")) {
    bootstrap_ = given;
    return;
  }
  std::vector<std::string> command = {LEATD, "--data-dir", directory_ / "data", "--listen",
                                      "kafka://127.0.0.1:0"};
  if (!off) command.push_back("--auto-create-topics");
  leatd_ = std::make_unique<demo::Process>(command, directory_ / "log");
  std::string line;
  while (bootstrap_.empty() && leatd_->read_line(line)) bootstrap_ = address_in(line);
  if (bootstrap_.empty())
    throw std::runtime_error("leatd did not say where it serves Kafka: " + line + "\n" +
                             content(directory_ / "log"));
}

std::string fresh_name(const std::string& what) {
  static std::atomic<int> count{0};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  return what + "-" + std::to_string(::getpid()) + "-" + std::to_string(now) + "-" +
         std::to_string(count++);
}

}  // namespace leat::compat
