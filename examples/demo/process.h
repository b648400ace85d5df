// A child process with its standard output on a pipe; killed when the object goes.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

namespace leat::demo {

class Process {
 public:
  // Throws std::runtime_error when it cannot be started. `log` takes its standard error.
  Process(const std::vector<std::string>& command, const std::string& log);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Sends the signal and waits until the process is gone; its exit status, or -signal.
  int stop(int signal);
  // The next line of its output; false at the end.
  bool read_line(std::string& line);
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
  std::string buffered_;
};

}  // namespace leat::demo
