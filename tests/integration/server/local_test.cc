// A broker inside the process: the same client without a socket, in any order of closing, several
// servers at once; and what rule 13 promises the host.
#include <csignal>
#include <fstream>
#include <set>
#include <thread>

#include <dirent.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "server/server.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using namespace std::chrono_literals;
using test::TemporaryDirectory;

std::unique_ptr<Server> open(const std::string& directory, ServerOptions options = {}) {
  options.data_dir = directory;
  auto server = Server::open(std::move(options));
  EXPECT_TRUE(server) << server.error().message();
  return server ? std::move(*server) : nullptr;
}

void round_trip(blocking::Client& client, const std::string& topic, int records) {
  ASSERT_TRUE(client.create_topic(topic, 2, true));
  auto producer = client.producer(Topic{topic});
  ASSERT_TRUE(producer);
  const std::string value(2'000, 'v');
  for (int i = 0; i < records; ++i)
    ASSERT_TRUE((*producer)->send({.key = as_bytes(std::to_string(i)), .value = as_bytes(value)}));
  ASSERT_TRUE((*producer)->flush(60s));
  auto consumer = client.consumer({.topics = {topic}, .group = Group{"g"}});
  ASSERT_TRUE(consumer) << consumer.error().message();
  for (int seen = 0; seen < records;) {
    const auto got = (*consumer)->poll(60s);
    ASSERT_TRUE(got && !got->empty());
    seen += static_cast<int>(got->size());
  }
  ASSERT_TRUE((*consumer)->commit());
}

TEST(Local, TheSameClientWithoutASocket) {
  const TemporaryDirectory directory;
  auto server = open(directory / "data");
  EXPECT_TRUE(server->listeners().empty());
  auto client = server->connect_local();
  ASSERT_TRUE(client) << client.error().message();
  round_trip(*client, "t", 20'000);
}

TEST(Local, SeveralServersAndClientsInOneProcess) {
  const TemporaryDirectory directory;
  auto first = open(directory / "first"), second = open(directory / "second");
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&, i] {
      auto client = (i % 2 ? first : second)->connect_local();
      ASSERT_TRUE(client);
      round_trip(*client, "t" + std::to_string(i), 500);
    });
  for (auto& thread : threads) thread.join();
  auto client = first->connect_local();
  EXPECT_EQ(client->list_topics()->size(), 3u);
  EXPECT_EQ(Server::open({.data_dir = directory / "first"}).error(), ErrorCode::kDataDirLocked);
}

TEST(Local, ServerAndClientsMayCloseInAnyOrder) {
  for (int round = 0; round < 20; ++round) {
    const TemporaryDirectory directory;
    auto server = open(directory / "data");
    auto client = server->connect_local();
    ASSERT_TRUE(client && client->create_topic("t", 1));
    auto producer = client->producer(Topic{"t"});
    auto consumer = client->consumer({.topics = {"t"}});
    ASSERT_TRUE(producer && consumer);
    std::thread sender([&] {
      while ((*producer)->send({.value = as_bytes("x")})) {
      }
    });
    std::thread closer([&] { server->close(); });
    while ((*consumer)->poll(1s)) {
    }
    closer.join();
    sender.join();
    EXPECT_FALSE(client->list_topics());
    EXPECT_FALSE(server->connect_local());
    if (round % 2) server.reset();
  }
}

// ---- rule 13 ----

TEST(Local, NoSignalHandlerIsInstalledAndTheThreadsTakeNoSignals) {
  const TemporaryDirectory directory;
  const auto handlers = [] {
    std::vector<void (*)(int)> all;
    for (int signal = 1; signal < NSIG; ++signal) {
      struct sigaction action {};
      ::sigaction(signal, nullptr, &action);
      all.push_back(action.sa_handler);
    }
    return all;
  };
  const auto threads = [] {
    std::set<std::string> all;
    if (DIR* tasks = ::opendir("/proc/self/task")) {
      while (const dirent* entry = ::readdir(tasks)) all.insert(entry->d_name);
      ::closedir(tasks);
    }
    return all;
  };
  const auto before = handlers();
  const auto ours = threads();
  auto server = open(directory / "data");
  auto client = server->connect_local();
  round_trip(*client, "t", 100);
  EXPECT_EQ(handlers(), before);
  int checked = 0;
  for (const std::string& thread : threads()) {
    if (ours.contains(thread) || thread.starts_with(".")) continue;
    std::ifstream status("/proc/self/task/" + thread + "/status");
    std::string line, name;
    while (std::getline(status, line)) {
      if (line.starts_with("Name:")) name = line.substr(6);
      if (!line.starts_with("SigBlk:")) continue;
      const auto blocked = std::stoull(line.substr(8), nullptr, 16);
      EXPECT_TRUE(blocked & (1ull << (SIGTERM - 1))) << name;
      EXPECT_TRUE(blocked & (1ull << (SIGINT - 1))) << name;
      ++checked;
    }
  }
  EXPECT_GE(checked, 4);  // shard, journal, segments, store, client
}

TEST(Local, EverythingIsOpenedCloseOnExec) {
  const TemporaryDirectory directory;
  auto server = open(directory / "data", {.listen = {"leat://127.0.0.1:0"}});
  auto client = blocking::Client::connect({.broker = server->listeners().front()});
  ASSERT_TRUE(client);
  round_trip(*client, "t", 100);
  for (int fd = 3; fd < 1'000; ++fd) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags < 0) continue;
    char target[256] = "";
    [[maybe_unused]] const ssize_t n =
        ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target - 1);
    const std::string path = target;
    if (path.find((directory / "data").substr(0, 10)) == std::string::npos &&
        !path.starts_with("socket:") && !path.starts_with("anon_inode:"))
      continue;  // the test runner's own
    EXPECT_TRUE(flags & FD_CLOEXEC) << path;
  }
}

// A child gets an error from everything it inherits, ends without hanging, and the parent goes on.
TEST(Local, UseAfterForkIsRefusedAndHarmsNobody) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "this sanitizer ends a child of a process with threads";
#endif
  const TemporaryDirectory directory;
  auto server = open(directory / "data", {.listen = {"leat://127.0.0.1:0"}});
  auto local = server->connect_local();
  auto remote = blocking::Client::connect({.broker = server->listeners().front()});
  ASSERT_TRUE(local && remote && local->create_topic("t", 1));
  auto producer = remote->producer(Topic{"t"});
  auto consumer = local->consumer({.topics = {"t"}, .group = Group{"g"}});
  ASSERT_TRUE(producer && consumer);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);  // a hang is a failure
    const auto refused = [](const auto& result) {
      return !result && result.error().code == ErrorCode::kNotAllowed;
    };
    const bool ok = refused(server->connect_local()) && refused(local->list_topics()) &&
                    refused(remote->list_topics()) && refused((*producer)->flush()) &&
                    refused((*producer)->send({.value = as_bytes("x")})) &&
                    refused((*consumer)->poll(1s)) && refused((*consumer)->commit());
    server->close();
    producer->reset();
    consumer->reset();
    local = fail(ErrorCode::kClosed);
    remote = fail(ErrorCode::kClosed);
    server.reset();
    ::_exit(ok ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  ASSERT_TRUE((*producer)->send_and_wait({.value = as_bytes("still here")}));
  EXPECT_EQ((*consumer)->poll(60s)->size(), 1u);
  EXPECT_EQ(Server::open({.data_dir = directory / "data"}).error(), ErrorCode::kDataDirLocked);
}

// A child that may not call socket(2) uses a broker nevertheless.
TEST(Local, WorksWhereSocketsAreForbidden) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "this sanitizer starts no threads in a child of a process that had some";
#endif
  const TemporaryDirectory directory;
  const pid_t child = ::fork();
  if (child == 0) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{.len = std::size(filter), .filter = filter};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
      ::_exit(77);
    {
      auto server = open(directory / "data");
      auto client = server->connect_local();
      if (!client) ::_exit(2);
      round_trip(*client, "t", 100);
    }
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "this machine takes no seccomp filter";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Local, AFullServerRefusesRecordsAndKeepsWhatItHas) {
  const TemporaryDirectory directory;
  ServerOptions options;
  options.limits.broker.max_stored_bytes = 100'000;
  auto server = open(directory / "data", std::move(options));
  auto client = server->connect_local();
  ASSERT_TRUE(client->create_topic("t", 1));
  auto producer = client->producer(Topic{"t"}, {.linger = 0ms});
  const std::string value(10'000, 'v');
  int stored = 0;
  Error refused = ErrorCode::kOk;
  while (stored < 100) {
    auto ack = (*producer)->send_and_wait({.value = as_bytes(value)});
    if (!ack) {
      refused = ack.error();
      break;
    }
    ++stored;
  }
  EXPECT_EQ(refused.code, ErrorCode::kNoSpace);
  EXPECT_EQ(stored, 9);
  auto consumer = client->consumer({.topics = {"t"}});
  EXPECT_FALSE((*consumer)->poll(60s)->empty());
}

}  // namespace
}  // namespace leat
