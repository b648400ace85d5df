// The sockets a reactor accepts from.
#pragma once

#include <string>
#include <vector>

#include "server/reactor/reactor.h"

namespace leat::reactor {

class Listeners {
 public:
  Listeners();
  ~Listeners();
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  // Reactor::listen(); the new one is the last.
  Result<Address> open(const Address& address);
  std::size_t size() const { return listeners_.size(); }
  int fd(std::size_t listener) const { return listeners_[listener].fd; }  // -1: closed
  // Closes all and removes the files of Unix sockets.
  void close();
  // Out of descriptors: takes one waiting connection from each listener and closes it, by way of a
  // descriptor held back for this. Else those that wait would wake the reactor for ever.
  void shed();

 private:
  struct Listener {
    int fd;
    std::string unix_path;
  };
  std::vector<Listener> listeners_;
  int spare_;
};

}  // namespace leat::reactor
