// A failing change of RocksDB's manifest beside a rewrite.
#include "storage/rocks/late_failures.h"

#include <atomic>
#include <semaphore>
#include <thread>

#include <gtest/gtest.h>

namespace leat::storage {
namespace {

// Fails every change of a name or a file, and says that it was asked.
class Failing final : public rocksdb::FileSystemWrapper {
 public:
  Failing() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "failing"; }
  rocksdb::IOStatus RenameFile(const std::string&, const std::string&, const rocksdb::IOOptions&,
                               rocksdb::IODebugContext*) override {
    asked.release();
    return rocksdb::IOStatus::IOError("planted");
  }
  rocksdb::IOStatus NewWritableFile(const std::string&, const rocksdb::FileOptions&,
                                    std::unique_ptr<rocksdb::FSWritableFile>*,
                                    rocksdb::IODebugContext*) override {
    asked.release();
    return rocksdb::IOStatus::IOError("planted");
  }
  std::counting_semaphore<> asked{0};
};

class LateFailuresTest : public ::testing::Test {
 protected:
  // What the disk fails while a rewrite runs is told when it has ended.
  template <class Change>
  void expect_late(Change change) {
    for (int round = 0; round < 50; ++round) {
      std::atomic<bool> ended{false};
      late.rewrite_begins();
      std::thread other([&] {
        EXPECT_FALSE(change().ok());
        EXPECT_TRUE(ended);
      });
      disk->asked.acquire();
      std::this_thread::yield();
      ended = true;
      late.rewrite_ended();
      other.join();
    }
  }

  std::shared_ptr<Failing> disk = std::make_shared<Failing>();
  LateFailures late{disk};
};

TEST_F(LateFailuresTest, AreToldWhenNoRewriteRuns) {
  expect_late([&] { return late.RenameFile("/CURRENT.dbtmp", "/CURRENT", {}, nullptr); });
  expect_late([&] {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    return late.NewWritableFile("/MANIFEST-000007", {}, &file, nullptr);
  });
}

// Whoever is told may be what the rewrite waits for.
TEST_F(LateFailuresTest, AreToldInTheEndWhileOneRuns) {
  late.rewrite_begins();
  EXPECT_FALSE(late.RenameFile("/CURRENT.dbtmp", "/CURRENT", {}, nullptr).ok());
  late.rewrite_ended();
}

}  // namespace
}  // namespace leat::storage
