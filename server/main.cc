// leatd: the broker as a daemon.
#include <cstdio>
#include <filesystem>
#include <iostream>

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "server/server.h"

namespace {

struct Arguments {
  leat::ServerOptions server;
  bool dev = false;
  std::string log_level = "info";
};

int failed(const leat::Error& error) {
  std::cerr << "leatd: " << error.message() << "\n";
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

int serve(const Arguments& arguments) {
  auto logger = spdlog::stderr_logger_mt("leatd");
  logger->set_level(spdlog::level::from_str(arguments.log_level));
  leat::ServerOptions options = arguments.server;
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

int serve_dev(Arguments arguments) {
  std::string path = std::filesystem::temp_directory_path() / "leat-dev-XXXXXX";
  if (!::mkdtemp(path.data()))
    return failed({leat::ErrorCode::kDataDirNotWritable, path + "; set TMPDIR to another place"});
  arguments.server.data_dir = path + "/data";
  arguments.server.auto_create_topics = true;
  const int status = serve(arguments);
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("leatd: a message broker the size of a library");
  app.set_version_flag("--version", std::string(leat::version()));
  std::vector<std::string> listen;
  app.add_option("--data-dir", arguments.server.data_dir,
                 "where records are kept; made if missing");
  app.add_option("--listen", listen,
                 "leat://HOST:PORT or unix:///PATH, repeatable (default: leat://127.0.0.1:5328; "
                 "port 0: any free one)");
  app.add_flag("--dev", arguments.dev,
               "temporary directory, removed at exit; topics are created on first use");
  app.add_flag("--insecure", arguments.server.insecure,
               "allow addresses other than loopback without authentication");
  app.add_option("--memory", arguments.server.memory_bytes, "memory budget, e.g. 64MiB")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--log-level", arguments.log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    std::cerr << "leatd: " << error.what() << "; see leatd --help\n";
    return 2;
  }
  if (!listen.empty()) arguments.server.listen = listen;
  if (arguments.dev == !arguments.server.data_dir.empty()) {
    std::cerr << "leatd: say where records are kept: --data-dir DIR, or --dev for a temporary "
                 "directory (not both)\n";
    return 2;
  }
  return arguments.dev ? serve_dev(arguments) : serve(arguments);
}
