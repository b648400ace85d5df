// The story of ./dev demo orders: services as processes of their own, each killed at random, the
// broker too, while orders go through; in the end the account.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "examples/demo/process.h"
#include "examples/orders/account.h"
#include "examples/orders/place.h"
#ifdef LEAT_ORDERS_POSTGRES
#include "examples/demo/postgres_server.h"
#endif

namespace leat::orders {

struct StoryOptions {
  std::int64_t orders = 5'000;
  int kills = 5;  // of each component
  std::uint64_t seed = 1;
  bool postgres = false, keep = false;
};

class Story {
 public:
  Story(const StoryOptions& options, std::string leatd, std::string self, bool naive);
  ~Story();
  Story(const Story&) = delete;
  Story& operator=(const Story&) = delete;

  Account run();
  const std::string& directory() const { return place_.directory; }

 private:
  using Process = demo::Process;
  static constexpr const char* kBroker = "broker";

  void make_databases();
  void start_broker(const std::string& listen);
  void make_topics() const;
  void start(const std::string& role);
  void kill(const std::string& component);
  void revive();
  std::vector<std::string> plan();
  void work_through(std::vector<std::string> kills);
  void wait_until_settled();
  bool nothing_waits() const;
  void stop();

  const StoryOptions options_;
  const std::string leatd_, self_;
  const bool naive_;
  const std::vector<std::string> roles_;
  Place place_;
  std::mt19937_64 random_;
#ifdef LEAT_ORDERS_POSTGRES
  std::unique_ptr<demo::PostgresServer> postgres_;
#endif
  std::map<std::string, std::unique_ptr<Process>> processes_;
  std::map<std::string, int> killed_, died_;
};

}  // namespace leat::orders
