// Rule 4, clause by clause: what the journal makes durable, and what it finds again.
#include "storage/journal.h"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <thread>

#include <gtest/gtest.h>

#include "protocol/base/random.h"
#include "storage/journal_format.h"
#include "tests/forbid_io_uring.h"
#include "tests/storage/journal_harness.h"
#include "tests/storage/recording_file_io.h"
#include "tests/temporary_directory.h"

namespace leat::storage {
namespace {

using test::Operation;
using test::RecordingFileIo;
using test::TemporaryDirectory;

std::vector<std::string> numbered(int count, int from = 0) {
  std::vector<std::string> texts;
  for (int i = from; i < from + count; ++i)
    texts.push_back("entry " + std::to_string(i) +
                    std::string(static_cast<std::size_t>(i % 700), 'x'));
  return texts;
}

void append_all(Harness& harness, const std::vector<std::string>& texts) {
  for (const auto& text : texts) harness.append(text);
}

std::string journal_of(const TemporaryDirectory& directory) {
  return directory / "journal";
}

std::vector<std::string> segments_in(const std::string& directory) {
  std::vector<std::string> paths;
  const auto names = real_file_io().list(directory);
  for (const std::string& name : *names)
    if (name.ends_with(".seg")) paths.push_back(directory + "/" + name);
  return paths;
}

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
std::string slurp(const std::string& path, std::uint64_t at, std::size_t bytes) {
  std::string part(bytes, '\0');
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  file.read(part.data(), static_cast<std::streamsize>(bytes));
  return part;
}
void spit(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

class JournalTest : public ::testing::TestWithParam<WriteMode> {
 protected:
  void SetUp() override {
    if (GetParam() == WriteMode::kUring && !test::io_uring_exists())
      GTEST_SKIP() << "this kernel has no io_uring, or forbids it";
  }
};

std::string mode_name(const ::testing::TestParamInfo<WriteMode>& mode) {
  return mode.param == WriteMode::kUring ? "uring" : "thread";
}
INSTANTIATE_TEST_SUITE_P(Writes, JournalTest,
                         ::testing::Values(WriteMode::kUring, WriteMode::kThread), mode_name);

TEST_P(JournalTest, ReplaysWhatWasAppendedInOrder) {
  TemporaryDirectory directory;
  const auto texts = numbered(500);
  Harness harness(GetParam(), journal_of(directory));
  ASSERT_TRUE(harness.open());
  append_all(harness, texts);
  ASSERT_TRUE(harness.settle());
  EXPECT_EQ(harness.durable(), texts);
  ASSERT_TRUE(harness.open());
  EXPECT_EQ(harness.replayed, texts);
  EXPECT_EQ(harness.journal->recovery().last, JournalPosition(500));
  EXPECT_EQ(harness.journal->recovery().incarnation, 2u);
}

TEST_P(JournalTest, ReplaysOnlyAboveThePersistedPosition) {
  TemporaryDirectory directory;
  Harness harness(GetParam(), journal_of(directory));
  ASSERT_TRUE(harness.open());
  append_all(harness, numbered(10));
  ASSERT_TRUE(harness.open(JournalPosition(7)));
  EXPECT_EQ(harness.replayed, numbered(3, 7));
}

// Rule 3: what may wait walks the same journal, in its place.
TEST_P(JournalTest, WhatMayWaitGoesWithTheNextEntryThatMayNot) {
  const TemporaryDirectory directory;
  Harness harness(GetParam(), directory / "journal");
  ASSERT_TRUE(harness.open());
  const auto groups = harness.journal->stats().groups;
  for (const char* text : {"a", "b", "c"}) harness.append(text, Duration::max());
  EXPECT_EQ(harness.durable(), std::vector<std::string>());
  harness.append("d");
  ASSERT_TRUE(harness.settle());
  EXPECT_EQ(harness.durable(), (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_EQ(harness.journal->stats().groups, groups + 1);
}

TEST_P(JournalTest, WhatMayWaitIsWrittenWithinItsTimeAndBeyondItsBytesAndAtAStop) {
  const TemporaryDirectory directory;
  Harness harness(GetParam(), directory / "journal");
  harness.options.max_delayed_bytes = 100;
  ASSERT_TRUE(harness.open());
  harness.append("interval", std::chrono::milliseconds(20));
  ASSERT_TRUE(harness.settle());
  harness.append(std::string(60, 'x'), Duration::max());
  harness.append(std::string(60, 'y'), Duration::max());
  ASSERT_TRUE(harness.settle());
  harness.append("last", Duration::max());
  harness.close();
  EXPECT_EQ(harness.durable().back(), "last");
  ASSERT_TRUE(harness.open());
  EXPECT_EQ(harness.replayed.size(), 4u);
}

TEST_P(JournalTest, TakesAnEntryLargerThanASegment) {
  TemporaryDirectory directory;
  Harness harness(GetParam(), journal_of(directory));
  ASSERT_TRUE(harness.open());
  const std::vector<std::string> texts{"small", std::string(300'000, 'L'), "after"};
  append_all(harness, texts);
  ASSERT_TRUE(harness.settle());
  ASSERT_TRUE(harness.open());
  EXPECT_EQ(harness.replayed, texts);
}

// Whether the write that covers `entry` has ended, and every write before it.
bool proved_durable(const RecordingFileIo& io, const JournalEntry& entry) {
  const auto done = io.recorded();
  const auto covers = [&](const test::Recorded& write) {
    return write.operation == Operation::kWriteThrough &&
           slurp(write.path, write.at, write.bytes).find(as_text(entry.body)) != std::string::npos;
  };
  const auto covering = std::find_if(done.rbegin(), done.rend(), covers);
  if (covering == done.rend()) return false;
  for (const test::Recorded& write : io.in_flight())
    if (write.path != covering->path || write.at <= covering->at) return false;
  return true;
}

TEST_P(JournalTest, NoEntryIsToldDurableBeforeItsWriteAndAllBeforeItEnded) {
  std::size_t most_in_flight = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    TemporaryDirectory directory;
    RecordingFileIo io(real_file_io());
    io.shuffle(seed);
    std::vector<std::uint64_t> told;
    std::size_t unproved = 0;
    auto opened = Journal::open({.directory = journal_of(directory),
                                 .first_segment_bytes = 64 << 10,
                                 .segment_bytes = 128 << 10,
                                 .max_group_bytes = 8 << 10,
                                 .writes = GetParam(),
                                 .overlap_bytes = 1},
                                io, {}, [](const JournalEntry&) { return Result<>(); },
                                {.on_durable =
                                     [&](std::span<const JournalEntry> entries) {
                                       for (const JournalEntry& entry : entries) {
                                         unproved += !proved_durable(io, entry);
                                         told.push_back(entry.position.value);
                                       }
                                     },
                                 .on_failed = [](const Error&) {}});
    ASSERT_TRUE(opened) << opened.error().message();
    for (int i = 0; i < 60; ++i)
      (*opened)->append(entry_of("covered " + std::to_string(i) + "." + std::string(3'000, 'c')));
    opened->reset();
    ASSERT_EQ(told.size(), 60u);
    for (std::size_t i = 0; i < told.size(); ++i) ASSERT_EQ(told[i], i + 1) << "seed " << seed;
    EXPECT_EQ(unproved, 0u) << "seed " << seed;
    most_in_flight = std::max(most_in_flight, io.most_in_flight());
  }
  if (GetParam() == WriteMode::kUring) {
    EXPECT_GT(most_in_flight, 4u);
  }
}

TEST_P(JournalTest, SyncsWhatItReplaysBeforeTheFirstVisit) {
  TemporaryDirectory directory;
  {
    Harness harness(GetParam(), journal_of(directory));
    harness.options.max_group_bytes = 8 << 10;  // so that there are several segments
    ASSERT_TRUE(harness.open());
    append_all(harness, numbered(600));
  }
  const auto segments = segments_in(journal_of(directory));
  RecordingFileIo io(real_file_io());
  std::optional<std::vector<test::Recorded>> before_first;
  auto opened = Journal::open(
      {.directory = journal_of(directory), .writes = GetParam()}, io, {},
      [&](const JournalEntry&) {
        if (!before_first) before_first = io.recorded();
        return Result<>();
      },
      {.on_durable = [](std::span<const JournalEntry>) {}, .on_failed = [](const Error&) {}});
  ASSERT_TRUE(opened);
  ASSERT_TRUE(before_first);
  std::set<std::string> synced;
  bool directory_synced = false;
  for (const auto& done : *before_first) {
    if (done.operation == Operation::kSync) synced.insert(done.path);
    directory_synced |= done.operation == Operation::kSyncDirectory;
  }
  EXPECT_GT(segments.size(), 2u);
  for (const std::string& path : segments) EXPECT_TRUE(synced.contains(path)) << path;
  EXPECT_TRUE(directory_synced);
}

TEST_P(JournalTest, ATornTailIsCutAndCountedAndItsPositionsWrittenAgain) {
  TemporaryDirectory directory;
  Harness harness(GetParam(), journal_of(directory));
  ASSERT_TRUE(harness.open());
  append_all(harness, numbered(3));
  ASSERT_TRUE(harness.settle());
  // No marker, as if the power went at once: the group is the last thing in the segment.
  harness.options.marker_after = std::chrono::hours(1);
  harness.close();
  const std::string path = segments_in(journal_of(directory)).front();
  std::string segment = slurp(path);
  // Forget the markers that idleness and the clean stop wrote, and tear the last group with
  // entries.
  std::size_t last_group = 0;
  for (std::size_t at = 0; at < segment.size(); at += kBlockBytes) {
    const auto block = as_bytes(segment).subspan(at, kBlockBytes);
    std::uint64_t id = load_le<std::uint64_t>(as_bytes(segment).data() + 48);
    const auto header = read_group_header(block, id);
    if (header && header->entries > 0) last_group = at;
  }
  ASSERT_GT(last_group, 0u);
  std::fill(segment.begin() + static_cast<std::ptrdiff_t>(last_group + kBlockBytes), segment.end(),
            '\0');
  segment[last_group + kGroupHeaderBytes + 9] ^= 1;
  spit(path, segment);
  ASSERT_TRUE(harness.open());
  EXPECT_LT(harness.replayed.size(), 3u);
  EXPECT_EQ(harness.journal->recovery().torn_bytes, kBlockBytes);
  const auto survivors = harness.replayed;
  const JournalPosition next = harness.journal->append(entry_of("again"));
  EXPECT_EQ(next.value, survivors.size() + 1);
  // The torn group lies in the older segment still; neither it nor its evidence revives.
  ASSERT_TRUE(harness.open());
  auto expected = survivors;
  expected.push_back("again");
  EXPECT_EQ(harness.replayed, expected);
}

// Puts an intact group behind the journal's only entry, where the marker was: what a stale record
// in a recycled segment, or one behind a torn one, looks like. The caller bends its header.
template <class Bend>
std::vector<std::string> replayed_with_group_behind(Bend bend) {
  TemporaryDirectory directory;
  Harness harness(WriteMode::kThread, journal_of(directory));
  EXPECT_TRUE(harness.open());
  harness.append("one");
  EXPECT_TRUE(harness.settle());
  harness.close();
  const std::string path = segments_in(journal_of(directory)).front();
  std::string segment = slurp(path);
  const std::size_t at = kBlockBytes;  // behind the start's marker
  const auto id = load_le<std::uint64_t>(as_bytes(segment).data() + 48);
  const auto one = read_group_header(as_bytes(segment).subspan(at, kBlockBytes), id);
  EXPECT_TRUE(one && one->entries == 1);
  GroupHeader header = *one;
  header.first = one->next();
  header.durable = JournalPosition(0);
  header.previous_crc = one->crc;
  bend(header);
  std::string group(segment, at, kBlockBytes);
  group.replace(group.find("one"), 3, "two");
  seal_group(MutableBytes(reinterpret_cast<std::byte*>(group.data()), group.size()), header);
  const std::size_t bytes = segment.size();
  segment.resize(at + kBlockBytes);
  segment += group;
  segment.resize(bytes);
  spit(path, segment);
  EXPECT_TRUE(harness.open());
  return harness.replayed;
}

TEST_P(JournalTest, AnIntactGroupThatDoesNotContinueTheChainNeverRevives) {
  using Replayed = std::vector<std::string>;
  EXPECT_EQ(replayed_with_group_behind([](GroupHeader&) {}), (Replayed{"one", "two"}));
  EXPECT_EQ(replayed_with_group_behind([](GroupHeader& h) { h.previous_crc ^= 1; }),
            Replayed{"one"});
  EXPECT_EQ(replayed_with_group_behind([](GroupHeader& h) { h.first = h.first + 1; }),
            Replayed{"one"});
  EXPECT_EQ(replayed_with_group_behind([](GroupHeader& h) { h.incarnation += 1; }),
            Replayed{"one"});
  EXPECT_EQ(replayed_with_group_behind([](GroupHeader& h) { h.incarnation -= 1; }),
            Replayed{"one"});
  EXPECT_EQ(replayed_with_group_behind([](GroupHeader& h) { h.journal_id += 1; }), Replayed{"one"});
}

TEST_P(JournalTest, LossBelowTheDurableMarkIsCorruption) {
  TemporaryDirectory directory;
  Harness harness(GetParam(), journal_of(directory));
  ASSERT_TRUE(harness.open());
  harness.append("acknowledged");
  ASSERT_TRUE(harness.settle());
  harness.close();  // writes the marker
  const std::string path = segments_in(journal_of(directory)).front();
  std::string segment = slurp(path);
  segment[segment.find("acknowledged")] ^= 1;
  spit(path, segment);
  const auto opened = harness.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorruptStorage);
  EXPECT_NE(opened.error().detail.find("00000001.seg"), std::string::npos)
      << opened.error().message();
}

// The groups that would prove the loss are cut off with it.
TEST_P(JournalTest, ASegmentThatWasCutIsCorruption) {
  TemporaryDirectory directory;
  Harness harness(GetParam(), journal_of(directory));
  ASSERT_TRUE(harness.open());
  harness.append("acknowledged");
  ASSERT_TRUE(harness.settle());
  harness.close();
  const std::string path = segments_in(journal_of(directory)).front();
  std::filesystem::resize_file(path, kBlockBytes);
  const auto opened = harness.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorruptStorage);
  EXPECT_NE(opened.error().detail.find(path), std::string::npos) << opened.error().message();
}

TEST_P(JournalTest, AMissingManifestBesideGroupsIsCorruption) {
  TemporaryDirectory directory;
  Harness harness(GetParam(), journal_of(directory));
  ASSERT_TRUE(harness.open());
  harness.append("acknowledged");
  ASSERT_TRUE(harness.settle());
  harness.close();
  std::filesystem::remove(journal_of(directory) + "/MANIFEST");
  const auto opened = harness.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorruptStorage);
  EXPECT_FALSE(segments_in(journal_of(directory)).empty());
}

TEST_P(JournalTest, RecyclesSegmentsAndStaleGroupsNeverRevive) {
  TemporaryDirectory directory;
  Harness harness(GetParam(), journal_of(directory));
  ASSERT_TRUE(harness.open());
  int next = 0;
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 20; ++i)
      harness.append("entry " + std::to_string(next++) + std::string(400, 'y'));
    ASSERT_TRUE(harness.settle());
    harness.journal->set_persisted(JournalPosition(static_cast<std::uint64_t>(next - 5)));
  }
  harness.close();
  // 40 rounds of 20 entries fill far more than what is kept.
  EXPECT_LE(segments_in(journal_of(directory)).size(), 8u);
  const auto persisted = JournalPosition(static_cast<std::uint64_t>(next - 5));
  ASSERT_TRUE(harness.open(persisted));
  ASSERT_EQ(harness.replayed.size(), 5u);
  EXPECT_TRUE(harness.replayed.front().starts_with("entry " + std::to_string(next - 5)));
}

// Each zero written ahead costs as much as a byte of an entry.
TEST_P(JournalTest, SegmentsThatAreRetiredTogetherAreAllUsedAgain) {
  TemporaryDirectory directory;
  Harness harness(GetParam(), journal_of(directory));
  ASSERT_TRUE(harness.open());
  std::uint64_t appended = 0, warm = 0;
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 50; ++i, ++appended) {
      harness.append(std::string(4'000, 'y'));
      if (i % 10 < 9) continue;
      ASSERT_TRUE(harness.settle());  // a group fits into a segment
    }
    harness.journal->set_persisted(JournalPosition(appended));
    if (round == 3) warm = harness.journal->stats().prewritten_bytes;
  }
  // But for one or two that were needed in a moment when none was retired.
  EXPECT_LE(harness.journal->stats().prewritten_bytes, warm + 2 * harness.options.segment_bytes);
}

TEST_P(JournalTest, MissingEntriesAboveThePersistedPositionAreCorruption) {
  TemporaryDirectory directory;
  Harness harness(GetParam(), journal_of(directory));
  ASSERT_TRUE(harness.open());
  append_all(harness, numbered(300));
  ASSERT_TRUE(harness.settle());
  harness.close();
  std::filesystem::remove(segments_in(journal_of(directory)).front());
  const auto opened = harness.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorruptStorage);
}

TEST_P(JournalTest, EveryFlippedByteIsFoundOrHarmless) {
  TemporaryDirectory directory;
  const auto texts = numbered(12);
  {
    Harness harness(GetParam(), journal_of(directory));
    ASSERT_TRUE(harness.open());
    append_all(harness, texts);
    ASSERT_TRUE(harness.settle());
  }
  const std::string path = segments_in(journal_of(directory)).front();
  const std::string intact = slurp(path);
  int refused = 0;
  for (std::size_t at = 0; at < 4 * kBlockBytes; at += 61) {
    TemporaryDirectory copy;
    std::filesystem::copy(journal_of(directory), journal_of(copy),
                          std::filesystem::copy_options::recursive);
    std::string flipped = intact;
    flipped[at] ^= static_cast<char>(1 << (at % 8));
    spit(segments_in(journal_of(copy)).front(), flipped);
    Harness harness(GetParam(), journal_of(copy));
    const auto opened = harness.open();
    refused += !opened;
    // All of it, or a refusal; a flip in padding or in the last marker changes nothing.
    if (opened) {
      EXPECT_EQ(harness.replayed, texts) << "byte " << at;
    }
  }
  EXPECT_GT(refused, 0);
}

// What on_durable told survives, whichever operation fails, and nothing is told after a failure.
TEST_P(JournalTest, FailingAnyOperationLosesNothingAcknowledged) {
  for (const bool sticky : {false, true}) {
    for (std::uint64_t k = 0; k < 400; ++k) {
      TemporaryDirectory directory;
      RecordingFileIo io(real_file_io());
      io.fail_at(k, ErrorCode::kIoError, sticky);
      Harness harness(GetParam(), journal_of(directory), io);
      std::vector<std::string> durable;
      if (harness.open()) {
        for (const auto& text : numbered(60)) {
          harness.append(text);
          if (!harness.settle()) break;
          harness.journal->set_persisted(JournalPosition());
        }
        harness.close();
        durable = harness.durable();
      }
      const bool beyond = io.changes() <= k;
      Harness again(GetParam(), journal_of(directory));
      const auto opened = again.open();
      ASSERT_TRUE(opened) << "k=" << k << " " << opened.error().message();
      ASSERT_GE(again.replayed.size(), durable.size()) << "k=" << k;
      const auto all = numbered(60);
      for (std::size_t i = 0; i < again.replayed.size(); ++i) ASSERT_EQ(again.replayed[i], all[i]);
      if (beyond) break;
    }
  }
}

// A full disk takes no next segment: the journal waits, tells nothing meanwhile, and goes on by
// itself.
TEST_P(JournalTest, WaitsForSpaceAndLosesNothing) {
  TemporaryDirectory directory;
  RecordingFileIo io(real_file_io());
  const auto texts = numbered(400);
  {
    Harness harness(GetParam(), journal_of(directory), io);
    ASSERT_TRUE(harness.open());
    for (std::size_t i = 0; i < 10; ++i) harness.append(texts[i]);
    ASSERT_TRUE(harness.settle());
    io.set_full(true);
    for (std::size_t i = 10; i < texts.size(); ++i) harness.append(texts[i]);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_LT(harness.durable().size(), texts.size());
    io.set_full(false);
    EXPECT_TRUE(harness.settle());
    EXPECT_EQ(harness.durable(), texts);
    io.set_full(true);
    for (const auto& text : texts) harness.append(text);
    harness.close();  // does not wait for space
  }
  io.set_full(false);
  Harness again(GetParam(), journal_of(directory), io);
  ASSERT_TRUE(again.open());
  ASSERT_GE(again.replayed.size(), texts.size());
  EXPECT_TRUE(std::equal(texts.begin(), texts.end(), again.replayed.begin()));
}

TEST_P(JournalTest, PowerCutsLoseNothingAcknowledged) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    TemporaryDirectory directory;
    Random random(seed);
    std::vector<std::string> expected;
    for (int life = 0; life < 3; ++life) {
      RecordingFileIo io(real_file_io());
      Harness harness(GetParam(), journal_of(directory), io);
      const auto opened = harness.open();
      ASSERT_TRUE(opened) << "seed " << seed << ": " << opened.error().message();
      ASSERT_GE(harness.replayed.size(), expected.size()) << "seed " << seed;
      for (std::size_t i = 0; i < expected.size(); ++i)
        ASSERT_EQ(harness.replayed[i], expected[i]) << "seed " << seed;
      expected = harness.replayed;
      io.shuffle(random.next());
      io.fail_at(random.below(60), ErrorCode::kIoError, true);  // the moment of the cut
      const int count = static_cast<int>(random.below(80)) + 1;
      for (int i = 0; i < count; ++i)
        harness.append(std::to_string(random.next()) + std::string(random.below(6'000), 'p'));
      harness.settle();
      harness.close();
      const auto durable = harness.durable();
      expected.insert(expected.end(), durable.begin(), durable.end());
      io.power_cut();
    }
  }
}

[[noreturn]] void write_without_io_uring() {
  if (!test::forbid_io_uring()) ::_exit(1);
  TemporaryDirectory directory;
  Harness named(WriteMode::kUring, journal_of(directory));
  const auto refused = named.open();
  if (refused || refused.error().code != ErrorCode::kUnsupportedRequest) ::_exit(2);
  std::cerr << refused.error().detail;
  Harness any(WriteMode::kAuto, journal_of(directory));
  if (!any.open() || any.journal->stats().writes != "thread") ::_exit(3);
  if (any.journal->stats().fallback.empty()) ::_exit(4);
  append_all(any, numbered(20));
  ::_exit(any.settle() && any.durable() == numbered(20) ? 0 : 5);
}

TEST(JournalWrites, WhereIoUringIsForbiddenThreadsWaitOrItSaysSo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(write_without_io_uring(), ::testing::ExitedWithCode(0),
              "io_uring_setup: Operation not permitted.*--journal thread");
}

TEST(JournalWrites, TakeIoUringWhereItExists) {
  if (!test::io_uring_exists()) GTEST_SKIP() << "this kernel has no io_uring, or forbids it";
  TemporaryDirectory directory;
  Harness harness(WriteMode::kAuto, journal_of(directory));
  ASSERT_TRUE(harness.open());
  EXPECT_EQ(harness.journal->stats().writes, "uring");
  EXPECT_EQ(harness.journal->stats().fallback, "");
  EXPECT_EQ(parse_write_mode("uring"), WriteMode::kUring);
  EXPECT_EQ(parse_write_mode("io_uring").error(), ErrorCode::kUsage);
}

TEST_P(JournalTest, ANewerManifestIsRefused) {
  TemporaryDirectory directory;
  Harness harness(GetParam(), journal_of(directory));
  ASSERT_TRUE(harness.open());
  harness.close();
  const std::string path = journal_of(directory) + "/MANIFEST";
  std::string manifest = slurp(path);
  manifest[4] = 3;
  const auto body = as_bytes(manifest).first(manifest.size() - 4);
  std::byte crc[4];
  store_le<std::uint32_t>(crc, crc32c(body));
  manifest.replace(manifest.size() - 4, 4, as_text(crc));
  spit(path, manifest);
  const auto opened = harness.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kFormatUnsupported);
}

}  // namespace
}  // namespace leat::storage
