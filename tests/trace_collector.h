// A collector of spans as a test wants it: takes OTLP over HTTP on a real socket, and answers, or
// does not, as it is told. Whoever reads spans back finds them here, too.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace leat::test {

// A span as it stands in an OTLP document.
struct SeenSpan {
  std::string trace, id, parent, name, kind, json;
  // Of an attribute, as text; empty: there is none.
  std::string operator[](const std::string& key) const {
    const auto at = json.find("{\"key\":\"" + key + "\",\"value\":{");
    if (at == std::string::npos) return {};
    const auto value = json.find("Value\":\"", at) + 8;
    return json.substr(value, json.find('"', value) - value);
  }
  bool failed() const { return json.find("\"status\":{\"code\":2") != std::string::npos; }
};

inline std::string json_field(const std::string& json, const std::string& name) {
  const auto at = json.find("\"" + name + "\":");
  if (at == std::string::npos) return {};
  auto from = at + name.size() + 3;
  if (json[from] != '"') return json.substr(from, json.find_first_of(",}", from) - from);
  ++from;
  return json.substr(from, json.find('"', from) - from);
}

inline std::vector<SeenSpan> spans_in(const std::string& json) {
  std::vector<SeenSpan> spans;
  const std::string begin = "{\"traceId\":", parts[] = {",\"spanId\"", ",\"name\""};
  std::vector<std::size_t> starts;
  for (auto at = json.find(begin); at != std::string::npos; at = json.find(begin, at + 1)) {
    // A link has the same beginning, and no name.
    const std::string head = json.substr(at, 200);
    if (head.find("\"flags\":") != std::string::npos && head.find("\"flags\":") < head.find('}'))
      starts.push_back(at);
  }
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const auto end = i + 1 < starts.size() ? starts[i + 1] : json.size();
    const std::string one = json.substr(starts[i], end - starts[i]);
    spans.push_back({json_field(one, "traceId"), json_field(one, "spanId"),
                     json_field(one, "parentSpanId"), json_field(one, "name"),
                     json_field(one, "kind"), one});
  }
  return spans;
}

class TraceCollector {
 public:
  // What to answer to the nth request, from 0; empty: nothing, with the connection left open.
  using Answer = std::function<std::string(std::size_t)>;
  static std::string status(int code) {
    return "HTTP/1.1 " + std::to_string(code) + " Whatever\r\nContent-Length: 2\r\n\r\n{}";
  }

  explicit TraceCollector(Answer answer = [](std::size_t) { return status(200); })
      : answer_(std::move(answer)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~TraceCollector() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    for (const int fd : silent_) ::close(fd);
  }

  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  // What was taken, which is what was answered with a 2xx.
  std::vector<SeenSpan> spans() const {
    const std::lock_guard lock(mutex_);
    std::vector<SeenSpan> all;
    for (const std::string& request : taken_)
      for (SeenSpan& span : spans_in(request)) all.push_back(std::move(span));
    return all;
  }
  void wait_for_requests(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60),
                                  [&] { return requests_.size() >= count; }));
  }

 private:
  void run() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      serve(fd);
    }
  }
  void serve(int fd) {
    std::string text;
    std::string::size_type head = std::string::npos;
    std::size_t length = 0;
    char buffer[4'096];
    while (head == std::string::npos || text.size() < head + 4 + length) {
      const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
      if (got <= 0) break;
      text.append(buffer, static_cast<std::size_t>(got));
      head = text.find("\r\n\r\n");
      if (head == std::string::npos) continue;
      const auto at = text.find("Content-Length: ");
      length = std::stoul(text.substr(at + 16));
    }
    std::string answer;
    {
      const std::lock_guard lock(mutex_);
      answer = answer_(requests_.size());
      requests_.push_back(text);
      if (answer.starts_with("HTTP/1.1 2")) taken_.push_back(text);
    }
    changed_.notify_all();
    if (answer.empty()) {
      silent_.push_back(fd);
      return;
    }
    [[maybe_unused]] const auto sent = ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
    ::close(fd);
  }

  const Answer answer_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> requests_, taken_;
  std::vector<int> silent_;  // the thread's
  std::thread thread_;
};

}  // namespace leat::test
