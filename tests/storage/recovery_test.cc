// Crashes that once left a directory that did not open, or not what was told: each by itself,
// without chance.
#include <atomic>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "storage/data_directory.h"
#include "tests/storage/simulated_disk.h"

namespace leat::test {
namespace {

// The directory's own name is in its parent.
TEST(Recovery, ANewDataDirectorySurvivesWithWhatIsInIt) {
  for (const char* path : {"/data", "/data/"}) {
    SimulatedDisk disk({});
    ASSERT_TRUE(storage::open_data_directory(disk, path));
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      auto copy = disk.copy();
      copy->cut_power(seed);
      EXPECT_EQ(copy->exists("/data/FORMAT"), true);
    }
  }
}

}  // namespace
}  // namespace leat::test
