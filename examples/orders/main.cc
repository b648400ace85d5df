// ./dev demo orders: orders go through a shop, a payment, an inventory and a carrier, each a
// process with a database of its own, while every one of them, and the broker, is killed at random.
// The account in the end is clean. Beside it the same without any of the patterns, where it is not.
#include <cstring>
#include <filesystem>
#include <iostream>
#include <map>

#include <signal.h>

#include "examples/orders/story.h"
#include "examples/orders/trace_view.h"

namespace leat::orders {
namespace {

constexpr const char* kUsage =
    "usage: leat-orders [--orders N] [--kills N] [--seed N] [--postgres] [--keep] [--leatd PATH]\n"
    "                   [--only patterns|naive]\n"
    "--kills: of each process, spread over the run; 50 is what releases are held to\n"
    "--keep: leaves databases, logs and traces where they are\n";

constexpr int kEnoughKills = 5;  // for everything to go wrong that can

struct Line {
  StoryOptions story;
  std::string leatd, only;
};

Line parse(int argc, char** argv, const std::string& self) {
  Line line{.leatd = std::filesystem::path(self).parent_path() / "leatd"};
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == argc) throw std::invalid_argument(word + " wants a value");
      return argv[++i];
    };
    if (word == "--orders")
      line.story.orders = std::stoll(value());
    else if (word == "--kills")
      line.story.kills = std::stoi(value());
    else if (word == "--seed")
      line.story.seed = std::stoull(value());
    else if (word == "--leatd")
      line.leatd = value();
    else if (word == "--only")
      line.only = value();
    else if (word == "--postgres")
      line.story.postgres = true;
    else if (word == "--keep")
      line.story.keep = true;
    else
      throw std::invalid_argument("'" + word + "' is none of its options");
  }
  if (line.story.orders < 1 || line.story.kills < 0)
    throw std::invalid_argument("--orders is at least 1, --kills at least 0");
  return line;
}

bool with_patterns(const Line& line, const std::string& self) {
  std::printf("with outbox, idempotent consumers, version gate and saga:\n");
  Story story(line.story, line.leatd, self, false);
  const Account account = story.run();
  print(account, false);
  const bool clean = account.clean() && account.orders == line.story.orders;
  std::printf("%s\n\n", clean ? "Every order was charged once, and shipped or given back."
                              : "SOMETHING IS OFF.");
  const bool traced = print_a_trace(story.directory());
  if (!traced) std::printf("NO TRACE HANGS TOGETHER.\n");
  return clean && traced;
}

// With kills its account shows what the patterns are for; without them it may be clean.
bool naively(const Line& line, const std::string& self) {
  std::printf("\nwritten, then published; processed, then committed; applied as it comes:\n");
  Story story(line.story, line.leatd, self, true);
  const Account account = story.run();
  print(account, true);
  const bool shown =
      account.lost > 0 && account.twice > 0 && account.stale + account.regressions > 0;
  // A short run need not show everything.
  const bool enough = line.story.kills >= kEnoughKills ? shown : !account.clean();
  std::printf("%s\n", shown ? "Orders were lost, charged twice, and the stock is not to be trusted."
                            : "This time not everything went wrong that can.");
  return enough || line.story.kills == 0;
}

int run_role(const std::string& role, const Place& place) {
  const std::map<std::string, int (*)(const Place&)> roles = {
      {"shop", run_shop},
      {"saga", run_saga},
      {"relay", run_relay},
      {"payment", run_payment},
      {"inventory", run_inventory},
      {"carrier", run_carrier},
      {"naive-shop", run_naive_shop},
      {"naive-payment", run_naive_payment},
      {"naive-inventory", run_naive_inventory}};
  return roles.at(role)(place);
}

}  // namespace
}  // namespace leat::orders

int main(int argc, char** argv) {
  using namespace leat::orders;
  try {
    if (argc > 2 && std::strcmp(argv[1], "role") == 0)
      return run_role(argv[2], Place::of({argv + 3, argv + argc}));
    ::setvbuf(stdout, nullptr, _IOLBF, 0);
    const std::string self = std::filesystem::canonical("/proc/self/exe");
    const Line line = parse(argc, argv, self);
    bool ok = true;
    if (line.only != "naive") ok = with_patterns(line, self) && ok;
    if (line.only != "patterns") ok = naively(line, self) && ok;
    return ok ? 0 : 1;
  } catch (const std::invalid_argument& error) {
    std::cerr << "orders: " << error.what() << "\n" << kUsage;
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "orders: " << error.what() << "\n";
    return 1;
  }
}
