// The broker that a test of a real Kafka client talks to: a leatd started for it, or the one that
// LEAT_KAFKA_BOOTSTRAP (and LEAT_KAFKA_BOOTSTRAP_NO_AUTO) names, which is how the same tests are
// held to Kafka itself.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "examples/demo/process.h"
#include "tests/temporary_directory.h"

namespace leat::compat {

inline constexpr int kHangMs = 60'000;  // longer than anything takes

enum class AutoCreation { kOn, kOff };

class Broker {
 public:
  // Throws std::runtime_error when leatd does not say where it serves Kafka.
  explicit Broker(AutoCreation auto_creation = AutoCreation::kOn);

  // "127.0.0.1:port"
  const std::string& bootstrap() const { return bootstrap_; }

 private:
  test::TemporaryDirectory directory_;
  std::unique_ptr<demo::Process> leatd_;  // none where the environment names a broker
  std::string bootstrap_;
};

// A name nobody has used before, also of a broker that has seen other runs.
std::string fresh_name(const std::string& what);

}  // namespace leat::compat
