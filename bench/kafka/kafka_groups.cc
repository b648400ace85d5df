// How long a group of Kafka consumers takes to settle: members that speak the wire protocol over
// loopback, join all at once, and send heartbeats so often that hardly any of the time is their
// own.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/measure.h"
#include "protocol/kafka/codec.h"
#include "protocol/kafka/frame.h"
#include "protocol/kafka/messages/membership.h"
#include "server/server.h"

namespace leat::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kSubscription{"\0\1\0\0\0\1\0\6orders\xff\xff\xff\xff\0\0\0\0", 22};
constexpr std::size_t kMetadataBytes = 1 << 10;  // what a member is assigned
constexpr std::int16_t kJoinVersion = 9, kSyncVersion = 5, kBeatVersion = 4, kLeaveVersion = 5;

// One connection, one request at a time.
class Wire {
 public:
  explicit Wire(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
      throw std::runtime_error("cannot connect to the broker");
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~Wire() { ::close(fd_); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // The response views this connection's buffer, until the next request.
  template <class Response, class Request>
  Response ask(const Request& request, std::int16_t version) {
    std::vector<std::byte> out;
    const auto open = kafka::begin_request({Request::kApi, version, ++correlation_, "bench"}, out);
    must(kafka::encode(request, version, out));
    kafka::finish_frame(open, out);
    for (std::size_t sent = 0; sent < out.size();) {
      const ssize_t n = ::send(fd_, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) throw std::runtime_error("the broker closed the connection");
      sent += static_cast<std::size_t>(n);
    }
    in_.clear();
    for (;;) {
      const auto frame = must(kafka::parse_frame(in_, std::size_t{64} << 20));
      if (frame) {
        const auto response = must(kafka::parse_response(frame->content, Request::kApi, version));
        return must(kafka::decode<Response>(response.body, version, std::size_t{16} << 20));
      }
      std::byte piece[16 << 10];
      const ssize_t n = ::recv(fd_, piece, sizeof piece, 0);
      if (n <= 0) throw std::runtime_error("the broker closed the connection");
      in_.insert(in_.end(), piece, piece + n);
    }
  }

 private:
  int fd_;
  std::int32_t correlation_ = 0;
  std::vector<std::byte> in_;
};

// What the members have been told, together.
class Board {
 public:
  explicit Board(std::size_t members) : members_(members) {}
  void assigned(std::int32_t generation) {
    const std::lock_guard lock(mutex_);
    if (++in_[generation] == members_ && !settled_) settled_ = Clock::now();
  }
  std::optional<Clock::time_point> settled() {
    const std::lock_guard lock(mutex_);
    return settled_;
  }
  std::size_t generations() {
    const std::lock_guard lock(mutex_);
    return in_.size();
  }

 private:
  const std::size_t members_;
  std::mutex mutex_;
  std::map<std::int32_t, std::size_t> in_;
  std::optional<Clock::time_point> settled_;
};

class Member {
 public:
  Member(std::uint16_t port, std::string group, std::chrono::milliseconds beat, Board& board,
         const std::atomic<bool>& stop)
      : wire_(port), group_(std::move(group)), beat_(beat), board_(board), stop_(stop) {}

  void run() {
    while (!stop_) {
      if (join() && sync()) {
        board_.assigned(generation_);
        while (!stop_ && alive()) std::this_thread::sleep_for(beat_);
      }
    }
    wire_.ask<kafka::LeaveGroupResponse>(
        kafka::LeaveGroupRequest{group_, id_, {{id_, std::nullopt, std::nullopt}}}, kLeaveVersion);
  }

 private:
  bool join() {
    const auto response = wire_.ask<kafka::JoinGroupResponse>(
        kafka::JoinGroupRequest{.group_id = group_,
                                .session_timeout_ms = 45'000,
                                .rebalance_timeout_ms = 60'000,
                                .member_id = id_,
                                .group_instance_id = {},
                                .protocol_type = "consumer",
                                .protocols = {{"range", as_bytes(kSubscription)}},
                                .reason = {}},
        kJoinVersion);
    if (response.error_code == kafka::KafkaError::kUnknownMemberId) {
      id_.clear();
      return false;
    }
    id_ = response.member_id;
    if (response.error_code != kafka::KafkaError::kNone) return false;  // asks again, with its id
    generation_ = response.generation_id;
    members_.clear();
    for (const auto& member : response.members) members_.emplace_back(member.member_id);
    return true;
  }
  bool sync() {
    const std::string assignment(kMetadataBytes, 'a');
    kafka::SyncGroupRequest request{.group_id = group_,
                                    .generation_id = generation_,
                                    .member_id = id_,
                                    .group_instance_id = {},
                                    .protocol_type = "consumer",
                                    .protocol_name = "range",
                                    .assignments = {}};
    for (const std::string& member : members_)
      request.assignments.push_back({member, as_bytes(assignment)});
    const auto response = wire_.ask<kafka::SyncGroupResponse>(request, kSyncVersion);
    return response.error_code == kafka::KafkaError::kNone;
  }
  bool alive() {
    return wire_
               .ask<kafka::HeartbeatResponse>(kafka::HeartbeatRequest{group_, generation_, id_, {}},
                                              kBeatVersion)
               .error_code == kafka::KafkaError::kNone;
  }

  Wire wire_;
  const std::string group_;
  const std::chrono::milliseconds beat_;
  Board& board_;
  const std::atomic<bool>& stop_;
  std::string id_;
  std::int32_t generation_ = -1;
  std::vector<std::string> members_;
};

std::uint16_t port_of(const std::string& url) {
  const std::string_view authority = std::string_view(url).substr(0, url.find('?'));
  return static_cast<std::uint16_t>(std::stoi(url.substr(authority.rfind(':') + 1)));
}

double settle_ms(std::uint16_t port, std::size_t count, std::chrono::milliseconds beat, int turn) {
  Board board(count);
  std::atomic<bool> stop{false};
  std::vector<std::unique_ptr<Member>> members;
  for (std::size_t i = 0; i < count; ++i)
    members.push_back(std::make_unique<Member>(
        port, "g" + std::to_string(count) + "-" + std::to_string(turn), beat, board, stop));
  const auto began = Clock::now();
  std::vector<std::thread> threads;
  for (auto& member : members) threads.emplace_back([&member] { member->run(); });
  while (!board.settled()) std::this_thread::sleep_for(1ms);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  return std::chrono::duration<double, std::milli>(*board.settled() - began).count();
}

void measure(std::uint16_t port, std::size_t count, std::chrono::milliseconds beat, double most) {
  constexpr int kTurns = 9;
  std::vector<double> times;
  for (int turn = 0; turn < kTurns; ++turn) times.push_back(settle_ms(port, count, beat, turn));
  std::ranges::sort(times);
  std::printf(
      "%zu members, heartbeats each %lld ms: all assigned after %.1f ms (median), %.1f to "
      "%.1f; wanted %.0f: %s\n",
      count, static_cast<long long>(beat.count()), times[kTurns / 2], times.front(), times.back(),
      most, times[kTurns / 2] <= most ? "yes" : "NO");
}

void run(const std::string& directory) {
  ServerOptions options{.data_dir = directory + "/data", .listen = {"kafka://127.0.0.1:0"}};
  const auto server = must(Server::open(options));
  const std::uint16_t port = port_of(server->listeners().front());
  std::printf("file system %s, load of the machine %.2f\n", file_system(directory), load_average());
  measure(port, 3, 5ms, 50);
  measure(port, 50, 20ms, 1'000);
}

}  // namespace
}  // namespace leat::bench

int main(int argc, char** argv) {
  const bool tmpfs = argc == 2 && std::string_view(argv[1]) == "--tmpfs";
  if (argc > 1 && !tmpfs) {
    std::cerr << "leat-kafka-groups [--tmpfs]\n";
    return 2;
  }
  try {
    const leat::bench::WorkDirectory directory(tmpfs);
    leat::bench::run(directory.path());
  } catch (const std::exception& error) {
    std::cerr << "bench: " << error.what() << "\n";
    return 1;
  }
}
