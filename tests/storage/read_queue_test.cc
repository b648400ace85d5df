// Reads of several places at once, on real files.
#include "storage/large/read_queue.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "storage/aligned_buffer.h"
#include "tests/forbid_io_uring.h"
#include "tests/temporary_directory.h"

namespace leat::storage {
namespace {

constexpr std::size_t kDepth = 4, kReads = 3 * kDepth + 1;  // more than fit at once

class ReadQueueTest : public ::testing::Test {
 protected:
  // Block i of the file is full of the letter 'a' + i; behind the last whole one lie 100 bytes.
  std::unique_ptr<File> file(bool direct) {
    const std::string path = directory / "file";
    std::ofstream out(path);
    for (std::size_t i = 0; i < kReads; ++i) out << std::string(kBlockBytes, letter(i));
    out << std::string(100, '!');
    out.close();
    auto opened = real_file_io().open(path, {.direct = direct});
    if (!opened) throw std::runtime_error(opened.error().message());
    return std::move(*opened);
  }
  static char letter(std::size_t i) { return static_cast<char>('a' + i); }

  // The blocks from the last to the first, then one at the file's end and one behind it.
  void read_everywhere(ReadQueue& queue, File& file) {
    std::vector<AlignedBuffer> buffers(kReads + 2);
    std::vector<ReadQueue::Read> reads;
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      buffers[i].resize(kBlockBytes);
      const std::size_t block = i < kReads ? kReads - 1 - i : i;
      reads.push_back({.file = &file, .at = block * kBlockBytes, .into = buffers[i].bytes()});
    }
    queue.read(reads);
    for (std::size_t i = 0; i < kReads; ++i) {
      ASSERT_TRUE(reads[i].result) << reads[i].result.error().message();
      EXPECT_EQ(*reads[i].result, kBlockBytes);
      const Bytes bytes = buffers[i].bytes();
      EXPECT_TRUE(std::ranges::all_of(bytes, [&](std::byte b) {
        return b == static_cast<std::byte>(letter(kReads - 1 - i));
      })) << i;
    }
    EXPECT_EQ(reads[kReads].result.value_or(kReads * kBlockBytes), 100u);
    EXPECT_EQ(reads[kReads + 1].result.value_or(kReads * kBlockBytes), 0u);
    queue.read({});
  }

  test::TemporaryDirectory directory;
};

TEST_F(ReadQueueTest, BringsEachItsOwn) {
  for (const bool direct : {false, true}) {
    const auto opened = file(direct);
    read_everywhere(*real_file_io().read_queue(kDepth), *opened);
    ReadsInTurn in_turn;
    read_everywhere(in_turn, *opened);
  }
}

TEST_F(ReadQueueTest, SaysWhichFailed) {
  if (!test::io_uring_exists()) GTEST_SKIP() << "this kernel has no io_uring, or forbids it";
  const auto queue = open_uring_reads(kDepth);
  ASSERT_TRUE(queue);
  const auto good = file(false);
  const auto folder = real_file_io().open(directory / ".", {});  // a read of it fails
  ASSERT_TRUE(folder);
  std::byte first[16], second[16];
  ReadQueue::Read reads[] = {{.file = folder->get(), .into = first},
                             {.file = good.get(), .into = second}};
  queue->read(reads);
  EXPECT_FALSE(reads[0].result);
  EXPECT_EQ(reads[1].result.value_or(kReads * kBlockBytes), sizeof second);
}

void read_without_io_uring(const std::string& path) {
  if (!test::forbid_io_uring() || open_uring_reads(kDepth)) ::_exit(1);
  auto file = real_file_io().open(path, {});
  std::byte byte;
  ReadQueue::Read read{.file = file->get(), .into = {&byte, 1}};
  real_file_io().read_queue(kDepth)->read({&read, 1});
  ::_exit(read.result && byte == std::byte{'a'} ? 0 : 1);
}

TEST_F(ReadQueueTest, GoesOnWhereIoUringIsForbidden) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  file(false);
  EXPECT_EXIT(read_without_io_uring(directory / "file"), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace leat::storage
