// Bit rot on real files: each case damages one file of a directory, and what comes of it is refused
// by name, or served as it was, or answered with an error that says which offsets are lost. Nothing
// wrong is served and nothing is silently missing.
//
//   LEAT_BIT_ROT_CASES  how many cases
//   LEAT_BIT_ROT_SEED   the first one's seed
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <unistd.h>

#include <gtest/gtest.h>

#include "storage/recovery/repair.h"
#include "tests/storage/rot.h"
#include "tests/temporary_directory.h"

namespace leat::test {
namespace {

constexpr unsigned kHangSeconds = 120;  // as tests/hang_report.cc, which takes the alarm

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kDefaultCases = 60;
#else
constexpr std::uint64_t kDefaultCases = 200;
#endif

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Empty: it is sound; or what a check says of it.
std::string checked(const std::string& path) {
  std::string lines;
  const auto found =
      storage::Inspection::run(storage::real_file_io(), path,
                               [&](std::string_view line) { lines += std::string(line) + "\n"; });
  if (!found) return "cannot be looked at: " + found.error().message();
  EXPECT_EQ(lines.empty(), found->sound());
  return lines;
}

// Files whose loss would be a loss of records.
std::set<std::string> data_files(const std::string& path) {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
    if (entry.path().extension() == ".sst" || entry.path().extension() == ".seg")
      files.insert(entry.path().string());
  return files;
}

// Whether a refusal says where to look.
bool names(const std::string& error, const RotCase& rot) {
  const std::string name = std::filesystem::path(rot.file()).filename().string();
  return error.find(name) != std::string::npos || error.find("topic '") != std::string::npos ||
         error.find("MANIFEST") != std::string::npos || error.find(".seg") != std::string::npos;
}

class BitRot : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TemporaryDirectory;
    fill_directory(pristine());
    RotCase::copy(pristine(), copy());
    OpenedStorage storage(copy());
    ASSERT_TRUE(storage.open()) << storage.error()->message();
    whole_ = Content::of(storage);
    ASSERT_TRUE(whole_.gaps().empty());
  }
  static void TearDownTestSuite() { delete directory_; }
  static std::string pristine() { return *directory_ / "pristine"; }
  static std::string copy() { return *directory_ / "copy"; }

  static inline TemporaryDirectory* directory_ = nullptr;
  static inline Content whole_;
};

TEST_F(BitRot, WhatIsWholeIsSoundAndACheckChangesNothing) {
  RotCase::copy(pristine(), copy());
  const auto before = bytes_of(copy());
  EXPECT_EQ(checked(copy()), "");
  EXPECT_EQ(bytes_of(copy()), before);
}

// What a repair makes of a damaged directory; empty: it starts, is sound, and serves what it must.
std::string mended(const std::string& path, const Content& whole, std::uint64_t& refused) {
  const auto repaired = storage::repair_directory(storage::real_file_io(), path,
                                                  WallTime(std::chrono::hours(1)), [](auto) {});
  if (!repaired) {
    ++refused;
    const std::string why = repaired.error().message();
    return why.find("restore") == std::string::npos ? "repair fails: " + why : "";
  }
  if (repaired->report.empty()) return "nothing to repair";
  std::ifstream file(repaired->report);
  const std::string report{std::istreambuf_iterator<char>(file), {}};
  if (auto check = checked(path); !check.empty()) return "not sound after " + report + check;
  OpenedStorage storage(path);
  if (!storage.open()) return "after a repair: " + storage.error()->message() + "\n" + report;
  auto differs = Content::of(storage).differs_from(whole, report);
  return differs.empty() ? "" : differs + "\n" + report;
}

TEST_F(BitRot, ARepairKeepsWhatIsIntactAndSaysWhatIsLost) {
  const std::uint64_t cases = from_environment("LEAT_BIT_ROT_CASES", kDefaultCases) / 10;
  const std::uint64_t first = from_environment("LEAT_BIT_ROT_SEED", 1);
  const auto kinds = RotCase::kinds(pristine());
  std::uint64_t refused = 0, all = 0;
  for (std::uint64_t seed = first; seed < first + cases && !HasFailure(); ++seed) {
    ::alarm(kHangSeconds);
    const RotCase rot(kinds, pristine(), seed);
    SCOPED_TRACE("LEAT_BIT_ROT_SEED=" + std::to_string(seed) + ": " + rot.text());
    RotCase::copy(pristine(), copy());
    rot.apply(copy());
    if (checked(copy()).empty()) continue;
    ++all;
    EXPECT_EQ(mended(copy(), whole_, refused), "");
  }
  std::printf("%llu repairs, %llu of them only from a backup\n",
              static_cast<unsigned long long>(all), static_cast<unsigned long long>(refused));
}

TEST_F(BitRot, NothingWrongIsServedAndNothingIsSilentlyMissing) {
  const std::uint64_t cases = from_environment("LEAT_BIT_ROT_CASES", kDefaultCases);
  const std::uint64_t first = from_environment("LEAT_BIT_ROT_SEED", 1);
  const auto kinds = RotCase::kinds(pristine());
  std::uint64_t refused = 0, gaps = 0, harmless = 0, found_by_check = 0;
  for (std::uint64_t seed = first; seed < first + cases; ++seed) {
    ::alarm(kHangSeconds);
    const RotCase rot(kinds, pristine(), seed);
    SCOPED_TRACE("LEAT_BIT_ROT_SEED=" + std::to_string(seed) + ": " + rot.text());
    RotCase::copy(pristine(), copy());
    rot.apply(copy());
    const auto files = data_files(copy());
    const std::string check = checked(copy());
    found_by_check += !check.empty();
    OpenedStorage storage(copy());
    if (!storage.open()) {
      ++refused;
      EXPECT_NE(check, "") << "refused: " << storage.error()->message();
      EXPECT_TRUE(names(storage.error()->message(), rot)) << storage.error()->message();
      EXPECT_TRUE(std::ranges::includes(data_files(copy()), files)) << "a refusal took files";
      continue;
    }
    const Content served = Content::of(storage);
    EXPECT_EQ(served.differs_from(whole_), "");
    if (!served.gaps().empty()) {
      EXPECT_NE(check, "");
      EXPECT_FALSE(storage.damage().empty());
    }
    ++(served.gaps().empty() ? harmless : gaps);
    if (HasFailure()) break;
  }
  std::printf("%llu refused, %llu with gaps, %llu served whole; a check complained of %llu\n",
              static_cast<unsigned long long>(refused), static_cast<unsigned long long>(gaps),
              static_cast<unsigned long long>(harmless),
              static_cast<unsigned long long>(found_by_check));
}

}  // namespace
}  // namespace leat::test
