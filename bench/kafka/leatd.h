// A leatd in a process of its own, for as long as the object lives.
#pragma once

#include <string>

#include <signal.h>

#include "examples/demo/process.h"

namespace leat::bench {

class Leatd {
 public:
  // Starts the program, which puts its data and its log into `directory`, and waits until it
  // listens. Throws std::runtime_error.
  Leatd(const std::string& program, const std::string& directory);
  ~Leatd() { process_.stop(SIGTERM); }

  const std::string& kafka() const { return kafka_; }  // host:port
  const std::string& leat() const { return leat_; }    // a URL
  double resident_kib() const;
  double cpu_seconds() const;  // that it has used so far

 private:
  demo::Process process_;
  std::string kafka_, leat_;
};

// The leatd that was built beside the program that asks.
std::string leatd_beside();

}  // namespace leat::bench
