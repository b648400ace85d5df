// leatd: the broker as a daemon.
#include <cstdio>
#include <filesystem>
#include <iostream>

#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "server/check_data.h"
#include "server/command_line.h"

namespace {

int failed(const leat::Error& error) {
  const bool usage = error.code == leat::ErrorCode::kUsage;
  std::cerr << "leatd: " << (usage ? error.detail : error.message()) << "\n";
  return leat::error_info(error.code).exit_status;
}

std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    json += c;
  }
  return json + "\"";
}

void tell_ready(const leat::Server& server, const std::string& data_dir) {
  std::string urls;
  for (const auto& url : server.listeners()) urls += (urls.empty() ? "" : ",") + quoted(url);
  std::cout << "{\"pid\":" << ::getpid() << ",\"listeners\":[" << urls
            << "],\"reactor\":" << quoted(server.reactor())
            << ",\"version\":" << quoted(std::string(leat::version()))
            << ",\"data_dir\":" << quoted(data_dir) << "}" << std::endl;
}

// The process is ours: under a small budget what was freed goes back to the system, at some cost in
// time, instead of lying in an arena for each thread.
void keep_the_heap_small(std::size_t memory_bytes) {
  constexpr std::size_t kSmallMemoryBytes = 64 << 20;
  constexpr int kLargeBlockBytes = 64 << 10;  // a mapping of its own
  if (memory_bytes >= kSmallMemoryBytes) return;
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, kLargeBlockBytes);
  ::mallopt(M_TRIM_THRESHOLD, 2 * kLargeBlockBytes);
}

int serve(const leat::DaemonOptions& daemon) {
  keep_the_heap_small(daemon.server.memory_bytes);
  auto logger = spdlog::stderr_logger_mt("leatd");
  logger->set_level(spdlog::level::from_str(daemon.log_level));
  leat::ServerOptions options = daemon.server;
  options.log = [logger](leat::LogLevel level, std::string_view line) {
    constexpr spdlog::level::level_enum levels[] = {spdlog::level::debug, spdlog::level::info,
                                                    spdlog::level::warn, spdlog::level::err};
    logger->log(levels[static_cast<int>(level)], line);
  };
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  auto server = leat::Server::open(options);
  if (!server) return failed(server.error());
  tell_ready(**server, options.data_dir);
  int signal = 0;
  ::sigwait(&stop, &signal);
  (*server)->close();
  return 0;
}

int serve_dev(leat::DaemonOptions daemon) {
  std::string path = std::filesystem::temp_directory_path() / "leat-dev-XXXXXX";
  if (!::mkdtemp(path.data()))
    return failed({leat::ErrorCode::kDataDirNotWritable, path + "; set TMPDIR to another place"});
  daemon.server.data_dir = path + "/data";
  daemon.server.limits.broker.auto_create_topics = true;
  daemon.server.limits.broker.allow_reset = true;
  const int status = serve(daemon);
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  auto line = leat::parse_command_line(argc, argv);
  if (!line) return failed(line.error());
  if (line->print) {
    std::cout << *line->print << std::flush;
    return std::cout ? 0 : 1;
  }
  if (line->task == leat::Task::kCheck) return leat::check_data(line->options.server.data_dir);
  if (line->task == leat::Task::kRepair) return leat::repair_data(line->options.server.data_dir);
  return line->options.dev ? serve_dev(line->options) : serve(line->options);
}
