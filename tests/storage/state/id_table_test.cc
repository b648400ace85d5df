// The table of ids against a map: it says where every id of use is, and hardly ever more.
#include "storage/state/id_table.h"

#include <algorithm>
#include <unordered_map>

#include <gtest/gtest.h>

#include "protocol/base/random.h"

namespace leat::storage {
namespace {

IdHash random_id(Random& random) {
  return {random.next(), random.next()};
}

std::vector<std::uint64_t> blocks_of(const IdTable& table, const IdHash& id) {
  std::vector<std::uint64_t> blocks;
  table.find(id, nullptr, blocks);
  return blocks;
}

TEST(IdTable, FindsWhatIsOfUse) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    IdTable table;
    std::unordered_map<IdHash, std::uint64_t> model;  // to the newest number
    std::vector<IdHash> ids;                          // by number, from `base` on
    const std::uint64_t base = random.below(3) * 100'000;
    std::uint64_t floor = base, next = base;
    const std::uint64_t window = 1 + random.below(30'000);
    while (next < base + 40'000) {
      // Some come again, when they are forgotten and when they are not.
      const bool again = !ids.empty() && random.below(20) == 0;
      const IdHash id = again ? ids[random.below(ids.size())] : random_id(random);
      table.add(id, next, next - floor);
      ids.push_back(id);
      model[id] = next++;
      if (next - floor > window && random.below(100) == 0) {
        floor = next - random.below(window + 1);
        table.forget_below(floor);
      }
      const std::uint64_t asked = floor + random.below(next - floor + 1);
      if (asked == next) continue;
      const IdHash& known = ids[asked - base];
      const auto blocks = blocks_of(table, known);
      ASSERT_TRUE(std::ranges::is_sorted(blocks, std::ranges::greater_equal()));
      ASSERT_NE(std::ranges::find(blocks, model.at(known) / kBlockIds), blocks.end());
      ASSERT_NE(std::ranges::find(blocks, asked / kBlockIds), blocks.end());
    }
  }
}

TEST(IdTable, HardlyEverSaysMore) {
  Random random(7);
  IdTable table;
  constexpr std::uint64_t kIds = 300'000;
  for (std::uint64_t number = 0; number < kIds; ++number)
    table.add(random_id(random), number, number);
  std::size_t found = 0;
  for (int i = 0; i < 100'000; ++i) found += blocks_of(table, random_id(random)).size();
  EXPECT_LT(found, 60u);  // 12 are to be expected
  EXPECT_LT(table.bytes(), kIds * 7);
}

// Whatever is forgotten gives its memory back, and what stays is found in few generations.
TEST(IdTable, StaysSmallWhileAWindowMovesOn) {
  Random random(8);
  IdTable table;
  constexpr std::uint64_t kWindow = 20'000;
  for (std::uint64_t number = 0; number < 20 * kWindow; ++number) {
    table.add(random_id(random), number, std::min(number, kWindow));
    if (number >= kWindow) table.forget_below(number - kWindow);
    if (number < 2 * kWindow) continue;
    ASSERT_LE(table.generations(), 4u);
    ASSERT_LE(table.bytes(), kWindow * 10);
  }
}

// Ids of one block and slot, as somebody makes them who knows how: they find no place, and are
// found all the same.
TEST(IdTable, FindsIdsThatAllWantOnePlace) {
  IdTable table;
  for (std::uint64_t number = 0; number < 200; ++number)
    table.add({.high = 5, .low = (std::uint64_t{9} << 43) + number}, number * kBlockIds, 0);
  const auto blocks = blocks_of(table, {.high = 5, .low = std::uint64_t{9} << 43});
  EXPECT_EQ(blocks.size(), 200u);
  table.forget_below(1'000 * kBlockIds);
  EXPECT_EQ(table.bytes(), 0u);
}

}  // namespace
}  // namespace leat::storage
