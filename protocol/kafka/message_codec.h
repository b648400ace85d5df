// Makes `decode` and `encode` of messages out of their descriptions. Only for the files in
// messages/, which name each message once: every use costs compiling.
#pragma once

#include <string>

#include "protocol/base/assert.h"
#include "protocol/kafka/codec.h"
#include "protocol/kafka/decoder.h"
#include "protocol/kafka/encoder.h"

namespace leat::kafka {

// "Fetch 19 (0 to 18 are supported)"
Error unsupported_version(const ApiInfo& api, std::int16_t version);
// Puts "Fetch 12: " in front.
Error in_message(const ApiInfo& api, std::int16_t version, Error error);

template <class Message>
Result<Message> decode(Bytes body, std::int16_t version, std::size_t memory_bytes) {
  constexpr const ApiInfo& api = api_info(Message::kApi);
  if (!api.supports(version)) return fail(unsupported_version(api, version));
  Decoder decoder(body, version, api.flexible(version), memory_bytes);
  Result<Message> message(tl::in_place);
  decoder.structure(*message);
  if (auto ok = decoder.finish(); !ok) message = fail(in_message(api, version, ok.error()));
  return message;
}

template <class Message>
Result<> encode_into(const Message& message, std::int16_t version, std::vector<std::byte>& to,
                     std::vector<Borrowed>* borrowed) {
  constexpr const ApiInfo& api = api_info(Message::kApi);
  if (!api.supports(version)) return fail(unsupported_version(api, version));
  ByteCounter counter(borrowed != nullptr);
  Encoder<ByteCounter> counting(counter, version, api.flexible(version));
  counting.structure(message);
  if (counting.problem() != nullptr)
    return fail(in_message(api, version, {ErrorCode::kInvalidRequest, counting.problem()}));
  ByteWriter writer(to, counter.bytes(), borrowed);
  Encoder<ByteWriter> writing(writer, version, api.flexible(version));
  writing.structure(message);
  LEAT_ASSERT(writer.end() == to.data() + to.size());
  return {};
}

template <class Message>
Result<> encode(const Message& message, std::int16_t version, std::vector<std::byte>& to) {
  return encode_into(message, version, to, nullptr);
}

template <class Message>
Result<std::vector<Borrowed>> encode_around(const Message& message, std::int16_t version,
                                            std::vector<std::byte>& to) {
  std::vector<Borrowed> borrowed;
  if (auto ok = encode_into(message, version, to, &borrowed); !ok) return fail(ok.error());
  return borrowed;
}

}  // namespace leat::kafka

// At the end of a file in messages/, inside the namespace: both messages of one API.
#define LEAT_KAFKA_CODEC(name)             \
  LEAT_KAFKA_MESSAGE_CODEC(name##Request); \
  LEAT_KAFKA_MESSAGE_CODEC(name##Response)
#define LEAT_KAFKA_MESSAGE_CODEC(Message)                                                     \
  template Result<Message> decode<Message>(Bytes, std::int16_t, std::size_t);                 \
  template Result<> encode<Message>(const Message&, std::int16_t, std::vector<std::byte>&);   \
  template Result<std::vector<Borrowed>> encode_around<Message>(const Message&, std::int16_t, \
                                                                std::vector<std::byte>&)
