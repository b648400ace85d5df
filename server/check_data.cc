#include "server/check_data.h"

#include <iostream>

#include "storage/recovery/repair.h"

namespace leat {
namespace {

void print(std::string_view line) {
  std::cout << "damaged: " << line << std::endl;
}

int failed(const Error& error) {
  std::cerr << "leatd: " << error.message() << "\n";
  return 2;
}

}  // namespace

int check_data(const std::string& data_dir) {
  const auto found = storage::Inspection::run(storage::real_file_io(), data_dir, print);
  if (!found) return failed(found.error());
  std::cout << (found->sound() ? "sound: " : "not sound: ") << found->summary() << std::endl;
  return found->sound() ? 0 : 1;
}

int repair_data(const std::string& data_dir) {
  const auto now =
      std::chrono::time_point_cast<WallTime::duration>(std::chrono::system_clock::now());
  const auto repaired = storage::repair_directory(storage::real_file_io(), data_dir, now, print);
  if (!repaired) return failed(repaired.error());
  if (repaired->report.empty())
    std::cout << "nothing to repair" << std::endl;
  else
    std::cout << "repaired: lost_offsets=" << repaired->lost_offsets << " report='"
              << repaired->report << "'" << std::endl;
  return 0;
}

}  // namespace leat
