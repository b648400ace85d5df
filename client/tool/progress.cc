#include "client/tool/progress.h"

#include <algorithm>

#include <unistd.h>

namespace leat::tool {
namespace {

constexpr auto kMoment = std::chrono::milliseconds(500);    // nothing is drawn before
constexpr auto kInterval = std::chrono::milliseconds(100);  // between two drawings
constexpr std::uint64_t kBarCells = 20;

}  // namespace

std::string progress_line(std::uint64_t records, std::uint64_t done,
                          std::optional<std::uint64_t> total, Duration elapsed) {
  std::string line;
  if (total && *total > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(*total));
    const auto cells = static_cast<std::size_t>(share * kBarCells);
    std::string percent = std::to_string(static_cast<int>(share * 100));
    percent.insert(0, 3 - std::min<std::size_t>(3, percent.size()), ' ');
    line = "[" + std::string(cells, '#') + std::string(kBarCells - cells, '.') + "] " + percent +
           " %  ";
  }
  line += std::to_string(records) + " records";
  const double seconds = std::chrono::duration<double>(elapsed).count();
  if (seconds > 0)
    line += ", " +
            std::to_string(static_cast<std::uint64_t>(static_cast<double>(records) / seconds)) +
            "/s";
  return line;
}

Progress::Progress(std::FILE* to, const Clock& clock, std::optional<std::uint64_t> total)
    : Progress(to, ::isatty(::fileno(to)) == 1, clock, total) {}

Progress::Progress(std::FILE* to, bool terminal, const Clock& clock,
                   std::optional<std::uint64_t> total)
    : to_(to), terminal_(terminal), clock_(clock), total_(total), begun_(clock.now()) {
  drawn_ = begun_ + kMoment - kInterval;
}

void Progress::records(std::uint64_t all, std::uint64_t done) {
  if (!terminal_) return;
  const MonotonicTime now = clock_.now();
  if (now - drawn_ < kInterval) return;
  drawn_ = now;
  visible_ = true;
  std::fprintf(to_, "\r\033[K%s", progress_line(all, done, total_, now - begun_).c_str());
  std::fflush(to_);
}

void Progress::clear() {
  if (!visible_) return;
  visible_ = false;
  std::fputs("\r\033[K", to_);
  std::fflush(to_);
}

}  // namespace leat::tool
