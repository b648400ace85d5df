#include "bench/kafka/leatd.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <signal.h>
#include <unistd.h>

namespace leat::bench {
namespace {

// The listener of the scheme, out of the line that leatd writes when it is ready.
std::string listener(const std::string& line, const std::string& scheme) {
  const auto begin = line.find(scheme + "://");
  if (begin == std::string::npos) throw std::runtime_error("leatd does not listen: " + line);
  return line.substr(begin, line.find('"', begin) - begin);
}

std::string file_of(pid_t process, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(process) + "/" + name);
  std::stringstream all;
  all << file.rdbuf();
  if (all.str().empty()) throw std::runtime_error("leatd has ended");
  return all.str();
}

}  // namespace

Leatd::Leatd(const std::string& program, const std::string& directory)
    : process_({program, "--data-dir", directory + "/data", "--listen", "kafka://127.0.0.1:0",
                "--listen", "leat://127.0.0.1:0", "--auto-create-topics"},
               directory + "/log") {
  std::string line;
  if (!process_.read_line(line)) throw std::runtime_error("leatd does not start, see its log");
  kafka_ = listener(line, "kafka").substr(std::string("kafka://").size());
  leat_ = listener(line, "leat");
}

double Leatd::resident_kib() const {
  const std::string status = file_of(process_.pid(), "status"), field = "VmRSS:";
  return std::stod(status.substr(status.find(field) + field.size()));
}

double Leatd::cpu_seconds() const {
  std::string stat = file_of(process_.pid(), "stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  constexpr int kBehindName = 11;  // to user and system time, the 14th and 15th
  for (int i = 0; i < kBehindName; ++i) fields >> stat;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::string leatd_beside() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "leatd";
}

}  // namespace leat::bench
