// How far a long `produce` or `consume` has come: one line on a terminal, drawn over and over, gone
// at the end. Nothing for what is done within a moment.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "protocol/base/clock.h"

namespace leat::tool {

class Progress {
 public:
  // `to` is drawn on only where it is a terminal. `total` in the unit of `done` below.
  Progress(std::FILE* to, const Clock& clock, std::optional<std::uint64_t> total = {});
  Progress(std::FILE* to, bool terminal, const Clock& clock, std::optional<std::uint64_t> total);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void records(std::uint64_t all, std::uint64_t done);
  // Before anything else is written to the terminal.
  void clear();

 private:
  std::FILE* to_;
  bool terminal_;
  const Clock& clock_;
  std::optional<std::uint64_t> total_;
  MonotonicTime begun_, drawn_;
  bool visible_ = false;
};

// "[#####...............]  25 %  1234 records, 617/s"
std::string progress_line(std::uint64_t records, std::uint64_t done,
                          std::optional<std::uint64_t> total, Duration elapsed);

}  // namespace leat::tool
