// A bare socket that speaks frames: for tests that send what no client would.
#pragma once

#include <string>
#include <vector>

#include "protocol/native/codec.h"

namespace leat::test {

class RawConnection {
 public:
  // `url` as Server::listeners() gives it.
  explicit RawConnection(const std::string& url);
  ~RawConnection();
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  void send(Bytes bytes);
  void send(const native::Request& request, std::uint64_t correlation = 1);
  void hello();  // and its reply
  // The next reply, valid until the next call; nullptr when the broker has closed the connection.
  const native::Reply* receive();
  std::uint64_t correlation() const { return correlation_; }
  bool closed_by_peer() { return receive() == nullptr; }

 private:
  int fd_;
  std::vector<std::byte> received_;
  std::size_t used_ = 0;
  native::AlignedEnvelope aligned_;
  native::Reply reply_;
  std::uint64_t correlation_ = 0;
};

}  // namespace leat::test
