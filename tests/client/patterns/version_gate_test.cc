#include "client/patterns/version_gate.h"

#include <map>

#include "protocol/base/random.h"
#include "tests/client/patterns/databases.h"

namespace leat::patterns {
namespace {

class VersionGateTest : public Databases {
 protected:
  VersionGate gate(const std::string& scope = "stock") {
    auto opened = VersionGate::open(db(), scope);
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message());
    return std::move(*opened);
  }
  bool admit(VersionGate& gate, std::string_view key, std::int64_t version) {
    auto tx = Transaction::begin(db());
    auto newer = gate.admit(key, version);
    EXPECT_TRUE(newer) << (newer ? "" : newer.error().message());
    EXPECT_TRUE(tx->commit());
    return newer && *newer;
  }
};
LEAT_ON_EVERY_DATABASE(VersionGateTest);

TEST_P(VersionGateTest, LetsTheNewerPass) {
  VersionGate stock = gate(), prices = gate("prices");
  EXPECT_TRUE(admit(stock, "sku", 5));
  EXPECT_FALSE(admit(stock, "sku", 5));
  EXPECT_FALSE(admit(stock, "sku", 4));
  EXPECT_TRUE(admit(stock, "sku", 7));
  EXPECT_FALSE(admit(stock, "sku", 6));
  EXPECT_TRUE(admit(stock, "other", 1));
  EXPECT_TRUE(admit(prices, "sku", 1));
  EXPECT_EQ(stock.stale(), 3u);
}

TEST_P(VersionGateTest, AVersionThatIsRolledBackWasNeverThere) {
  VersionGate stock = gate();
  {
    auto tx = Transaction::begin(db());
    EXPECT_TRUE(*stock.admit("sku", 9));
  }
  EXPECT_TRUE(admit(stock, "sku", 3));
}

TEST_P(VersionGateTest, WantsATransaction) {
  VersionGate stock = gate();
  auto outside = stock.admit("sku", 1);
  ASSERT_FALSE(outside);
  EXPECT_EQ(outside.error().code, ErrorCode::kInvalidRequest);
}

// Whatever comes in whatever order: what is stored in the end is the newest.
TEST(MemoryVersionGateTest, AgreesWithTheNewestSeen) {
  Random random(7);
  MemoryVersionGate gate;
  std::map<std::string, std::int64_t> newest;
  for (int i = 0; i < 10'000; ++i) {
    const std::string key = std::to_string(random.below(20));
    const auto version = static_cast<std::int64_t>(random.below(1'000));
    const auto known = newest.find(key);
    const bool newer = known == newest.end() || version > known->second;
    ASSERT_EQ(*gate.admit(key, version), newer);
    if (newer) newest[key] = version;
  }
  EXPECT_EQ(gate.size(), newest.size());
}

TEST(MemoryVersionGateTest, IsBounded) {
  MemoryVersionGate gate(2);
  EXPECT_TRUE(*gate.admit("a", 1));
  EXPECT_TRUE(*gate.admit("b", 1));
  auto third = gate.admit("c", 1);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::kLimitReached);
  EXPECT_TRUE(*gate.admit("a", 2));
  gate.forget("a");
  EXPECT_TRUE(*gate.admit("c", 1));
}

}  // namespace
}  // namespace leat::patterns
