#include "client/tracing/http_post.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <string>

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace leat {
namespace {

constexpr std::size_t kMostAnswerBytes = 16 << 10;

std::string system_error_text(int error) {
  return std::error_code(error, std::generic_category()).message();
}

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

class Post {
 public:
  Post(const TraceEndpoint& to, const std::function<MonotonicTime()>& deadline, int interrupt)
      : to_(to), deadline_(deadline), interrupt_(interrupt) {}

  Result<int> run(std::string_view json) {
    const auto addresses = look_up();
    if (!addresses) return fail(addresses.error());
    Error why(ErrorCode::kUnreachable, to_.given + ": no address");
    for (const addrinfo* at = addresses->get(); at; at = at->ai_next) {
      const Socket socket(
          ::socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol));
      if (socket.fd() < 0) return fail(unreachable(errno));
      if (auto ok = connect(socket.fd(), *at); !ok) {
        why = ok.error();
        if (why == ErrorCode::kTimedOut) break;
        continue;
      }
      if (auto ok = send(socket.fd(), json); !ok) return fail(ok.error());
      return answer(socket.fd());
    }
    return fail(why);
  }

 private:
  struct Free {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
  };

  Error unreachable(int error) const {
    return {ErrorCode::kUnreachable, to_.given + ": " + system_error_text(error)};
  }

  Result<std::unique_ptr<addrinfo, Free>> look_up() const {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int error = ::getaddrinfo(to_.host.c_str(), to_.port.c_str(), &hints, &found);
    if (error != 0) return fail(ErrorCode::kUnreachable, to_.given + ": " + ::gai_strerror(error));
    return std::unique_ptr<addrinfo, Free>(found);
  }

  Result<> wait(int fd, short events) {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(
          deadline_() - std::chrono::steady_clock::now());
      if (left.count() <= 0) return fail(ErrorCode::kTimedOut, to_.given + ": no answer in time");
      std::array<pollfd, 2> fds{{{fd, events, 0}, {interrupt_, POLLIN, 0}}};
      const auto most = std::min<std::int64_t>(left.count(), 60'000);
      if (::poll(fds.data(), fds.size(), static_cast<int>(most)) < 0 && errno != EINTR)
        return fail(unreachable(errno));
      if (fds[0].revents != 0) return {};
      if (fds[1].revents != 0) interrupt_ = -1;  // seen: from now on it is the deadline alone
    }
  }

  Result<> connect(int fd, const addrinfo& address) {
    if (::connect(fd, address.ai_addr, address.ai_addrlen) == 0) return {};
    if (errno != EINPROGRESS) return fail(unreachable(errno));
    if (auto ok = wait(fd, POLLOUT); !ok) return ok;
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) return fail(unreachable(error));
    return {};
  }

  // One that answers before it has read everything, and hangs up, is still listened to.
  Result<> send(int fd, std::string_view json) {
    const bool six = to_.host.find(':') != std::string::npos;
    std::string request =
        "POST " + to_.path + " HTTP/1.1\r\nHost: " + (six ? "[" : "") + to_.host +
        (six ? "]:" : ":") + to_.port +
        "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(json.size()) +
        "\r\nConnection: close\r\n\r\n";
    request += json;
    for (std::string_view rest = request; !rest.empty();) {
      const ssize_t sent = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        rest.remove_prefix(static_cast<std::size_t>(sent));
      } else if (errno == EPIPE || errno == ECONNRESET) {
        return {};
      } else if (errno == EAGAIN || errno == EINTR) {
        if (auto ok = wait(fd, POLLOUT); !ok) return ok;
      } else {
        return fail(unreachable(errno));
      }
    }
    return {};
  }

  Result<int> answer(int fd) {
    std::string text;
    std::array<char, 4'096> buffer;
    while (text.find("\r\n\r\n") == std::string::npos && text.size() < kMostAnswerBytes) {
      const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (got > 0) {
        text.append(buffer.data(), static_cast<std::size_t>(got));
      } else if (got == 0 || errno == ECONNRESET) {
        break;
      } else if (errno == EAGAIN || errno == EINTR) {
        if (auto ok = wait(fd, POLLIN); !ok) return fail(ok.error());
      } else {
        return fail(unreachable(errno));
      }
    }
    if (text.empty())
      return fail(ErrorCode::kDisconnected, to_.given + ": hung up without an answer");
    return status_of(text);
  }

  // HTTP/1.1 200 OK
  Result<int> status_of(std::string_view text) const {
    int status = 0;
    if (text.starts_with("HTTP/1.") && text.size() >= 12 && text[8] == ' ') {
      const auto [end, error] = std::from_chars(text.data() + 9, text.data() + 12, status);
      if (error == std::errc() && end == text.data() + 12 && status >= 100) return status;
    }
    return fail(ErrorCode::kMalformedFrame,
                to_.given + ": the answer is not HTTP; is a collector behind it?");
  }

  const TraceEndpoint& to_;
  const std::function<MonotonicTime()>& deadline_;
  int interrupt_;
};

}  // namespace

Result<int> http_post(const TraceEndpoint& to, std::string_view json,
                      const std::function<MonotonicTime()>& deadline, int interrupt) {
  return Post(to, deadline, interrupt).run(json);
}

}  // namespace leat
