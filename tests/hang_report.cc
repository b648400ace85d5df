// Part of every test program: a test that hangs says what its threads wait for, and fails.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include <signal.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace leat::test {
namespace {

constexpr unsigned kHangSeconds = 200;  // below ctest's limit, far above what any test takes

void print(const std::filesystem::path& path, const char* what) {
  std::ifstream file(path / what);
  for (std::string line; std::getline(file, line);)
    std::cerr << "  " << what << ": " << line << "\n";
}

// Not safe in a signal handler in general; where it fails too, ctest's limit ends the program.
void report(int) {
  std::cerr << "\nno end of this test after " << kHangSeconds << " s; its threads:\n";
  std::error_code ignored;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task", ignored)) {
    std::cerr << thread.path().filename().string() << "\n";
    for (const char* what : {"comm", "wchan", "syscall"}) print(thread.path(), what);
  }
  for (const auto& fd : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
    const std::string target = std::filesystem::read_symlink(fd.path(), ignored);
    std::cerr << "descriptor " << fd.path().filename().string() << " " << target << "\n";
    if (target.find("io_uring") != std::string::npos || target.find("event") != std::string::npos)
      print("/proc/self/fdinfo", fd.path().filename().c_str());
  }
  std::abort();
}

class HangReport final : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo&) override {
    ::signal(SIGALRM, report);
    ::alarm(kHangSeconds);
  }
  void OnTestEnd(const ::testing::TestInfo&) override { ::alarm(0); }
};

const bool installed = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new HangReport);
  return true;
}();

}  // namespace
}  // namespace leat::test
