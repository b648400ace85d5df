// leat: the command line of the broker.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include <signal.h>
#include <unistd.h>

#include "client/tool/color.h"
#include "client/tool/tool.h"

namespace {
volatile sig_atomic_t g_signal = 0;
void remember(int signal) {
  g_signal = signal;
}
}  // namespace

namespace leat::tool {

int failed(const std::string& doing, const Error& error) {
  std::cout.flush();
  std::cerr << colored(stderr, Color::kRed, "leat:") << " " << doing << ": " << error.message()
            << "\n";
  return error_info(error.code).exit_status;
}

int usage_failed(const std::string& what) {
  std::cerr << colored(stderr, Color::kRed, "leat:") << " " << what << "; see leat --help\n";
  return 2;
}

bool flush_output() {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return true;
  if (errno != EPIPE) std::cerr << "leat: standard output: " << std::strerror(errno) << "\n";
  return false;
}

int print_json(const char* name, const std::string& value) {
  std::printf("{\"version\":1,\"%s\":%s}\n", name, value.c_str());
  return 0;
}

bool confirmed(const std::string& question) {
  if (!::isatty(STDIN_FILENO)) return true;
  std::cerr << question << " [y/N] ";
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "yes";
}

int interrupted() {
  return g_signal == 0 ? 0 : 128 + g_signal;
}

namespace {

// Which verbs there are, where one is missing or is none.
std::string verb_needed(const CLI::App& whole) {
  const CLI::App* app = &whole;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  std::string verbs;
  for (const CLI::App* verb : app->get_subcommands([](const CLI::App*) { return true; }))
    verbs += (verbs.empty() ? "" : ", ") + verb->get_name();
  const std::string name = app == &whole ? "leat" : "leat " + app->get_name();
  const std::vector<std::string> rest = whole.remaining(true);
  const std::string found = rest.empty() ? "" : name + " has no '" + rest.front() + "'; ";
  return found + name + " takes one of: " + verbs;
}

}  // namespace

}  // namespace leat::tool

int main(int argc, char** argv) {
  using namespace leat::tool;
  struct sigaction action {};
  action.sa_handler = remember;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);  // a closed stdout shows as a failed write

  CLI::App app("leat: produce to, consume from and look after a Leat broker", "leat");
  app.set_version_flag("--version", LEAT_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  Context context;
  Run run;
  std::int64_t timeout_ms = 10'000;
  app.add_option("--broker", context.broker,
                 "leat://HOST:PORT or unix:///PATH (default: leat://127.0.0.1:5328)")
      ->envname("LEAT_BROKER");
  app.add_option("--timeout", timeout_ms, "for one request, e.g. 500ms or 10s (default: 10s)")
      ->transform(durations())
      ->type_name("TIME");
  std::string color = "auto";
  app.add_option("--color", color, "auto (on a terminal, unless NO_COLOR), always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  app.footer(
      "Exit codes: 0 ok, 1 failed, 2 usage, 3 unreachable, 4 not found, 5 not allowed, 6 timeout,\n"
      "7 conflict, 130 interrupted.");
  add_topic(app, context, run);
  add_produce(app, context, run);
  add_consume(app, context, run);
  add_group(app, context, run);
  add_dlq(app, context, run);
  add_reset(app, context, run);
  add_snapshot(app, context, run);
  add_ping(app, context, run);
  add_completion(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::RequiredError& error) {
    const bool verb = std::string_view(error.what()).find("subcommand") != std::string_view::npos;
    return usage_failed(verb ? verb_needed(app) : error.what());
  } catch (const CLI::ParseError& error) {
    return usage_failed(error.what());
  }
  choose_color(color == "auto"     ? ColorChoice::kAuto
               : color == "always" ? ColorChoice::kAlways
                                   : ColorChoice::kNever);
  context.timeout = std::chrono::milliseconds(timeout_ms);
  const int status = run();
  return flush_output() || status != 0 ? status : 1;
}
