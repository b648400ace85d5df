// How the journal's segments come to be.
#include "tests/storage/journal_harness.h"
#include "tests/storage/recording_file_io.h"
#include "tests/temporary_directory.h"

namespace leat::storage {
namespace {

// Bytes of zeros that a journal of large groups writes, and what its next start reads.
std::uint64_t zeros_written(FileIo& io, const std::string& directory) {
  Harness harness(WriteMode::kThread, directory, io);
  harness.options.segment_bytes = 1 << 20;
  EXPECT_TRUE(harness.open());
  std::vector<std::string> texts;
  for (int i = 0; i < 20; ++i) {
    texts.push_back(std::to_string(i) + std::string(300'000, 'v'));
    harness.append(texts.back());
    EXPECT_TRUE(harness.settle());
  }
  const std::uint64_t zeros = harness.journal->stats().prewritten_bytes;
  EXPECT_GT(harness.journal->stats().segments, 5u);
  EXPECT_TRUE(harness.open());
  EXPECT_EQ(harness.replayed, texts);
  return zeros;
}

TEST(SegmentsForLargeGroups, AreAllocatedWhereThatCanBeHad) {
  test::TemporaryDirectory directory;
  EXPECT_LT(zeros_written(real_file_io(), directory / "allocated"), 2'000'000u);
  test::RecordingFileIo plain(real_file_io());
  plain.refuse_allocation();
  EXPECT_GT(zeros_written(plain, directory / "written"), 5'000'000u);
}

}  // namespace
}  // namespace leat::storage
