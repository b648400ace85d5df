// leatd that kills itself: leatd_killpoint DATA_DIR URL [POINT N] dies by SIGKILL at the N-th visit
// of a named point on storage's threads. For the crash tests alone.
#include <atomic>
#include <cstring>
#include <iostream>

#include <signal.h>
#include <unistd.h>

#include "server/server.h"

int main(int argc, char** argv) {
  if (argc != 3 && argc != 5) return 2;
  const std::string point = argc == 5 ? argv[3] : "";
  std::atomic<int> left{argc == 5 ? std::atoi(argv[4]) : 0};
  // A small budget: segments roll often.
  auto server = leat::Server::open({.data_dir = argv[1],
                                    .listen = {argv[2]},
                                    .memory_bytes = 12 << 20,
                                    .at_point = [&](const char* name) {
                                      if (point == name && left.fetch_sub(1) == 1)
                                        ::kill(::getpid(), SIGKILL);
                                    }});
  if (!server) {
    std::cerr << server.error().message() << "\n";
    return leat::error_info(server.error().code).exit_status;
  }
  std::cout << "ready" << std::endl;
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  int signal;
  ::sigwait(&stop, &signal);
  return 0;
}
