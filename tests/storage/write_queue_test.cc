// The queues of durable writes by themselves, on real files.
#include "storage/write_queue.h"

#include <array>
#include <fstream>
#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "storage/uring_write_queue.h"
#include "tests/forbid_io_uring.h"
#include "tests/temporary_directory.h"

namespace leat::storage {
namespace {

constexpr std::size_t kSmall = 2 * kBlockBytes, kLarge = 256 << 10;
constexpr std::size_t kDepth = 6;

std::unique_ptr<WriteQueue> open_queue(WriteMode mode) {
  if (mode == WriteMode::kThread) return std::make_unique<ThreadWriteQueue>(kDepth);
  auto queue = real_file_io().write_queue(kDepth);
  return queue ? std::move(*queue) : nullptr;
}

class WriteQueueTest : public ::testing::TestWithParam<WriteMode> {
 protected:
  void SetUp() override {
    if (GetParam() == WriteMode::kUring && !test::io_uring_exists())
      GTEST_SKIP() << "this kernel has no io_uring, or forbids it";
    queue = open_queue(GetParam());
    ASSERT_TRUE(queue);
  }
  std::unique_ptr<File> file(const char* name, bool writable = true) {
    const std::string path = directory / name;
    std::ofstream(path) << std::string(kDepth * kLarge, '.');
    auto opened = real_file_io().open(path, {.write = writable, .write_through = true});
    if (!opened) throw std::runtime_error(opened.error().message());
    return std::move(*opened);
  }
  // Slot i writes the letter 'a' + i, each third of them much of it.
  std::size_t start(WriteQueue::Slot slot, File& to) {
    const MutableBytes bytes = queue->buffer(slot, slot % 3 == 2 ? kLarge : kSmall);
    std::fill(bytes.begin(), bytes.end(), static_cast<std::byte>('a' + slot));
    queue->start(slot, to, slot * kLarge, {});
    return bytes.size();
  }
  std::map<WriteQueue::Slot, Result<>> wait_for(std::size_t count) {
    std::map<WriteQueue::Slot, Result<>> ended;
    while (ended.size() < count)
      for (auto& done : queue->wait(WriteQueue::Time::max()))
        EXPECT_TRUE(ended.emplace(done.slot, std::move(done.result)).second) << "ended twice";
    return ended;
  }

  test::TemporaryDirectory directory;
  std::unique_ptr<WriteQueue> queue;
};

std::string mode_name(const ::testing::TestParamInfo<WriteMode>& mode) {
  return mode.param == WriteMode::kUring ? "uring" : "thread";
}
INSTANTIATE_TEST_SUITE_P(Writes, WriteQueueTest,
                         ::testing::Values(WriteMode::kUring, WriteMode::kThread), mode_name);

TEST_P(WriteQueueTest, WritesWithOthersBesideThemEndWhereTheyBelong) {
  auto to = file("data");
  for (int round = 0; round < 20; ++round) {
    std::array<std::size_t, kDepth> sizes;
    for (WriteQueue::Slot slot = 0; slot < kDepth; ++slot) sizes[slot] = start(slot, *to);
    for (const auto& [slot, result] : wait_for(kDepth)) EXPECT_TRUE(result) << slot;
    std::ifstream written(directory / "data", std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(written), {}};
    for (WriteQueue::Slot slot = 0; slot < kDepth; ++slot) {
      const std::string_view part(content.data() + slot * kLarge, kLarge);
      const char letter = static_cast<char>('a' + slot);
      EXPECT_EQ(part.find_first_not_of(letter), sizes[slot] == kLarge ? part.npos : sizes[slot]);
    }
  }
}

// Also where the file takes O_DIRECT.
TEST_P(WriteQueueTest, WhatLiesElsewhereIsWrittenWhereItBelongs) {
  const std::string path = directory / "inlaid";
  std::ofstream(path) << std::string(kDepth * 32 * kBlockBytes, '.');
  auto to = real_file_io().open(path, {.write = true, .direct = true, .write_through = true});
  ASSERT_TRUE(to);
  AlignedBuffer elsewhere;
  elsewhere.resize(20 * kBlockBytes);
  std::ranges::fill(elsewhere.bytes(), std::byte{'e'});
  const Bytes small = Bytes(elsewhere.bytes()).first(kBlockBytes);
  for (WriteQueue::Slot slot = 0; slot < kDepth; ++slot) {
    const auto buffer = queue->buffer(slot, 3 * kBlockBytes);
    std::ranges::fill(buffer, static_cast<std::byte>('0' + slot));
    const Inlay inlays[] = {{kBlockBytes, small}, {3 * kBlockBytes, elsewhere.bytes()}};
    queue->start(slot, **to, slot * 32 * kBlockBytes, inlays);
  }
  for (const auto& [slot, result] : wait_for(kDepth)) EXPECT_TRUE(result) << slot;
  // A small one with nothing beside it.
  std::ranges::fill(queue->buffer(0, kBlockBytes), std::byte{'.'});
  const Inlay inlay{kBlockBytes, small};
  queue->start(0, **to, (31 - 2) * kBlockBytes, {&inlay, 1});
  EXPECT_TRUE(wait_for(1).at(0));
  std::ifstream written(path, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(written), {}};
  for (WriteQueue::Slot slot = 0; slot < kDepth; ++slot) {
    const auto part = std::string_view(content).substr(slot * 32 * kBlockBytes, 32 * kBlockBytes);
    const std::string own(kBlockBytes, static_cast<char>('0' + slot)), inlaid(kBlockBytes, 'e');
    std::string wanted = own + inlaid + own + std::string(20 * kBlockBytes, 'e') + own;
    wanted += std::string(8 * kBlockBytes, '.');
    if (slot == 0) wanted.replace(30 * kBlockBytes, kBlockBytes, inlaid);
    EXPECT_TRUE(part == wanted) << slot;
  }
}

TEST_P(WriteQueueTest, AWriteThatFailsIsToldAndTheOthersEnd) {
  auto good = file("good"), bad = file("bad", false);
  start(0, *good);
  start(1, *bad);  // small
  start(2, *bad);  // large
  start(3, *good);
  const auto ended = wait_for(4);
  EXPECT_TRUE(ended.at(0));
  EXPECT_FALSE(ended.at(1));
  EXPECT_FALSE(ended.at(2));
  EXPECT_NE(ended.at(2).error().detail.find("bad"), std::string::npos);
  EXPECT_TRUE(ended.at(3));
}

TEST_P(WriteQueueTest, AWakeAndATimeEndAWait) {
  EXPECT_TRUE(queue->wait(WriteQueue::Time::clock::now() + std::chrono::milliseconds(1)).empty());
  EXPECT_TRUE(queue->wait(WriteQueue::Time::clock::now()).empty());
  for (int i = 0; i < 100; ++i) {
    std::thread waker([&] { queue->wake(); });
    EXPECT_TRUE(queue->wait(WriteQueue::Time::max()).empty());
    waker.join();
  }
}

}  // namespace
}  // namespace leat::storage
