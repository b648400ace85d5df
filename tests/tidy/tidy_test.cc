// Style as a test: the lines between the rooms, names, sizes. A ratchet: exceptions may only
// shrink.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace leat::tidy {
namespace {

namespace fs = std::filesystem;

struct Source {
  std::string path;  // from the root
  std::vector<std::string> lines;
};

// ---- the rules, each giving what breaks it ----

// Which rooms a room may include; a room is the longest prefix of a path that is listed here.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"protocol/base", {"protocol/base"}},
    {"protocol", {"protocol", "protocol/base"}},
    {"storage", {"storage", "protocol", "protocol/base"}},
    {"server/reactor", {"server/reactor", "protocol/base"}},
    {"server/broker", {"server/broker", "storage", "protocol", "protocol/base"}},
    {"server/session", {"server/session", "server/broker", "storage", "protocol", "protocol/base"}},
    {"server",
     {"server", "server/session", "server/broker", "server/reactor", "storage", "client",
      "client/tracing", "protocol", "protocol/base"}},
    {"server/c", {"server/c", "server"}},
    {"client/tracing", {"client/tracing", "protocol", "protocol/base"}},
    {"client", {"client", "client/tracing", "protocol", "protocol/base"}},
    {"client/patterns", {"client/patterns", "client", "protocol", "protocol/base"}},
    {"client/tool", {"client/tool", "client/patterns", "client", "protocol", "protocol/base"}},
    {"examples/orders",
     {"examples/orders", "examples/demo", "client/patterns", "client", "client/tracing", "protocol",
      "protocol/base"}},
    {"examples/demo", {"examples/demo", "client", "protocol", "protocol/base"}},
};

std::string room_of(const std::string& path) {
  std::string best;
  for (const auto& [room, allowed] : kMayInclude)
    if (path.starts_with(room + "/") && room.size() > best.size()) best = room;
  return best;
}

std::vector<std::string> bad_includes(const Source& source) {
  std::vector<std::string> bad;
  const std::string room = room_of(source.path);
  static const std::regex include("^#include \"([^\"]+)\"");
  for (const std::string& line : source.lines) {
    std::smatch match;
    if (room.empty() || !std::regex_search(line, match, include)) continue;
    const std::string target = room_of(match[1]);
    // Nobody but its own folder sees a codec; generated headers have no room.
    const bool codec = (match[1].str().starts_with("protocol/native/") ||
                        match[1].str().starts_with("protocol/kafka/")) &&
                       (room == "server/broker" || room == "storage");
    // The server knows of the client what connect_local() needs, and no more.
    static const std::set<std::string> faces = {"client/transport.h", "client/blocking.h"};
    const bool inside = room == "server" && target == "client" && !faces.contains(match[1]);
    if (match[1].str().find('/') != std::string::npos &&
        (codec || inside || !kMayInclude.at(room).contains(target)))
      bad.push_back(source.path + " includes " + match[1].str());
  }
  return bad;
}

bool bad_name(const std::string& path) {
  static const std::regex snake("^[a-z][a-z0-9_]*(\\.[a-z0-9_.]+)?$");
  static const std::set<std::string> forbidden = {"utils",  "util",    "common", "manager",
                                                  "helper", "helpers", "impl",   "misc"};
  for (const auto& part : fs::path(path)) {
    const std::string stem = part.stem().string();
    if (part.extension() == ".h" || part.extension() == ".cc")
      if (!std::regex_match(part.string(), snake)) return true;
    std::string word;
    for (const char c : stem + "_") {
      if (c != '_' && c != '-') {
        word += c;
        continue;
      }
      if (forbidden.contains(word)) return true;
      word.clear();
    }
  }
  return false;
}

// Lines a file may have. What is above its limit stands here with its size, which may only shrink.
const std::map<std::string, std::size_t> kLarge = {};
std::size_t limit_of(const std::string& path) {
  if (const auto it = kLarge.find(path); it != kLarge.end()) return it->second;
  if (path.starts_with("tests/")) return 600;
  return path.ends_with(".h") ? 220 : 420;
}

bool unfinished(const std::string& line) {
  static const std::regex marks(std::string("\\b(TO") + "DO|FIX" + "ME|X" + "XX|HA" + "CK)\\b");
  return std::regex_search(line, marks);
}

// ---- the tree ----

std::vector<Source> tree() {
  std::vector<Source> sources;
  for (const char* top :
       {"protocol", "storage", "server", "client", "bench", "tests", "examples"}) {
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(LEAT_SOURCE_DIR) / top)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".h" && extension != ".cc") continue;
      Source source{fs::relative(entry.path(), LEAT_SOURCE_DIR).string(), {}};
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) source.lines.push_back(line);
      sources.push_back(std::move(source));
    }
  }
  return sources;
}

TEST(Tidy, IncludesGoDownwardOnly) {
  for (const Source& source : tree())
    for (const std::string& bad : bad_includes(source)) ADD_FAILURE() << bad;
}

TEST(Tidy, BaseIsAClosedList) {
  const std::set<std::string> allowed = {"assert", "bytes",   "clock",       "crc32c",
                                         "error",  "ids",     "own_process", "random",
                                         "result", "siphash", "varint"};
  for (const Source& source : tree())
    if (source.path.starts_with("protocol/base/")) {
      EXPECT_TRUE(allowed.contains(fs::path(source.path).stem().string())) << source.path;
    }
}

TEST(Tidy, NamesSizesAndGuards) {
  for (const Source& source : tree()) {
    EXPECT_FALSE(bad_name(source.path)) << source.path;
    EXPECT_LE(source.lines.size(), limit_of(source.path))
        << source.path << " is too long: split it by idea";
    if (source.path.ends_with(".h")) {
      EXPECT_TRUE(std::count(source.lines.begin(), source.lines.end(), "#pragma once") == 1)
          << source.path;
    }
    for (const std::string& line : source.lines)
      EXPECT_FALSE(unfinished(line)) << source.path << ": " << line;
  }
}

TEST(Tidy, FoldersAreSmallAndTheTopLevelIsClosed) {
  const std::set<std::string> top = {"CMakeLists.txt",
                                     "server",
                                     "client",
                                     "storage",
                                     "protocol",
                                     "bench",
                                     "tests",
                                     "README.md",
                                     "docs",
                                     "examples",
                                     "packaging",
                                     "cmake",
                                     ".ci",
                                     ".clang-format",
                                     ".gitignore",
                                     "CMakePresets.json",
                                     "LICENSE",
                                     "CHANGELOG.md",
                                     "CONTRIBUTING.md",
                                     "dev",
                                     ".git",
                                     "build",
                                     ".cache"};
  for (const auto& entry : fs::directory_iterator(LEAT_SOURCE_DIR))
    EXPECT_TRUE(top.contains(entry.path().filename().string())) << entry.path();
  std::map<std::string, int> files;
  for (const Source& source : tree())
    if (source.path.ends_with(".cc")) ++files[fs::path(source.path).parent_path().string()];
  for (const auto& [folder, count] : files) EXPECT_LE(count, 20) << folder;
}

TEST(Tidy, TheReadmeIsShortAndEachRoomHasItsInventory) {
  std::ifstream readme(fs::path(LEAT_SOURCE_DIR) / "README.md");
  std::size_t lines = 0;
  for (std::string line; std::getline(readme, line);) ++lines;
  EXPECT_LE(lines, 200u);
  std::map<std::string, std::string> inventory;
  for (const char* room : {"protocol", "storage", "server", "client", "bench"}) {
    std::ifstream file(fs::path(LEAT_SOURCE_DIR) / room / "README.md");
    inventory[room] = {std::istreambuf_iterator<char>(file), {}};
  }
  for (const Source& source : tree()) {
    const std::string room = source.path.substr(0, source.path.find('/'));
    if (!inventory.contains(room)) continue;
    const std::string stem = fs::path(source.path).stem().string();
    EXPECT_NE(inventory[room].find(stem), std::string::npos)
        << room << "/README.md does not name " << stem;
  }
}

// ---- the rules can fail ----

TEST(TidyRules, FindWhatIsPlanted) {
  EXPECT_FALSE(bad_includes({"client/x.cc", {"#include \"server/server.h\""}}).empty());
  EXPECT_FALSE(
      bad_includes({"server/broker/x.cc", {"#include \"protocol/native/codec.h\""}}).empty());
  EXPECT_FALSE(bad_includes({"storage/x.cc", {"#include \"protocol/kafka/codec.h\""}}).empty());
  EXPECT_FALSE(
      bad_includes({"server/broker/x.h", {"#include \"protocol/kafka/error_code.h\""}}).empty());
  EXPECT_TRUE(
      bad_includes({"server/session/x.cc", {"#include \"protocol/kafka/codec.h\""}}).empty());
  EXPECT_FALSE(bad_includes({"server/x.cc", {"#include \"client/link.h\""}}).empty());
  EXPECT_FALSE(bad_includes({"server/session/x.cc", {"#include \"client/transport.h\""}}).empty());
  EXPECT_TRUE(bad_includes({"server/x.cc", {"#include \"client/tracing/tracer.h\""}}).empty());
  EXPECT_FALSE(bad_includes({"client/tracing/x.h", {"#include \"client/link.h\""}}).empty());
  EXPECT_TRUE(bad_includes({"server/x.cc", {"#include \"client/transport.h\""}}).empty());
  EXPECT_FALSE(bad_includes({"protocol/base/x.h", {"#include \"protocol/names.h\""}}).empty());
  EXPECT_FALSE(bad_includes({"server/reactor/x.h", {"#include \"storage/storage.h\""}}).empty());
  EXPECT_TRUE(
      bad_includes({"server/session/x.cc", {"#include \"server/broker/broker.h\""}}).empty());
  EXPECT_TRUE(bad_name("storage/string_utils.h"));
  EXPECT_TRUE(bad_name("storage/BadName.h"));
  EXPECT_TRUE(bad_name("server/common/x.h"));
  EXPECT_FALSE(bad_name("storage/disk_storage.cc"));
  EXPECT_TRUE(unfinished(std::string("// TO") + "DO: later"));
  EXPECT_EQ(limit_of("storage/x.h"), 220u);
}

}  // namespace
}  // namespace leat::tidy
