// Any frame's content as a request: it is refused, or what was read of it can be written, and reads
// as the same again.
#include <cstdint>
#include <vector>

#include "protocol/base/assert.h"
#include "protocol/kafka/frame.h"
#include "tests/protocol/kafka/every_message.h"

namespace leat::kafka {
namespace {

constexpr std::size_t kMemoryBytes = 1 << 20;

template <class Message>
void check(Bytes body, std::int16_t version) {
  const auto message = decode<Message>(body, version, kMemoryBytes);
  if (!message) return;
  std::vector<std::byte> first, second;
  LEAT_ASSERT(encode(*message, version, first));
  const auto again = decode<Message>(first, version, kMemoryBytes);
  LEAT_ASSERT(again);
  LEAT_ASSERT(encode(*again, version, second));
  LEAT_ASSERT(first == second);
}

void check(Bytes content) {
  const auto request = parse_request(content);
  if (!request) return;
  switch (request->header.api) {
#define LEAT_KAFKA_CHECK(name, key, lowest, highest, flexible) \
  case ApiKey::k##name:                                        \
    return check<name##Request>(request->body, request->header.version);
    LEAT_KAFKA_APIS(LEAT_KAFKA_CHECK)
#undef LEAT_KAFKA_CHECK
  }
}

}  // namespace
}  // namespace leat::kafka

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leat::kafka::check({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
