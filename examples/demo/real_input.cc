#include "examples/demo/real_input.h"

#include <filesystem>
#include <fstream>
#include <map>

namespace leat::demo {
namespace {
constexpr std::size_t kStripes = 16;  // so that one file's lines spread over the partitions
}

std::vector<Input> installed_packages(const std::string& status_file) {
  std::vector<Input> packages;
  std::ifstream status(status_file);
  std::map<std::string, std::string> fields;
  const auto finish = [&] {
    if (fields["Status"] == "install ok installed")
      packages.push_back({fields["Section"], fields["Package"] + " " + fields["Version"] + " " +
                                                 fields["Installed-Size"] + " KiB " +
                                                 fields["Section"]});
    fields.clear();
  };
  std::string line;
  while (std::getline(status, line)) {
    if (line.empty()) finish();
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos && line[0] != ' ')
      fields[line.substr(0, colon)] = line.substr(colon + 2);
  }
  if (!fields.empty()) finish();
  return packages;
}

LogFile largest_log(std::size_t max_lines, const std::string& directory) {
  namespace fs = std::filesystem;
  LogFile log;
  std::uintmax_t largest = 0;
  std::error_code error;
  constexpr auto kOptions = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator it(directory, kOptions, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (it->path().extension() != ".log" || !it->is_regular_file(ignored)) continue;
    const auto size = it->file_size(ignored);
    if (ignored || size <= largest || !std::ifstream(it->path())) continue;
    largest = size;
    log.path = it->path();
  }
  std::ifstream file(log.path);
  const std::string key = fs::path(log.path).filename();
  for (std::string line; log.lines.size() < max_lines && std::getline(file, line);)
    log.lines.push_back({key + "/" + std::to_string(log.lines.size() % kStripes), line});
  return log;
}

}  // namespace leat::demo
