// Frames: whole or incomplete, never misread; what is no frame is refused at its first wrong byte
// and named (rule 12).
#include "protocol/native/frame.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "protocol/base/random.h"

namespace leat::native {
namespace {

constexpr FrameLimits kLimits{.envelope_bytes = 1000, .payload_bytes = 2000};

std::vector<std::byte> frame_of(std::size_t envelope_bytes, std::size_t payload_bytes) {
  const FrameHeader header{static_cast<std::uint32_t>(envelope_bytes),
                           static_cast<std::uint32_t>(payload_bytes)};
  std::vector<std::byte> bytes(header.frame_bytes());
  write_frame_header(std::span<std::byte, kFrameHeaderBytes>(bytes.data(), kFrameHeaderBytes),
                     header);
  for (std::size_t i = 0; i < envelope_bytes; ++i) bytes[kFrameHeaderBytes + i] = std::byte{'e'};
  for (std::size_t i = 0; i < payload_bytes; ++i) bytes[header.payload_at() + i] = std::byte{'p'};
  return bytes;
}

// The code of what parse_frame says; kOk for a frame and for an incomplete one.
ErrorCode verdict(Bytes bytes, const FrameLimits& limits = kLimits) {
  const auto frame = parse_frame(bytes, limits);
  return frame ? ErrorCode::kOk : frame.error().code;
}

template <class T>
std::vector<std::byte> with(std::size_t at, T value) {
  auto bytes = frame_of(20, 20);
  store_le(&bytes[at], value);
  return bytes;
}

TEST(Frame, TheHeaderHasTheDocumentedBytes) {
  const auto bytes = frame_of(0x102, 0x304);
  const std::uint8_t expected[] = {'L', 'E', 'A', 'T', 2, 1, 0, 0, 4, 3, 0, 0, 1, 0, 0, 0};
  EXPECT_TRUE(std::ranges::equal(Bytes(bytes).first(16), std::as_bytes(std::span(expected))));
}

TEST(Frame, EverySizeComesBackAndIsPaddedToEight) {
  for (std::size_t envelope = 1; envelope < 20; ++envelope)
    for (std::size_t payload = 0; payload < 20; ++payload) {
      auto bytes = frame_of(envelope, payload);
      const std::size_t whole = bytes.size();
      EXPECT_EQ(whole % kFrameAlignment, 0u);
      bytes.insert(bytes.end(), 5, std::byte{'L'});  // the next frame has begun
      const auto frame = parse_frame(bytes, kLimits);
      ASSERT_TRUE(frame && *frame);
      EXPECT_EQ((*frame)->frame_bytes, whole);
      EXPECT_EQ(as_text((*frame)->envelope), std::string(envelope, 'e'));
      EXPECT_EQ(as_text((*frame)->payload), std::string(payload, 'p'));
    }
}

TEST(Frame, IsIncompleteAtEverySplitPointUntilItsLastByte) {
  const auto bytes = frame_of(21, 35);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto frame = parse_frame(Bytes(bytes).first(size), kLimits);
    ASSERT_TRUE(frame) << size;
    EXPECT_FALSE(*frame) << size;
    const auto header = parse_frame_header(Bytes(bytes).first(size), kLimits);
    ASSERT_TRUE(header) << size;
    EXPECT_EQ(header->has_value(), size >= kFrameHeaderBytes) << size;
  }
}

TEST(Frame, LimitsHoldToTheByte) {
  EXPECT_EQ(verdict(frame_of(1000, 2000)), ErrorCode::kOk);
  EXPECT_EQ(verdict(frame_of(1001, 2000)), ErrorCode::kFrameTooLarge);
  EXPECT_EQ(verdict(frame_of(1000, 2001)), ErrorCode::kFrameTooLarge);
  EXPECT_EQ(verdict(frame_of(4 << 10, 0), kLimitsBeforeHello), ErrorCode::kOk);
  EXPECT_EQ(verdict(frame_of((4 << 10) + 1, 0), kLimitsBeforeHello), ErrorCode::kFrameTooLarge);
  EXPECT_EQ(verdict(frame_of(8, 1), kLimitsBeforeHello), ErrorCode::kFrameTooLarge);
}

// Each field is judged as soon as its last byte is there, not before: nobody waits for two
// gigabytes that will be refused.
TEST(Frame, FieldsThatLieAreRefusedAtOnce) {
  const struct {
    std::vector<std::byte> bytes;
    std::size_t enough;
    ErrorCode code;
  } lies[] = {
      {with(4, std::uint32_t{0}), 8, ErrorCode::kMalformedFrame},
      {with(4, std::uint32_t{0x80000000}), 8, ErrorCode::kFrameTooLarge},
      {with(4, std::uint32_t{0xffffffff}), 8, ErrorCode::kFrameTooLarge},
      {with(8, std::uint32_t{0x80000000}), 12, ErrorCode::kFrameTooLarge},
      {with(8, std::uint32_t{0xffffffff}), 12, ErrorCode::kFrameTooLarge},
      {with(12, std::uint16_t{0}), 14, ErrorCode::kUnsupportedVersion},
      {with(12, std::uint16_t{2}), 14, ErrorCode::kUnsupportedVersion},
      {with(14, std::uint16_t{1}), 16, ErrorCode::kMalformedFrame},
      {with(14, std::uint16_t{0x8000}), 16, ErrorCode::kMalformedFrame},
  };
  for (const auto& [bytes, enough, code] : lies) {
    EXPECT_EQ(verdict(Bytes(bytes).first(enough - 1)), ErrorCode::kOk) << enough;
    for (std::size_t size = enough; size <= bytes.size(); ++size)
      EXPECT_EQ(verdict(Bytes(bytes).first(size)), code) << size;
  }
}

TEST(Frame, PaddingIsZero) {
  const auto intact = frame_of(21, 35);
  ASSERT_EQ(verdict(intact), ErrorCode::kOk);
  for (const std::size_t at : {16 + 21, 16 + 23, 16 + 24 + 35, 16 + 24 + 39}) {
    auto bytes = intact;
    bytes[at] = std::byte{1};
    EXPECT_EQ(verdict(bytes), ErrorCode::kMalformedFrame) << at;
  }
}

TEST(Frame, TheFirstByteThatDiffersIsEnough) {
  const std::string magic = "LEAT";
  for (std::size_t good = 0; good < magic.size(); ++good)
    for (int other = 0; other < 256; ++other) {
      if (static_cast<char>(other) == magic[good]) continue;
      const std::string bytes = magic.substr(0, good) + static_cast<char>(other);
      EXPECT_EQ(verdict(as_bytes(bytes)), ErrorCode::kMalformedFrame) << good << " " << other;
    }
}

TEST(Frame, OtherProtocolsAreNamed) {
  const auto text = [](auto&... literal) {
    return (std::string(literal, sizeof literal - 1) + ...);
  };
  const std::pair<std::string, std::string> known[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "an HTTP request"},
      {"POST /topics HTTP/1.1\r\n", "an HTTP request"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "an HTTP request"},
      {text("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "a TLS handshake"},
      {text("\x00\x00\x00\x1a\x00\x12\x00\x03\x00\x00\x00\x01"), "a Kafka request"},
      {text("\x00\x01\x02"), "bytes 00 01 02"},
      {text("\xff\x00\x00\x1a\x00\x12\x00\x03\x00\x00\x00\x01"), "bytes ff 00 00 1a 00 12 00 03"},
      {"LEAF", "bytes 4c 45 41 46"}};
  for (const auto& [bytes, name] : known) {
    const auto frame = parse_frame(as_bytes(bytes), kLimits);
    ASSERT_FALSE(frame) << name;
    EXPECT_EQ(frame.error().code, ErrorCode::kMalformedFrame);
    EXPECT_TRUE(frame.error().detail.ends_with("found " + name)) << frame.error().detail;
  }
}

TEST(Frame, RandomHeadersAreRefusedOrReadWithinTheirBytes) {
  Random random(1);
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = frame_of(random.below(40) + 1, random.below(40));
    for (std::uint64_t n = random.below(3) + 1; n > 0; --n)
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.next());
    const auto frame = parse_frame(bytes, kLimits);
    if (!frame || !*frame) continue;
    EXPECT_LE((*frame)->frame_bytes, bytes.size());
    EXPECT_LE((*frame)->envelope.data() + (*frame)->envelope.size(), (*frame)->payload.data());
    EXPECT_LE((*frame)->payload.data() + (*frame)->payload.size(), bytes.data() + bytes.size());
  }
}

}  // namespace
}  // namespace leat::native
