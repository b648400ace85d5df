// Records out of what this machine really holds.
#pragma once

#include <string>
#include <vector>

namespace leat::demo {

struct Input {
  std::string key, value;
};

// One per installed Debian package, keyed by section: name, version, installed size, section.
std::vector<Input> installed_packages(const std::string& status_file = "/var/lib/dpkg/status");

struct LogFile {
  std::string path;
  std::vector<Input> lines;  // keyed by the file's name and the line's number modulo 16
};
// The largest readable text log of the machine; at most `max_lines` of its lines.
LogFile largest_log(std::size_t max_lines, const std::string& directory = "/var/log");

}  // namespace leat::demo
