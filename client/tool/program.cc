#include "client/tool/program.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <system_error>
#include <vector>

#include <signal.h>
#include <unistd.h>

#include "client/tool/color.h"

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

void note_signal(int signal) {
  remember(signal);
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
  const std::string name =
      app == &whole ? whole.get_name() : whole.get_name() + " " + app->get_name();
  const std::vector<std::string> rest = whole.remaining(true);
  const std::string found = rest.empty() ? "" : name + " has no '" + rest.front() + "'; ";
  return found + name + " takes one of: " + verbs;
}

// Beside this one, where it was built or installed together with it.
std::string path_of(const std::string& program) {
  std::error_code none;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", none).parent_path() / program;
  return std::filesystem::exists(here, none) ? here.string() : program;
}

int become(const std::string& program, const Context& context,
           const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {program, "--broker", context.broker, "--timeout",
                                    std::to_string(context.timeout.count()) + "ms"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execvp(path_of(program).c_str(), pointers.data());
  std::cerr << "leat: cannot run " << program << ": " << std::strerror(errno)
            << "; it comes with leat where the databases' libraries are installed\n";
  return 4;
}

}  // namespace

void add_program(CLI::App& app, Context& context, Run& run, const std::string& name,
                 const std::string& description) {
  auto* verb = app.add_subcommand(name, description);
  verb->prefix_command();
  verb->fallthrough(false);  // or its arguments are taken for those of leat
  verb->set_help_flag();     // is the program's
  verb->callback([&context, &run, verb, name] {
    run = [&context, program = "leat-" + name, arguments = verb->remaining()] {
      return become(program, context, arguments);
    };
  });
}

int run_program(const Program& program, int argc, char** argv) {
  struct sigaction action {};
  action.sa_handler = remember;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);  // a closed stdout shows as a failed write

  CLI::App app(program.description, program.name);
  app.set_version_flag("--version", LEAT_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  Context context;
  Run run;
  std::int64_t timeout_ms = 10'000;
  app.add_option("--broker", context.broker,
                 "leat://HOST:PORT or unix:///PATH (default: leat://127.0.0.1:5328)")
      ->take_last()  // become() gives it in front of what the user says
      ->envname("LEAT_BROKER");
  app.add_option("--timeout", timeout_ms, "for one request, e.g. 500ms or 10s (default: 10s)")
      ->take_last()
      ->transform(durations())
      ->type_name("TIME");
  std::string color = "auto";
  app.add_option("--color", color, "auto (on a terminal, unless NO_COLOR), always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  app.footer(
      "Exit codes: 0 ok, 1 failed, 2 usage, 3 unreachable, 4 not found, 5 not allowed, 6 timeout,\n"
      "7 conflict, 130 interrupted.");
  program.add_verbs(app, context, run);
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

}  // namespace leat::tool
