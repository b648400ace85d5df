// A broker that does as a test's script says, and misbehaves where it does.
#pragma once

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "protocol/native/codec.h"

namespace leat::test {

// Answers requests by script, one connection after the other, on a thread of its own.
class ScriptedBroker {
 public:
  using Script = std::function<void(CorrelationId, const native::Request&)>;

  ScriptedBroker() {
    std::string pattern = ::testing::TempDir() + "leat-link-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
  }
  ~ScriptedBroker() {
    ::shutdown(listener_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    ::close(listener_);
    std::filesystem::remove_all(directory_);
  }

  // `script` sees what is neither Hello, DescribeTopic nor InitProducer; it calls answer() and
  // hang_up().
  void run(Script script) {
    script_ = std::move(script);
    thread_ = std::thread([this] {
      while ((connection_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0) serve();
    });
  }
  void answer(CorrelationId id, const native::Reply& reply) {
    std::vector<std::byte> frame;
    native::encode(id, reply, frame);
    const ssize_t sent = ::send(connection_, frame.data(), frame.size(), MSG_NOSIGNAL);
    if (sent < 0) return;  // who hangs up need not wait for the other side
    EXPECT_EQ(sent, static_cast<ssize_t>(frame.size()));
  }
  void hang_up() { ::shutdown(connection_, SHUT_RDWR); }

  std::string path() const { return directory_ + "/socket"; }
  std::string url() const { return "unix://" + path(); }

 private:
  void serve() {
    std::vector<std::byte> received, read(64 << 10);
    for (ssize_t n; (n = ::read(connection_, read.data(), read.size())) > 0;) {
      received.insert(received.end(), read.begin(), read.begin() + n);
      for (;;) {
        const auto frame = native::parse_frame(received, {});
        if (!frame || !*frame) break;
        CorrelationId id;
        native::AlignedEnvelope aligned;
        const auto request = native::decode_request(**frame, aligned, id);
        ASSERT_TRUE(request);
        take(id, request->message);
        received.erase(received.begin(),
                       received.begin() + static_cast<std::ptrdiff_t>((*frame)->frame_bytes));
      }
    }
    ::close(connection_);
  }
  void take(CorrelationId id, const native::Request& request) {
    native::TopicState topic;
    topic.id.bytes[0] = 1;
    topic.name = "orders";
    topic.partitions.resize(2);
    if (std::holds_alternative<native::Hello>(request))
      answer(id, native::HelloReply{1, "scripted", 256 << 10, 16 << 20, 8 << 20});
    else if (std::holds_alternative<native::DescribeTopic>(request))
      answer(id, native::TopicReply{topic});
    else if (std::holds_alternative<native::InitProducer>(request))
      answer(id, native::InitProducerReply{++producers_, 0});
    else
      script_(id, request);
  }

  std::string directory_;
  int listener_ = -1;
  std::atomic<int> connection_ = -1;
  Script script_;
  std::int64_t producers_ = 0;
  std::thread thread_;
};

}  // namespace leat::test
