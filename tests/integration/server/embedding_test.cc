// What rule 13 promises the host, where it takes a host that misbehaves.
#include <atomic>
#include <future>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "protocol/base/assert.h"
#include "server/server.h"
#include "tests/raw_connection.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using namespace std::chrono_literals;
using test::RawConnection;
using test::TemporaryDirectory;

constexpr auto kHang = 60s;  // detects a hang, times nothing

// A client whose handler never returns, one that never reads, one in the midst of a frame, one that
// waits for data: none of them keeps the server from closing.
TEST(Embedding, StuckClientsDoNotHoldUpClosing) {
  const TemporaryDirectory directory;
  auto server = Server::open({.data_dir = directory / "data", .listen = {"leat://127.0.0.1:0"}});
  ASSERT_TRUE(server) << server.error().message();
  const std::string url = (*server)->listeners().front();
  std::promise<void> release;
  auto released = release.get_future().share();
  auto local = (*server)->connect_local();
  ASSERT_TRUE(local && local->create_topic("t", 1));
  const auto topic = local->describe_topic("t");
  auto producer = local->producer(Topic{"t"});
  std::promise<void> stuck;
  ASSERT_TRUE(
      (*producer)->send({.value = as_bytes(std::string(1 << 20, 'v'))}, [&](const Result<Ack>&) {
        stuck.set_value();
        released.wait();
      }));
  ASSERT_EQ(stuck.get_future().wait_for(kHang), std::future_status::ready);
  RawConnection deaf(url), halfway(url), waiting(url);
  for (RawConnection* connection : {&deaf, &halfway, &waiting}) connection->hello();
  for (std::uint64_t i = 1; i <= 64; ++i)
    deaf.send(native::Fetch{topic->id, PartitionIndex(0), Offset(0), 1 << 20, 0}, i);
  halfway.send(as_bytes("LE"));
  waiting.send(native::Fetch{topic->id, PartitionIndex(0), Offset(1), 1 << 20, 60'000});

  auto closed = std::async(std::launch::async, [&] { (*server)->close(); });
  EXPECT_EQ(closed.wait_for(kHang), std::future_status::ready);
  EXPECT_EQ((*server)->connect_local().error(), ErrorCode::kShuttingDown);
  release.set_value();
  EXPECT_FALSE((*producer)->send_and_wait({.value = as_bytes("late")}));
}

// A child holds copies of the parent's descriptors; the parent's lock must not live on in them.
TEST(Embedding, AServerOpensAgainWhileAForkedChildLives) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "this sanitizer ends a child of a process with threads";
#endif
  const TemporaryDirectory directory;
  auto server = Server::open({.data_dir = directory / "data"});
  ASSERT_TRUE(server);
  int life[2];
  ASSERT_EQ(::pipe(life), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(life[1]);
    char ended;
    ::_exit(::read(life[0], &ended, 1) == 0 ? 0 : 1);
  }
  server->reset();
  auto again = Server::open({.data_dir = directory / "data"});
  EXPECT_TRUE(again) << again.error().message();
  ::close(life[0]);
  ::close(life[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(Embedding, TheHostDecidesWhatAFailedAssertionDoes) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const TemporaryDirectory directory;
  EXPECT_EXIT(
      {
        auto server =
            Server::open({.data_dir = directory / "data",
                          .on_assert = [](const char*, const char*, int) { ::_exit(42); }});
        LEAT_ASSERT(!server);
      },
      ::testing::ExitedWithCode(42), "");
}

TEST(Embedding, TheHostGetsTheLog) {
  const TemporaryDirectory directory;
  std::mutex mutex;
  std::string log;
  {
    auto server =
        Server::open({.data_dir = directory / "data", .log = [&](LogLevel, std::string_view line) {
                        const std::lock_guard lock(mutex);
                        log.append(line).append("\n");
                      }});
    ASSERT_TRUE(server);
  }
  for (const char* event : {"event=opened", "event=stopping", "event=stopped"})
    EXPECT_NE(log.find(event), std::string::npos) << log;
}

}  // namespace
}  // namespace leat
