// The demo's ledger must be able to fail.
#include "examples/demo/ledger.h"

#include <gtest/gtest.h>

namespace leat::demo {
namespace {

class LedgerTest : public ::testing::Test {
 protected:
  LedgerTest() {
    for (int i = 0; i < 6; ++i) ledger.acknowledged(ledger.sent(i % 2 ? "odd" : "even"));
  }
  void receive(std::initializer_list<int> numbers) {
    for (const int n : numbers)
      ledger.received(static_cast<std::uint64_t>(n), n % 2 ? "odd" : "even");
  }
  Ledger ledger;
};

TEST_F(LedgerTest, AllInOrderIsClean) {
  receive({1, 0, 2, 3, 5, 4});
  EXPECT_TRUE(ledger.report().clean());
  EXPECT_EQ(ledger.first_receptions(), 6u);
}
TEST_F(LedgerTest, ALossIsFound) {
  receive({0, 1, 2, 3, 4});
  EXPECT_EQ(ledger.report().lost, 1u);
  EXPECT_FALSE(ledger.report().clean());
}
TEST_F(LedgerTest, ARepetitionIsCountedAndFine) {
  receive({0, 1, 2, 3, 2, 3, 4, 5});
  EXPECT_EQ(ledger.report().duplicates, 2u);
  EXPECT_TRUE(ledger.report().clean());
}
TEST_F(LedgerTest, AReorderingOfFirstOccurrencesIsFound) {
  receive({0, 1, 4, 2, 3, 5});
  EXPECT_EQ(ledger.report().misordered, 1u);
  EXPECT_FALSE(ledger.report().clean());
}
TEST_F(LedgerTest, AForeignRecordIsFound) {
  receive({0, 1, 2, 3, 4, 5});
  ledger.received(99, "even");
  ledger.received(2, "odd");
  EXPECT_EQ(ledger.report().foreign, 2u);
  EXPECT_FALSE(ledger.report().clean());
}
TEST_F(LedgerTest, AnUnacknowledgedRecordIsNotClean) {
  receive({0, 1, 2, 3, 4, 5});
  ledger.sent("even");
  EXPECT_FALSE(ledger.report().clean());
}

}  // namespace
}  // namespace leat::demo
