// What benchmarks measure with: the clock, what the process has used so far, where it writes.
#pragma once

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "protocol/base/result.h"

namespace leat::bench {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// Of this process, all its threads: processor time, and what it sent to disks as the kernel counts
// it (a page of the page cache when it becomes dirty, a direct write when it is made).
struct Used {
  double cpu_seconds = 0;
  std::uint64_t bytes_written = 0;
};
Used used();
inline Used operator-(const Used& to, const Used& from) {
  return {to.cpu_seconds - from.cpu_seconds, to.bytes_written - from.bytes_written};
}

double peak_rss_mb();
double load_average();

const char* file_system(const std::string& directory);
// Makes the page cache forget the files below `directory`, which must be synced.
void forget_pages(const std::string& directory);

// A directory below the current one, removed with all that is in it. Refuses tmpfs, which syncs
// nothing, unless told otherwise.
class WorkDirectory {
 public:
  explicit WorkDirectory(bool take_tmpfs);
  ~WorkDirectory();
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace leat::bench
