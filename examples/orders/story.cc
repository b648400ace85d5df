#include "examples/orders/story.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "client/blocking.h"

namespace leat::orders {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto kHang = 120s;  // without an order that is done with
constexpr auto kLook = 20ms;
constexpr int kMostEnds = 20;  // of one component, by itself

const std::vector<std::string> kRoles = {"shop",    "saga",      "relay",
                                         "payment", "inventory", "carrier"};
const std::vector<std::string> kNaiveRoles = {"shop", "payment", "inventory"};

bool has_ended(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid;
}

}  // namespace

Story::Story(const StoryOptions& options, std::string leatd, std::string self, bool naive)
    : options_(options),
      leatd_(std::move(leatd)),
      self_(std::move(self)),
      naive_(naive),
      roles_(naive ? kNaiveRoles : kRoles),
      random_(options.seed) {
  std::string path = std::filesystem::temp_directory_path() / "leat-orders-XXXXXX";
  if (!::mkdtemp(path.data())) throw std::runtime_error("cannot create " + path);
  place_.directory = path;
  place_.orders = options.orders;
  // A hundred or so that are traced: enough for some to come through whole.
  place_.sample = std::min(1.0, 100.0 / static_cast<double>(options.orders));
}

Story::~Story() {
  processes_.clear();
#ifdef LEAT_ORDERS_POSTGRES
  postgres_.reset();
#endif
  std::error_code ignored;
  if (!options_.keep) std::filesystem::remove_all(place_.directory, ignored);
}

Account Story::run() {
  make_databases();
  make_tables(place_);
  start_broker("leat://127.0.0.1:0");
  make_topics();
  for (const std::string& role : roles_) start(role);
  const auto began = steady_clock::now();
  work_through(plan());
  wait_until_settled();
  const double took = std::chrono::duration<double>(steady_clock::now() - began).count();
  stop();
  std::printf("%lld orders in %.1f s;", static_cast<long long>(options_.orders), took);
  for (const auto& [component, times] : killed_)
    std::printf(" %s killed %d times%s", component.c_str(), times,
                component == killed_.rbegin()->first ? ".\n" : ",");
  if (killed_.empty()) std::printf(" nothing was killed.\n");
  for (const auto& [component, times] : died_)
    std::printf("%s ended by itself %d times: see %s/%s.log\n", component.c_str(), times,
                place_.directory.c_str(), component.c_str());
  return account_of(place_, naive_);
}

// ---- coming up ----

void Story::make_databases() {
  std::string* const addresses[] = {&place_.shop, &place_.payment, &place_.inventory,
                                    &place_.carrier};
  const char* const names[] = {"shop", "payment", "inventory", "carrier"};
#ifdef LEAT_ORDERS_POSTGRES
  if (options_.postgres) {
    const std::string directory = place_.directory + "/pg";
    std::filesystem::create_directory(directory);
    // It runs as another user than root.
    std::filesystem::permissions(place_.directory, std::filesystem::perms::others_exec,
                                 std::filesystem::perm_options::add);
    postgres_ = std::make_unique<demo::PostgresServer>(
        directory, demo::PostgresServer::Options{.fsync = true});
    for (std::size_t i = 0; i < std::size(names); ++i)
      *addresses[i] = postgres_->create_database(names[i]);
    return;
  }
#else
  if (options_.postgres) throw std::runtime_error("built without PostgreSQL (libpq)");
#endif
  for (std::size_t i = 0; i < std::size(names); ++i)
    *addresses[i] = place_.directory + "/" + names[i] + ".db";
}

void Story::start_broker(const std::string& listen) {
  auto broker = std::make_unique<Process>(
      std::vector<std::string>{leatd_, "--data-dir", place_.directory + "/data", "--listen", listen,
                               "--trace-endpoint", "file://" + place_.directory + "/traces.leatd"},
      place_.directory + "/broker.log");
  std::string ready;
  if (!broker->read_line(ready))
    throw std::runtime_error("leatd did not start: see " + place_.directory + "/broker.log");
  const std::size_t begin = ready.find("leat://"), end = ready.find('"', begin);
  place_.broker = ready.substr(begin, end - begin);
  processes_[kBroker] = std::move(broker);
}

void Story::make_topics() const {
  auto client = must(blocking::Client::connect({.broker = place_.broker}), "connecting");
  const std::vector<std::string> topics =
      naive_ ? std::vector<std::string>{"orders", "items"}
             : std::vector<std::string>{"order-saga", "payment", "carrier", "items"};
  for (const std::string& topic : topics) must(client.create_topic(topic, 4), "creating topics");
}

void Story::start(const std::string& role) {
  std::vector<std::string> command{self_, "role", naive_ ? "naive-" + role : role};
  for (std::string& argument : place_.arguments()) command.push_back(std::move(argument));
  processes_[role] = std::make_unique<Process>(command, place_.directory + "/" + role + ".log");
}

// ---- going on ----

// Which component dies when, spread over the orders.
std::vector<std::string> Story::plan() {
  std::vector<std::string> kills;
  for (int i = 0; i < options_.kills; ++i) {
    kills.insert(kills.end(), roles_.begin(), roles_.end());
    kills.push_back(kBroker);
  }
  std::ranges::shuffle(kills, random_);
  return kills;
}

void Story::kill(const std::string& component) {
  // Not always at the same moment of whatever it is about.
  std::this_thread::sleep_for(std::chrono::microseconds(random_() % 3'000));
  processes_.at(component)->stop(SIGKILL);
  ++killed_[component];
  if (component == kBroker)
    start_broker(place_.broker);
  else
    start(component);
}

// Whatever ended by itself; that is told in the end.
void Story::revive() {
  for (const auto& [component, process] : processes_) {
    if (!has_ended(process->pid())) continue;
    const std::string which = component;
    if (++died_[which] > kMostEnds)
      throw std::runtime_error(which + " does not stay up: see " + place_.directory + "/" + which +
                               ".log");
    if (which == kBroker)
      start_broker(place_.broker);
    else
      start(which);
    return;
  }
}

void Story::work_through(std::vector<std::string> kills) {
  const std::size_t all = kills.size();
  auto progress = steady_clock::now();
  for (std::int64_t seen = 0; seen < options_.orders;) {
    const std::int64_t done = orders_done(place_, naive_);
    if (done != std::exchange(seen, done)) progress = steady_clock::now();
    if (steady_clock::now() - progress > kHang)
      throw std::runtime_error("nothing moves any more after " + std::to_string(done) +
                               " orders: see " + place_.directory);
    const std::size_t killed = all - kills.size();
    const auto next = static_cast<std::int64_t>(
        (killed + 1) * static_cast<std::size_t>(options_.orders) / (all + 1));
    if (!kills.empty() && done >= next) {
      kill(kills.back());
      kills.pop_back();
      continue;
    }
    revive();
    std::this_thread::sleep_for(kLook);
  }
  // The last of them may come when all orders are written.
  for (; !kills.empty(); kills.pop_back()) kill(kills.back());
}

// Naive consumers have read what there is; it will get no better.
bool Story::nothing_waits() const {
  auto client = blocking::Client::connect({.broker = place_.broker});
  if (!client) return false;
  for (const char* group : {"payment", "inventory"}) {
    const auto found = client->describe_group(group);
    if (!found || found->partitions.empty()) return false;
    for (const GroupPartition& partition : found->partitions)
      if (partition.lag() > 0) return false;
  }
  return true;
}

void Story::wait_until_settled() {
  const auto until = steady_clock::now() + kHang;
  while (!(naive_ ? nothing_waits() : stock_is_known(place_))) {
    if (steady_clock::now() > until)
      throw std::runtime_error("the services do not come to rest: see " + place_.directory);
    revive();
    std::this_thread::sleep_for(kLook);
  }
}

void Story::stop() {
  for (const std::string& role : roles_) processes_.at(role)->stop(SIGTERM);
  processes_.at(kBroker)->stop(SIGTERM);
}

}  // namespace leat::orders
