// How a group's entries lie in it, copied and in place, and that a journal reads them back.
#include "storage/journal_group.h"

#include <fstream>

#include "protocol/base/random.h"
#include "tests/forbid_io_uring.h"
#include "tests/storage/journal_harness.h"
#include "tests/storage/recording_file_io.h"
#include "tests/temporary_directory.h"

namespace leat::storage {
namespace {

// Bytes that lie anywhere in a page; of some the checksum of the end is known, and some have a head
// that lies elsewhere.
struct Made {
  std::string head, body;
  std::size_t begin;
  JournalEntry entry;

  std::string whole() const { return head + body.substr(begin); }
};

std::shared_ptr<Made> make_entry(Random& random) {
  auto made = std::make_shared<Made>();
  constexpr std::size_t kMost[] = {10, 3'000, 30'000, 300'000};
  made->begin = random.below(5'000);
  made->body.resize(made->begin + random.below(kMost[random.below(4)]) + 1);
  for (char& c : made->body) c = static_cast<char>(random.next());
  if (random.below(2) == 0) made->head = std::string(8, 'h');
  const Bytes body = as_bytes(made->body).subspan(made->begin);
  made->entry = {.kind = 7, .owner = nullptr, .head = as_bytes(made->head), .body = body};
  if (random.below(3) == 0) return made;
  const std::size_t known = body.size() - random.below(std::min<std::size_t>(body.size(), 30));
  made->entry.sum = {static_cast<std::uint32_t>(known), crc32c(body.last(known))};
  return made;
}

TEST(JournalGroup, HoldsEveryEntryAndIsIntactWhereverItsBytesCameFrom) {
  std::size_t inlaid = 0, copied = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    std::vector<std::shared_ptr<Made>> made;
    std::vector<JournalEntry> entries;
    for (std::uint64_t left = random.below(8); left > 0; --left) {
      made.push_back(make_entry(random));
      entries.push_back(made.back()->entry);
    }
    const GroupPlan plan = plan_group(entries, random.below(100'000));
    const GroupHeader header{.incarnation = 3, .first = JournalPosition(5), .journal_id = 99};
    AlignedBuffer buffer;
    buffer.resize(plan.group_bytes() - plan.inlaid_bytes);
    const JournalPlace place{.incarnation = 3, .segment = 2, .at = 8 * kBlockBytes};
    const std::uint32_t crc = write_group(entries, plan, header, place, buffer.bytes());
    std::string group;
    for (const Bytes piece : pieces_of(buffer.bytes(), plan.inlays)) {
      // What O_DIRECT asks for.
      EXPECT_EQ(piece.size() % kBlockBytes, 0u);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece.data()) % kBlockBytes, 0u);
      group += as_text(piece);
    }
    const auto found = read_group_header(as_bytes(group), 99);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->crc, crc);
    EXPECT_EQ(found->group_bytes(), group.size());
    EXPECT_EQ(found->entries, entries.size());
    EXPECT_TRUE(group_intact(*found, as_bytes(group)));
    for (std::size_t i = 0; i < entries.size(); ++i) {
      ASSERT_EQ(entries[i].place.segment, 2u);
      const std::string whole = made[i]->whole();
      EXPECT_TRUE(group.substr(entries[i].place.at - 8 * kBlockBytes, whole.size()) == whole) << i;
    }
    inlaid += plan.inlays.size();
    copied += entries.size() - plan.inlays.size();
    if (group.empty() || entries.empty()) continue;
    group[kGroupHeaderBytes + random.below(found->body_bytes)] ^= 4;
    EXPECT_FALSE(group_intact(*found, as_bytes(group)));
  }
  EXPECT_GT(inlaid, 100u);
  EXPECT_GT(copied, 100u);
}

class JournalOfLarge : public ::testing::TestWithParam<WriteMode> {};
INSTANTIATE_TEST_SUITE_P(Writes, JournalOfLarge,
                         ::testing::Values(WriteMode::kUring, WriteMode::kThread));

// The disk reads large entries from where they lie, after append() has returned, and several at
// once.
TEST_P(JournalOfLarge, IsReplayedAsItWasAppended) {
  if (GetParam() == WriteMode::kUring && !test::io_uring_exists()) GTEST_SKIP() << "no io_uring";
  for (const bool slow : {false, true, false}) {
    test::RecordingFileIo disk(real_file_io());
    disk.shuffle(7);
    const test::TemporaryDirectory directory;
    Harness harness(GetParam(), directory / "journal", slow ? disk : real_file_io());
    harness.options.inlays_from = 10'000;
    harness.options.first_segment_bytes = harness.options.segment_bytes = 2 << 20;
    ASSERT_TRUE(harness.open());
    Random random(11);
    std::vector<std::string> texts;
    for (int i = 0; i < 60; ++i) {
      auto made = make_entry(random);
      texts.push_back(made->whole());
      JournalEntry entry = made->entry;
      entry.owner = std::move(made);
      harness.journal->append(std::move(entry));
    }
    const auto opened = harness.open();
    ASSERT_TRUE(opened) << opened.error().message();
    EXPECT_TRUE(harness.replayed == texts);
    EXPECT_EQ(harness.journal->recovery().torn_bytes, 0u);
  }
}

}  // namespace
}  // namespace leat::storage
