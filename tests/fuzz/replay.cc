// Runs a fuzz target over a corpus without a fuzzer: each file as it is, every beginning of it, and
// some random changes, the same ones every time.
//
//   kafka_request_fuzz DIRECTORY_OR_FILE...
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "protocol/base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace leat {
namespace {

namespace fs = std::filesystem;
using Input = std::vector<std::uint8_t>;

constexpr int kChanges = 300;
constexpr std::size_t kBeginnings = 4096;

// Of its own size, so that a sanitizer sees reads beyond it.
void run(const Input& input) {
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

Input changed(Input input, Random& random) {
  for (std::uint64_t n = 1 + random.below(4); n > 0 && !input.empty(); --n) {
    const auto at = input.begin() + static_cast<std::ptrdiff_t>(random.below(input.size()));
    switch (random.below(4)) {
      case 0:
        *at = static_cast<std::uint8_t>(random.next());
        break;
      case 1:
        *at ^= static_cast<std::uint8_t>(1u << random.below(8));
        break;
      case 2:
        input.erase(at);
        break;
      default:
        input.insert(at, random.below(2) == 0 ? 0xff : 0x7f);
        break;
    }
  }
  return input;
}

void run_all(const fs::path& path, Random& random) {
  std::ifstream file(path, std::ios::binary);
  const Input input{std::istreambuf_iterator<char>(file), {}};
  run(input);
  for (std::size_t n = 0; n < input.size() && n < kBeginnings; ++n)
    run(Input(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(n)));
  for (int i = 0; i < kChanges; ++i) run(changed(input, random));
}

int replay(int argc, char** argv) {
  Random random(1);
  int files = 0;
  for (int i = 1; i < argc; ++i) {
    std::vector<fs::path> paths;
    if (fs::is_directory(argv[i]))
      for (const auto& entry : fs::directory_iterator(argv[i])) paths.push_back(entry.path());
    else
      paths.emplace_back(argv[i]);
    for (const fs::path& path : paths) run_all(path, random);
    files += static_cast<int>(paths.size());
  }
  std::printf("replayed %d files\n", files);
  return files > 0 ? 0 : 1;
}

}  // namespace
}  // namespace leat

int main(int argc, char** argv) {
  return leat::replay(argc, argv);
}
