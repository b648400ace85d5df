// What real clients and a real broker sent, and what Kafka's own message classes agree to: read
// whole, and written again byte for byte. captured/README.md says where it comes from.
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "protocol/kafka/frame.h"
#include "tests/protocol/kafka/every_version.h"

namespace leat::kafka {
namespace {

namespace fs = std::filesystem;

const fs::path kCaptured = fs::path(LEAT_SOURCE_DIR) / "tests/protocol/kafka/captured";

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Decodes and encodes a body by the name of its message.
using Rewrite = Result<> (*)(Bytes body, std::int16_t version, std::vector<std::byte>& to);
std::map<std::string, Rewrite> rewrites() {
  std::map<std::string, Rewrite> all;
  for_each_message([&]<class Message>(const char* name) {
    all[name] = [](Bytes body, std::int16_t version, std::vector<std::byte>& to) -> Result<> {
      const auto message = decode<Message>(body, version, kPlenty);
      if (!message) return fail(message.error());
      return encode(*message, version, to);
    };
  });
  return all;
}

// "kafkajs-2.2.4.Fetch.v11.request.bin"
struct Capture {
  std::string api;
  std::int16_t version;
  bool is_request;
};
Capture parse_name(const std::string& name) {
  std::vector<std::string> parts;
  std::istringstream in(name);
  for (std::string part; std::getline(in, part, '.');) parts.push_back(part);
  const std::size_t n = parts.size();
  return {parts.at(n - 4), static_cast<std::int16_t>(std::stoi(parts.at(n - 3).substr(1))),
          parts.at(n - 2) == "request"};
}

// The whole frame again, without its length.
Result<std::vector<std::byte>> rewrite_request(Bytes content, const Capture& capture,
                                               const Rewrite& rewrite) {
  const auto request = parse_request(content);
  if (!request) return fail(request.error());
  EXPECT_EQ(api_info(request->header.api).name, capture.api);
  EXPECT_EQ(request->header.version, capture.version);
  std::vector<std::byte> to;
  begin_request(request->header, to);
  if (auto ok = rewrite(request->body, capture.version, to); !ok) return fail(ok.error());
  to.erase(to.begin(), to.begin() + kLengthBytes);
  return to;
}

Result<std::vector<std::byte>> rewrite_response(Bytes content, const Capture& capture, ApiKey api,
                                                const Rewrite& rewrite) {
  const auto response = parse_response(content, api, capture.version);
  if (!response) return fail(response.error());
  std::vector<std::byte> to;
  begin_response(response->correlation_id, api, capture.version, to);
  if (auto ok = rewrite(response->body, capture.version, to); !ok) return fail(ok.error());
  to.erase(to.begin(), to.begin() + kLengthBytes);
  return to;
}

ApiKey api_of(const std::string& name) {
  for (const ApiInfo& api : kApis)
    if (api.name == name) return api.key;
  ADD_FAILURE() << "no API " << name;
  return ApiKey::kApiVersions;
}

TEST(Captured, FramesComeBackByteForByte) {
  const auto all = rewrites();
  std::set<std::string> apis;
  for (const auto& entry : fs::directory_iterator(kCaptured)) {
    if (entry.path().extension() != ".bin") continue;
    const std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    const Capture capture = parse_name(name);
    const std::string bytes = read_file(entry.path());
    const Rewrite rewrite = all.at(capture.api + (capture.is_request ? "Request" : "Response"));
    const auto again = capture.is_request ? rewrite_request(as_bytes(bytes), capture, rewrite)
                                          : rewrite_response(as_bytes(bytes), capture,
                                                             api_of(capture.api), rewrite);
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(as_text(*again), bytes);
    apis.insert(capture.api);
  }
  EXPECT_EQ(apis.size(), std::size(kApis)) << "every API was captured";
}

std::vector<std::byte> from_hex(const std::string& hex) {
  std::vector<std::byte> bytes;
  if (hex == "-") return bytes;  // a message without a field
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

TEST(Captured, KafkasOwnClassesAgreeInEveryVersion) {
  const auto all = rewrites();
  std::set<std::string> confirmed;
  std::ifstream file(kCaptured / "confirmed.txt");
  for (std::string name, version, hex; file >> name >> version >> hex;) {
    SCOPED_TRACE(name + " " + version);
    const auto bytes = from_hex(hex);
    std::vector<std::byte> again;
    const auto ok = all.at(name)(bytes, static_cast<std::int16_t>(std::stoi(version)), again);
    ASSERT_TRUE(ok) << ok.error().message();
    EXPECT_EQ(again, bytes);
    confirmed.insert(name + " " + version);
  }
  for_each_message([&]<class Message>(const std::string& name) {
    const ApiInfo& api = api_info(Message::kApi);
    for (int version = api.lowest; version <= api.highest; ++version)
      EXPECT_TRUE(confirmed.contains(name + " " + std::to_string(version)))
          << name << " " << version;
  });
}

}  // namespace
}  // namespace leat::kafka
