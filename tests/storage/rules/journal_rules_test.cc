// Rule 4 where only an exact moment, or an exact place on the disk, tells a journal that keeps it
// from one that does not.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "storage/journal_format.h"
#include "tests/storage/journal_harness.h"
#include "tests/storage/recording_file_io.h"
#include "tests/temporary_directory.h"

namespace leat::storage {
namespace {

namespace fs = std::filesystem;
using test::Operation;
using test::RecordingFileIo;
using test::TemporaryDirectory;

// An entry that fills a block by itself.
std::string block_of(int i) {
  return "entry " + std::to_string(i) + "." + std::string(3'000, 'b');
}

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class JournalRules : public ::testing::Test {
 protected:
  // Groups of one block each, and no marker but at a start and a stop.
  JournalRules() {
    harness.options.max_group_bytes = kBlockBytes;
    harness.options.marker_after = std::chrono::hours(1);
  }
  // One after the other: each is told before the next one comes.
  void append(int from, int to) {
    for (int i = from; i < to; ++i) {
      harness.append(block_of(i));
      ASSERT_TRUE(harness.settle());
    }
  }
  std::vector<std::string> segments(const std::string& journal) {
    std::vector<std::string> paths;
    const auto manifest = Manifest::decode(as_bytes(slurp(journal + "/MANIFEST")));
    EXPECT_TRUE(manifest);
    for (const auto& segment : manifest->segments)
      paths.push_back(journal + "/" + segment_name(segment.number));
    return paths;
  }
  // In the order in which they were written.
  std::vector<GroupHeader> groups(const std::string& journal) {
    const auto id = Manifest::decode(as_bytes(slurp(journal + "/MANIFEST")))->journal_id;
    std::vector<GroupHeader> found;
    for (const std::string& path : segments(journal)) {
      const std::string bytes = slurp(path);
      for (std::size_t at = 0; at < bytes.size(); at += kBlockBytes)
        if (const auto group = read_group_header(as_bytes(bytes).subspan(at, kBlockBytes), id))
          found.push_back(*group);
    }
    return found;
  }
  // Damages the text where the journal has it.
  void rot(const std::string& journal, const std::string& text) {
    for (const std::string& path : segments(journal)) {
      std::string bytes = slurp(path);
      const auto at = bytes.find(text);
      if (at == std::string::npos) continue;
      bytes[at] ^= 1;
      std::ofstream(path, std::ios::binary) << bytes;
      return;
    }
    ADD_FAILURE() << text << " is nowhere";
  }
  // What a kill leaves.
  void copy_to(const std::string& copy) {
    fs::copy(directory / "journal", copy, fs::copy_options::recursive);
  }
  static ErrorCode opened_at(const std::string& journal) {
    Harness other(WriteMode::kThread, journal);
    const auto opened = other.open();
    return opened ? ErrorCode::kOk : opened.error().code;
  }

  TemporaryDirectory directory;
  Harness harness{WriteMode::kThread, directory / "journal"};
};

TEST_F(JournalRules, EveryGroupNamesTheStartThatWroteIt) {
  for (int life = 0; life < 3; ++life) {
    ASSERT_TRUE(harness.open());
    append(3 * life, 3 * life + 3);
  }
  harness.close();
  std::map<std::uint64_t, std::uint64_t> written_by;  // entry: incarnation
  for (const GroupHeader& group : groups(directory / "journal"))
    if (group.entries > 0) written_by[group.first.value] = group.incarnation;
  ASSERT_EQ(written_by.size(), 9u);
  for (const auto& [entry, incarnation] : written_by)
    EXPECT_EQ(incarnation, (entry - 1) / 3 + 1) << "entry " << entry;
}

// The break is in the first segment, at its end; what knew the entry durable is in the second.
TEST_F(JournalRules, ALossIsProvedByWhatLiesInALaterSegment) {
  ASSERT_TRUE(harness.open());
  append(0, 10);
  harness.close();
  const auto paths = segments(directory / "journal");
  const std::string first = slurp(paths.front());
  int last = 9;
  while (first.find(block_of(last)) == std::string::npos) --last;
  ASSERT_LT(last, 9);
  rot(directory / "journal", block_of(last));
  EXPECT_EQ(opened_at(directory / "journal"), ErrorCode::kCorruptStorage);
}

// No marker has followed: the group behind says that the one before was told.
TEST_F(JournalRules, AGroupOfEntriesKnowsWhatWasDurableBeforeIt) {
  ASSERT_TRUE(harness.open());
  append(0, 2);
  copy_to(directory / "intact");
  copy_to(directory / "damaged");
  rot(directory / "damaged", block_of(0));
  EXPECT_EQ(opened_at(directory / "intact"), ErrorCode::kOk);
  EXPECT_EQ(opened_at(directory / "damaged"), ErrorCode::kCorruptStorage);
}

// What is only in flight may not arrive: a group that took it for durable would make of a torn tail
// a loss.
TEST_F(JournalRules, AGroupKnowsOfNothingThatWasNotTold) {
  RecordingFileIo io(real_file_io());
  std::vector<std::uint64_t> told;  // when each group was made
  Harness recorded(WriteMode::kUring, directory / "journal", io);
  recorded.options.max_group_bytes = kBlockBytes;
  recorded.options.at_point = [&](std::string_view point) {
    if (point == "journal.before_write") told.push_back(recorded.durable().size());
  };
  ASSERT_TRUE(recorded.open());
  for (int i = 0; i < 100; ++i) recorded.append(block_of(i));
  ASSERT_TRUE(recorded.settle());
  recorded.close();
  const auto written = groups(directory / "journal");
  ASSERT_EQ(written.size(), told.size());
  std::size_t beside_others = 0;
  for (std::size_t i = 0; i < written.size(); ++i) {
    EXPECT_EQ(written[i].durable.value, told[i]) << "group " << i;
    beside_others += written[i].durable + 1 < written[i].first;
  }
  EXPECT_GT(beside_others, 0u);
}

// Of the last group itself only a marker knows.
TEST_F(JournalRules, AMarkerFollowsIdleness) {
  EXPECT_EQ(JournalOptions().marker_after, std::chrono::milliseconds(10));
  RecordingFileIo io(real_file_io());
  const auto written = [&] {
    const auto done = io.recorded();
    return std::count_if(done.begin(), done.end(), [](const test::Recorded& write) {
      return write.operation == Operation::kWriteThrough;
    });
  };
  Harness idle(WriteMode::kThread, directory / "journal", io);
  ASSERT_TRUE(idle.open());
  idle.append(block_of(0));
  ASSERT_TRUE(idle.settle());
  const auto deadline = std::chrono::steady_clock::now() + kHang;
  while (written() < 3) {  // the start's marker, the entry, and this one
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "no marker";
    std::this_thread::yield();
  }
  copy_to(directory / "damaged");
  rot(directory / "damaged", block_of(0));
  EXPECT_EQ(opened_at(directory / "damaged"), ErrorCode::kCorruptStorage);
}

// Markers too: what they prove must not depend on a write that may be torn.
TEST_F(JournalRules, NoBlockIsWrittenTwice) {
  RecordingFileIo io(real_file_io());
  Harness recorded(WriteMode::kThread, directory / "journal", io);
  recorded.options.marker_after = Duration(0);
  for (int life = 0; life < 2; ++life) {
    ASSERT_TRUE(recorded.open());
    for (int i = 0; i < 30; ++i) {
      recorded.append("entry");
      ASSERT_TRUE(recorded.settle());
    }
  }
  recorded.close();
  std::set<std::pair<std::string, std::uint64_t>> blocks;
  for (const auto& write : io.recorded())
    for (std::size_t at = 0; write.operation == Operation::kWriteThrough && at < write.bytes;
         at += kBlockBytes)
      EXPECT_TRUE(blocks.emplace(write.path, write.at + at).second)
          << write.path << " at " << write.at + at;
  EXPECT_GT(blocks.size(), 60u);
}

// The journal's thread waits for each segment, and takes it as soon as it may.
TEST_F(JournalRules, ASegmentIsInTheSyncedListBeforeItsFirstGroup) {
  RecordingFileIo io(real_file_io());
  std::atomic<int> rolls{0}, prepared{0};
  Harness recorded(WriteMode::kThread, directory / "journal", io);
  recorded.options.max_group_bytes = kBlockBytes;
  recorded.options.at_point = [&](std::string_view point) {
    if (point == "journal.before_roll") ++rolls;
    rolls.notify_all();
    if (point != "journal.segment_prepared") return;
    const int mine = ++prepared;
    for (int seen = rolls; seen < mine; seen = rolls) rolls.wait(seen);
  };
  ASSERT_TRUE(recorded.open());
  for (int i = 0; i < 200; ++i) recorded.append(block_of(i));
  ASSERT_TRUE(recorded.settle());
  rolls = 1'000;  // none that is prepared for later is waited for
  rolls.notify_all();
  recorded.close();
  std::map<std::string, bool> listed;  // since it was prepared
  bool replaced = false;
  std::set<std::string> used;
  for (const auto& done : io.recorded()) {
    const bool segment = done.path.ends_with(".seg");
    if (done.operation == Operation::kSync && segment) listed[done.path] = false;
    if (done.operation == Operation::kRename) replaced = true;
    if (done.operation == Operation::kSyncDirectory && std::exchange(replaced, false))
      for (auto& [path, is] : listed) is = true;
    if (done.operation != Operation::kWriteThrough || !used.insert(done.path).second) continue;
    EXPECT_TRUE(listed[done.path]) << done.path;
  }
  EXPECT_GT(used.size(), 8u);
}

TEST_F(JournalRules, ASegmentIsLeftWhenNothingIsInFlight) {
  RecordingFileIo io(real_file_io());
  std::atomic<int> rolls{0}, too_early{0};
  Harness recorded(WriteMode::kUring, directory / "journal", io);
  recorded.options.max_group_bytes = kBlockBytes;
  recorded.options.at_point = [&](std::string_view point) {
    if (point != "journal.before_roll") return;
    ++rolls;
    too_early += !io.in_flight().empty();
  };
  ASSERT_TRUE(recorded.open());
  for (int i = 0; i < 100; ++i) recorded.append(block_of(i));
  ASSERT_TRUE(recorded.settle());
  recorded.close();
  EXPECT_GT(rolls, 4);
  EXPECT_GT(io.most_in_flight(), 1u);
  EXPECT_EQ(too_early, 0);
}

// Rule 5, to the entry: at the border of two segments one position decides.
TEST_F(JournalRules, OnlySegmentsBelowThePersistedPositionAreGivenUp) {
  std::set<std::size_t> left;
  for (int persisted = 4; persisted < 10; ++persisted) {
    const JournalPosition position(static_cast<std::uint64_t>(persisted));
    fs::remove_all(directory / "journal");
    ASSERT_TRUE(harness.open());
    const auto told = static_cast<int>(harness.durable().size());
    append(told, told + 12);
    harness.journal->set_persisted(position);
    append(told + 12, told + 40);  // the thread of the segments prepares others, and looks
    left.insert(segments(directory / "journal").size());
    ASSERT_TRUE(harness.open(position)) << "persisted: " << persisted;
    EXPECT_EQ(harness.replayed.size(), static_cast<std::size_t>(40 - persisted));
    harness.close();
  }
  EXPECT_GT(left.size(), 1u) << "none was given up";
}

// What the journal gave up is nowhere else if RocksDB is an older one.
TEST_F(JournalRules, AJournalThatBeginsBehindWhatIsPersistedIsRefused) {
  ASSERT_TRUE(harness.open());
  append(0, 12);
  harness.journal->set_persisted(JournalPosition(12));
  append(12, 40);
  harness.close();
  EXPECT_EQ(opened_at(directory / "journal"), ErrorCode::kCorruptStorage);
  EXPECT_TRUE(harness.open(JournalPosition(12)));
}

// Rule 5: a second name is a snapshot's, or large batches'.
TEST_F(JournalRules, ASegmentWithASecondNameIsNotRecycled) {
  ASSERT_TRUE(harness.open());
  append(0, 60);
  harness.journal->pin();
  const auto sealed = harness.journal->seal();
  ASSERT_TRUE(sealed);
  std::map<std::string, std::string> kept;
  for (const auto& segment : sealed->segments) {
    const std::string name = segment_name(segment.number), second = directory / name;
    ASSERT_TRUE(real_file_io().link(directory / "journal/" + name, second));
    kept[second] = slurp(second);
  }
  harness.journal->unpin();
  ASSERT_GT(kept.size(), 2u);
  for (int entries = 60; entries < 240; entries += 60) {
    harness.journal->set_persisted(JournalPosition(static_cast<std::uint64_t>(entries)));
    append(entries, entries + 60);
  }
  harness.close();
  for (const auto& [path, content] : kept) {
    EXPECT_TRUE(slurp(path) == content) << path;
    EXPECT_EQ(real_file_io().links(path), 1u);  // given up all the same
  }
}

}  // namespace
}  // namespace leat::storage
