// Frames of the native protocol (rule 12, docs/native_protocol.md):
//
//   0  magic     u32  "LEAT"
//   4  envelope  u32  bytes of the FlatBuffers envelope, without padding
//   8  payload   u32  bytes of the payload (record batches), without padding
//   12 version   u16  of the frame layout: 1
//   14 reserved  u16  0
//
// little-endian; envelope and payload follow, each padded with zeros to a multiple of 8, so that
// both are read in place when the frame lies on an 8-byte boundary.
#pragma once

#include <cstdint>
#include <optional>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace leat::native {

inline constexpr std::uint32_t kFrameMagic = 0x5441454c;  // "LEAT" in memory
inline constexpr std::uint16_t kFrameVersion = 1;
inline constexpr std::size_t kFrameHeaderBytes = 16;
inline constexpr std::size_t kFrameAlignment = 8;

struct FrameLimits {
  std::size_t envelope_bytes = 256 << 10;
  std::size_t payload_bytes = 16 << 20;
};
// Until Hello is through.
inline constexpr FrameLimits kLimitsBeforeHello{.envelope_bytes = 4 << 10, .payload_bytes = 0};

struct FrameHeader {
  std::uint32_t envelope_bytes = 0;
  std::uint32_t payload_bytes = 0;

  std::size_t payload_at() const {
    return kFrameHeaderBytes + round_up(envelope_bytes, kFrameAlignment);
  }
  std::size_t frame_bytes() const {
    return payload_at() + round_up(payload_bytes, kFrameAlignment);
  }
};

// One whole frame, borrowing the receive buffer.
struct FrameView {
  Bytes envelope;
  Bytes payload;
  std::size_t frame_bytes = 0;
};

// Checks magic, version, reserved bits and limits as soon as the bytes that hold them are there:
// a peer that speaks another protocol is found by its first byte that differs from "LEAT".
// Yields no value (nullopt inside) while the header is incomplete.
// Errors: kMalformedFrame (says what arrived instead: HTTP, TLS …), kUnsupportedVersion,
// kFrameTooLarge.
Result<std::optional<FrameHeader>> parse_frame_header(Bytes received, const FrameLimits& limits);

// The first frame of `received`, or nullopt while it is incomplete. Errors as above, and
// kMalformedFrame for padding that is not zero.
Result<std::optional<FrameView>> parse_frame(Bytes received, const FrameLimits& limits);

// Writes the header.
void write_frame_header(std::span<std::byte, kFrameHeaderBytes> to, const FrameHeader& header);

}  // namespace leat::native
