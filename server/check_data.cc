#include "server/check_data.h"

#include <iostream>

#include "storage/recovery/inspection.h"

namespace leat {

int check_data(const std::string& data_dir) {
  const auto found = storage::Inspection::run(
      storage::real_file_io(), data_dir,
      [](std::string_view line) { std::cout << "damaged: " << line << std::endl; });
  if (!found) {
    std::cerr << "leatd: " << found.error().message() << "\n";
    return 2;
  }
  std::cout << (found->sound() ? "sound: " : "not sound: ") << found->summary() << std::endl;
  return found->sound() ? 0 : 1;
}

}  // namespace leat
