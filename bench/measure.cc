#include "bench/measure.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <unistd.h>

namespace leat::bench {
namespace {

// The number behind `name` in a file of /proc.
std::uint64_t proc_number(const char* path, const std::string& name) {
  std::ifstream file(path);
  for (std::string word; file >> word;)
    if (word == name) {
      std::uint64_t number = 0;
      file >> number;
      return number;
    }
  return 0;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

Used used() {
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  return {seconds(usage.ru_utime) + seconds(usage.ru_stime),
          proc_number("/proc/self/io", "write_bytes:")};
}

double peak_rss_mb() {
  return static_cast<double>(proc_number("/proc/self/status", "VmHWM:")) / 1e3;
}

double load_average() {
  double loads[1] = {0};
  return ::getloadavg(loads, 1) == 1 ? loads[0] : 0;
}

const char* file_system(const std::string& directory) {
  struct statfs status;
  if (::statfs(directory.c_str(), &status) != 0) return "unknown";
  switch (static_cast<unsigned long>(status.f_type)) {
    case TMPFS_MAGIC:
      return "tmpfs";
    case EXT4_SUPER_MAGIC:
      return "ext4";
    case BTRFS_SUPER_MAGIC:
      return "btrfs";
    case XFS_SUPER_MAGIC:
      return "xfs";
    case OVERLAYFS_SUPER_MAGIC:
      return "overlayfs";
    default:
      return "other";
  }
}

void forget_pages(const std::string& directory) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    const int fd = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
  }
}

WorkDirectory::WorkDirectory(bool take_tmpfs)
    : path_(std::filesystem::current_path() / "leat-bench-XXXXXX") {
  if (!::mkdtemp(path_.data())) throw std::runtime_error("cannot create " + path_);
  if (take_tmpfs || std::string(file_system(path_)) != "tmpfs") return;
  ::rmdir(path_.c_str());
  throw std::runtime_error(path_ +
                           " is on tmpfs, which syncs nothing; run it elsewhere, or say --tmpfs");
}

WorkDirectory::~WorkDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace leat::bench
