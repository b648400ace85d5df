#include "protocol/native/frame.h"

#include <algorithm>
#include <string>

#include "protocol/first_bytes.h"

namespace leat::native {
namespace {

constexpr std::size_t kEnvelopeAt = 4, kPayloadAt = 8, kVersionAt = 12, kReservedAt = 14;
constexpr std::string_view kMagicText = "LEAT";

Result<> check_magic(Bytes received) {
  const std::size_t n = std::min(received.size(), kMagicText.size());
  if (as_text(received.first(n)) == kMagicText.substr(0, n)) return {};
  return fail(ErrorCode::kMalformedFrame,
              "expected a frame of Leat's native protocol, found " + name_first_bytes(received));
}

Result<> check_size(std::string_view part, std::uint32_t bytes, std::size_t limit) {
  if (bytes <= limit) return {};
  return fail(ErrorCode::kFrameTooLarge, std::string(part) + " of " + std::to_string(bytes) +
                                             " bytes, the limit is " + std::to_string(limit));
}

// The fields behind the magic, each as soon as it is there.
Result<> check_fields(Bytes received, const FrameLimits& limits) {
  const std::byte* const at = received.data();
  const auto arrived = [&](std::size_t end) { return received.size() >= end; };
  if (arrived(kReservedAt))
    if (const auto version = load_le<std::uint16_t>(at + kVersionAt); version != kFrameVersion)
      return fail(ErrorCode::kUnsupportedVersion, "frame layout " + std::to_string(version) +
                                                      ", this side speaks " +
                                                      std::to_string(kFrameVersion));
  if (arrived(kFrameHeaderBytes))
    if (const auto reserved = load_le<std::uint16_t>(at + kReservedAt); reserved != 0)
      return fail(ErrorCode::kMalformedFrame,
                  "reserved header bits are " + std::to_string(reserved) + " instead of 0");
  if (arrived(kPayloadAt)) {
    const auto bytes = load_le<std::uint32_t>(at + kEnvelopeAt);
    if (bytes == 0) return fail(ErrorCode::kMalformedFrame, "frame without an envelope");
    if (auto ok = check_size("envelope", bytes, limits.envelope_bytes); !ok) return ok;
  }
  if (arrived(kVersionAt))
    return check_size("payload", load_le<std::uint32_t>(at + kPayloadAt), limits.payload_bytes);
  return {};
}

bool all_zero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

Result<std::optional<FrameHeader>> parse_frame_header(Bytes received, const FrameLimits& limits) {
  if (auto ok = check_magic(received); !ok) return fail(std::move(ok.error()));
  if (auto ok = check_fields(received, limits); !ok) return fail(std::move(ok.error()));
  if (received.size() < kFrameHeaderBytes) return std::nullopt;
  return FrameHeader{.envelope_bytes = load_le<std::uint32_t>(received.data() + kEnvelopeAt),
                     .payload_bytes = load_le<std::uint32_t>(received.data() + kPayloadAt)};
}

Result<std::optional<FrameView>> parse_frame(Bytes received, const FrameLimits& limits) {
  auto parsed = parse_frame_header(received, limits);
  if (!parsed) return fail(std::move(parsed.error()));
  if (!*parsed) return std::nullopt;
  const FrameHeader& header = **parsed;
  if (received.size() < header.frame_bytes()) return std::nullopt;
  const std::size_t envelope_end = kFrameHeaderBytes + header.envelope_bytes;
  const std::size_t payload_end = header.payload_at() + header.payload_bytes;
  if (!all_zero(received.subspan(envelope_end, header.payload_at() - envelope_end)) ||
      !all_zero(received.subspan(payload_end, header.frame_bytes() - payload_end)))
    return fail(ErrorCode::kMalformedFrame, "padding that is not zero");
  return FrameView{.envelope = received.subspan(kFrameHeaderBytes, header.envelope_bytes),
                   .payload = received.subspan(header.payload_at(), header.payload_bytes),
                   .frame_bytes = header.frame_bytes()};
}

void write_frame_header(std::span<std::byte, kFrameHeaderBytes> to, const FrameHeader& header) {
  store_le(to.data(), kFrameMagic);
  store_le(to.data() + kEnvelopeAt, header.envelope_bytes);
  store_le(to.data() + kPayloadAt, header.payload_bytes);
  store_le(to.data() + kVersionAt, kFrameVersion);
  store_le<std::uint16_t>(to.data() + kReservedAt, 0);
}

}  // namespace leat::native
