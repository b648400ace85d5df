// The codecs: what goes in comes out, what other implementations wrote is read, and hostile bytes
// cost no more than the cap.
#include "protocol/compression.h"

#include <fstream>
#include <string>

#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <gtest/gtest.h>
#include <lz4frame.h>

#include "protocol/base/random.h"

namespace leat {
namespace {

constexpr Compression kAll[] = {Compression::kGzip, Compression::kSnappy, Compression::kLz4,
                                Compression::kZstd};
constexpr std::size_t kCap = 4 << 20;

std::vector<std::byte> bytes_of(std::string_view text) {
  return {as_bytes(text).begin(), as_bytes(text).end()};
}

// Half noise, half repetition: every codec has matches and literals.
std::vector<std::byte> sample(Random& random, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t at = 0; at < size;) {
    const std::size_t run = std::min<std::size_t>(size - at, random.below(100) + 1);
    const bool noise = random.below(2) == 0;
    const auto one = static_cast<std::byte>(random.next());
    for (std::size_t i = 0; i < run; ++i)
      bytes[at++] = noise ? static_cast<std::byte>(random.next()) : one;
  }
  return bytes;
}

std::vector<std::byte> compressed(Compression type, Bytes from) {
  std::vector<std::byte> to;
  compress(type, from, to);
  return to;
}

void expect_gives(Compression type, Bytes from, Bytes expected, const std::string& what = {}) {
  auto got = decompress(type, from, kCap);
  ASSERT_TRUE(got) << name_of(type) << " " << what << ": " << got.error().message();
  EXPECT_TRUE(std::ranges::equal(got->bytes(), expected)) << name_of(type) << " " << what;
}

ErrorCode error_of(Compression type, Bytes from, std::size_t cap = kCap) {
  const auto got = decompress(type, from, cap);
  return got ? ErrorCode::kOk : got.error().code;
}

std::vector<std::byte> from_hex(std::string_view hex) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

// ---- what goes in comes out ----

TEST(Compression, HasNames) {
  for (const Compression type : kAll) EXPECT_EQ(compression_named(name_of(type)), type);
  EXPECT_EQ(compression_named("none"), Compression::kNone);
  EXPECT_EQ(compression_named("LZ4"), std::nullopt);
  EXPECT_EQ(compression_named(""), std::nullopt);
}

TEST(Compression, WhatGoesInComesOut) {
  Random random(1);
  for (const Compression type : kAll)
    for (const std::size_t size :
         {1, 2, 3, 15, 16, 100, 4'095, 32'768, 65'535, 65'536, 65'537, 131'072, 300'000, 1 << 20}) {
      const auto from = sample(random, size);
      expect_gives(type, compressed(type, from), from, std::to_string(size));
      const std::vector<std::byte> same(size, std::byte{7});
      expect_gives(type, compressed(type, same), same, std::to_string(size) + " alike");
    }
}

TEST(Compression, AppendsBehindWhatIsThere) {
  for (const Compression type : kAll) {
    auto to = bytes_of("header");
    compress(type, as_bytes("records"), to);
    EXPECT_EQ(as_text(Bytes(to).first(6)), "header");
    expect_gives(type, Bytes(to).subspan(6), as_bytes("records"));
  }
}

TEST(Compression, TheCapIsExact) {
  Random random(2);
  for (const Compression type : kAll)
    for (const std::size_t size : {1'000, 65'536, 200'000}) {
      const auto bytes = compressed(type, sample(random, size));
      EXPECT_EQ(error_of(type, bytes, size), ErrorCode::kOk) << name_of(type);
      EXPECT_EQ(error_of(type, bytes, size - 1), ErrorCode::kBatchTooLarge) << name_of(type);
      EXPECT_EQ(error_of(type, bytes, 1), ErrorCode::kBatchTooLarge) << name_of(type);
    }
}

TEST(Compression, UnknownTypesAreRefused) {
  for (const int type : {0, 5, 6, 7, 255})
    EXPECT_EQ(error_of(static_cast<Compression>(type), as_bytes("x")),
              ErrorCode::kUnsupportedCompression);
}

// ---- what others wrote ----

TEST(Compression, ReadsWhatTheCommandsWrite) {
  // printf 'foobar\n' | gzip -n, lz4 -c, zstd -c: with content checksums, the last two.
  const std::pair<Compression, const char*> vectors[] = {
      {Compression::kGzip, "1f8b08000000000000034bcbcf4f4a2ce2020047972cb207000000"},
      {Compression::kLz4, "04224d186440a707000080666f6f6261720a00000000442b196a"},
      {Compression::kZstd, "28b52ffd0458390000666f6f6261720add9b35b9"},
      // snappy-java's stream, and its one block alone.
      {Compression::kSnappy, "82534e41505059000000000100000001000000090718666f6f6261720a"},
      {Compression::kSnappy, "0718666f6f6261720a"},
  };
  for (const auto& [type, hex] : vectors) expect_gives(type, from_hex(hex), as_bytes("foobar\n"));
}

TEST(Compression, WritesTheJavaFramingOfSnappy) {
  EXPECT_EQ(compressed(Compression::kSnappy, as_bytes("foobar\n")),
            from_hex("82534e41505059000000000100000001000000090718666f6f6261720a"));
}

TEST(Compression, ReadsABareBlockAndManyBlocks) {
  Random random(3);
  const auto from = sample(random, 300'000);
  std::string block;
  snappy::Compress(as_text(from).data(), from.size(), &block);
  expect_gives(Compression::kSnappy, as_bytes(block), from, "bare");
  std::string framed("\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16);
  for (Bytes rest(from); !rest.empty();) {
    const Bytes piece = rest.first(std::min<std::size_t>(rest.size(), random.below(40'000) + 1));
    rest = rest.subspan(piece.size());
    snappy::Compress(as_text(piece).data(), piece.size(), &block);
    std::byte length[4];
    store_be(length, static_cast<std::uint32_t>(block.size()));
    framed.append(as_text(length)).append(block);
  }
  expect_gives(Compression::kSnappy, as_bytes(framed), from, "blocks");
}

TEST(Compression, ReadsEveryShapeOfLz4Frame) {
  Random random(4);
  const auto from = sample(random, 700'000);
  for (const auto mode : {LZ4F_blockLinked, LZ4F_blockIndependent})
    for (const auto size : {LZ4F_max64KB, LZ4F_max256KB, LZ4F_max1MB, LZ4F_max4MB})
      for (const bool extras : {false, true}) {
        LZ4F_preferences_t preferences{};
        preferences.frameInfo.blockMode = mode;
        preferences.frameInfo.blockSizeID = size;
        if (extras) {
          preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
          preferences.frameInfo.blockChecksumFlag = LZ4F_blockChecksumEnabled;
          preferences.frameInfo.contentSize = from.size();
        }
        std::vector<std::byte> to(LZ4F_compressFrameBound(from.size(), &preferences));
        to.resize(LZ4F_compressFrame(to.data(), to.size(), from.data(), from.size(), &preferences));
        expect_gives(Compression::kLz4, to, from);
      }
}

// As a producer that does not know the size beforehand.
std::vector<std::byte> zstd_stream(Bytes from, int level, int window_log) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  if (window_log > 0) ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  std::vector<std::byte> to(ZSTD_compressBound(from.size()));
  ZSTD_inBuffer in{from.data(), from.size(), 0};
  ZSTD_outBuffer out{to.data(), to.size(), 0};
  ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue);
  while (ZSTD_compressStream2(context, &out, &in, ZSTD_e_end) != 0) {
  }
  ZSTD_freeCCtx(context);
  to.resize(out.pos);
  return to;
}

TEST(Compression, ReadsZstdOfAnyUsualLevel) {
  Random random(5);
  const auto from = sample(random, 500'000);
  for (const int level : {-5, 1, 3, 9, 19})
    expect_gives(Compression::kZstd, zstd_stream(from, level, 0), from, std::to_string(level));
  expect_gives(Compression::kZstd, zstd_stream(from, 3, 23), from, "8 MiB window");
  EXPECT_EQ(error_of(Compression::kZstd, zstd_stream(from, 3, 24)), ErrorCode::kBatchTooLarge);
  EXPECT_TRUE(decompress(Compression::kZstd, zstd_stream(from, 3, 26), 64 << 20));
  EXPECT_EQ(error_of(Compression::kZstd, zstd_stream(from, 3, 27), 64 << 20),
            ErrorCode::kBatchTooLarge);
}

// ---- damage ----

TEST(HostileCompression, EveryTruncationIsRefused) {
  Random random(6);
  for (const Compression type : kAll)
    for (const std::size_t size : {1, 300, 70'000}) {
      const auto intact = compressed(type, sample(random, size));
      const std::size_t step = size > 1'000 ? 131 : 1;
      for (std::size_t cut = 0; cut < intact.size(); cut += step) {
        // An xerial stream ends behind any block, where the record count tells the loss.
        const std::vector<std::byte> exact(intact.begin(),
                                           intact.begin() + static_cast<std::ptrdiff_t>(cut));
        const auto got = decompress(type, exact, kCap);
        if (got)
          EXPECT_LT(got->bytes().size(), size) << name_of(type) << " " << cut;
        else
          EXPECT_EQ(got.error().code, ErrorCode::kInvalidBatch) << name_of(type) << " " << cut;
        EXPECT_TRUE(!got || type == Compression::kSnappy) << name_of(type) << " " << cut;
      }
    }
}

TEST(HostileCompression, WhatStandsBehindTheStreamIsRefused) {
  for (const Compression type : kAll) {
    auto bytes = compressed(type, as_bytes("records"));
    const auto again = bytes;
    bytes.push_back(std::byte{0});
    EXPECT_EQ(error_of(type, bytes), ErrorCode::kInvalidBatch) << name_of(type);
    bytes.pop_back();
    bytes.insert(bytes.end(), again.begin(), again.end());
    EXPECT_EQ(error_of(type, bytes), ErrorCode::kInvalidBatch) << name_of(type) << " twice";
  }
}

TEST(HostileCompression, FlippedBytesNeverExceedTheCap) {
  Random random(7);
  for (const Compression type : kAll)
    for (int round = 0; round < 3'000; ++round) {
      const std::size_t size = random.below(3'000) + 1;
      auto bytes = compressed(type, sample(random, size));
      for (std::uint64_t n = random.below(4) + 1; n > 0; --n)
        bytes[random.below(std::min<std::size_t>(bytes.size(), random.below(2) ? 40 : 4'000))] ^=
            static_cast<std::byte>(1u << random.below(8));
      bytes.shrink_to_fit();
      const auto got = decompress(type, bytes, 2'000);
      if (got)
        EXPECT_LE(got->bytes().size(), 2'000u);
      else
        EXPECT_TRUE(got.error() == ErrorCode::kInvalidBatch ||
                    got.error() == ErrorCode::kBatchTooLarge)
            << got.error().message();
    }
}

TEST(HostileCompression, NoiseIsRefusedOrBounded) {
  Random random(8);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes(random.below(200));
    for (std::byte& b : bytes) b = static_cast<std::byte>(random.next());
    for (const Compression type : kAll) {
      const auto got = decompress(type, bytes, 1'000);
      if (got) {
        EXPECT_LE(got->bytes().size(), 1'000u);
      }
    }
  }
}

// ---- bombs ----

constexpr std::size_t kBombBytes = 256 << 20;

std::vector<std::byte> gzip_bomb() {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  const std::vector<Bytef> zeros(1 << 20);
  std::vector<std::byte> to(1 << 20);
  stream.next_out = reinterpret_cast<Bytef*>(to.data());
  stream.avail_out = static_cast<uInt>(to.size());
  for (std::size_t done = 0; done < kBombBytes; done += zeros.size()) {
    stream.next_in = zeros.data();
    stream.avail_in = static_cast<uInt>(zeros.size());
    deflate(&stream, done + zeros.size() == kBombBytes ? Z_FINISH : Z_NO_FLUSH);
  }
  to.resize(stream.total_out);
  deflateEnd(&stream);
  return to;
}

std::vector<std::byte> lz4_bomb() {
  LZ4F_cctx* context = nullptr;
  LZ4F_createCompressionContext(&context, LZ4F_VERSION);
  const std::vector<std::byte> zeros(1 << 20);
  std::vector<std::byte> to(8 << 20);
  std::size_t size = LZ4F_compressBegin(context, to.data(), to.size(), nullptr);
  for (std::size_t done = 0; done < kBombBytes; done += zeros.size())
    size += LZ4F_compressUpdate(context, to.data() + size, to.size() - size, zeros.data(),
                                zeros.size(), nullptr);
  size += LZ4F_compressEnd(context, to.data() + size, to.size() - size, nullptr);
  LZ4F_freeCompressionContext(context);
  to.resize(size);
  return to;
}

std::vector<std::byte> zstd_bomb() {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  const std::vector<std::byte> zeros(1 << 20);
  std::vector<std::byte> to(4 << 20);
  ZSTD_outBuffer out{to.data(), to.size(), 0};
  for (std::size_t done = 0; done < kBombBytes; done += zeros.size()) {
    ZSTD_inBuffer in{zeros.data(), zeros.size(), 0};
    ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue);
  }
  ZSTD_inBuffer end{nullptr, 0, 0};
  ZSTD_compressStream2(context, &out, &end, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  to.resize(out.pos);
  return to;
}

// As well as snappy can: elements of three bytes that copy 64.
std::vector<std::byte> snappy_bomb() {
  std::vector<std::byte> to = from_hex("80808080010000");  // 256 MiB; a literal of one zero
  for (std::size_t done = 1; done < kBombBytes; done += 64)
    for (const int b : {0xfe, 0x01, 0x00}) to.push_back(static_cast<std::byte>(b));
  return to;
}

// Resident bytes at the most, so far.
std::size_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmHWM:") {
      std::size_t kib = 0;
      status >> kib;
      return kib << 10;
    }
  return 0;
}

TEST(HostileCompression, BombsAreRefusedInBoundedMemory) {
  const std::pair<Compression, std::vector<std::byte>> bombs[] = {
      {Compression::kGzip, gzip_bomb()},
      {Compression::kLz4, lz4_bomb()},
      {Compression::kZstd, zstd_bomb()},
      {Compression::kSnappy, snappy_bomb()},
  };
  const std::size_t before = peak_memory();
  for (const auto& [type, bomb] : bombs) {
    EXPECT_GT(kBombBytes / bomb.size(), type == Compression::kSnappy ? 20u : 200u) << name_of(type);
    EXPECT_EQ(error_of(type, bomb, 1 << 20), ErrorCode::kBatchTooLarge) << name_of(type);
    EXPECT_EQ(error_of(type, Bytes(bomb).first(bomb.size() / 2), 1 << 20),
              ErrorCode::kBatchTooLarge)
        << name_of(type);
  }
  EXPECT_LT(peak_memory() - before, 32u << 20);
}

// What a header declares is held against the cap, and against what can be, before it gets room.
TEST(HostileCompression, DeclaredSizesAreNotBelieved) {
  const std::size_t before = peak_memory();
  // snappy: 1 GiB in five bytes, bare and framed; and more than the elements give.
  EXPECT_EQ(error_of(Compression::kSnappy, from_hex("8080808004"), 2u << 30),
            ErrorCode::kInvalidBatch);
  EXPECT_EQ(error_of(Compression::kSnappy, from_hex("8080808004")), ErrorCode::kBatchTooLarge);
  EXPECT_EQ(error_of(Compression::kSnappy,
                     from_hex("82534e41505059000000000100000001000000058080808004")),
            ErrorCode::kBatchTooLarge);
  EXPECT_EQ(error_of(Compression::kSnappy, from_hex("0818666f6f6261720a")),
            ErrorCode::kInvalidBatch);
  for (const char* length : {"00000000", "7fffffff", "80000000", "ffffffff"})
    EXPECT_EQ(error_of(Compression::kSnappy,
                       from_hex("82534e41505059000000000100000001" + std::string(length))),
              ErrorCode::kInvalidBatch)
        << length;
  // zstd: a content size of 2^40, and a window of 2^31.
  EXPECT_EQ(error_of(Compression::kZstd, from_hex("28b52ffdc0000000000000010000010000")),
            ErrorCode::kBatchTooLarge);
  EXPECT_EQ(error_of(Compression::kZstd, from_hex("28b52ffd00a8010000")),
            ErrorCode::kBatchTooLarge);
  // lz4: a content size of 2^40 behind a correct header checksum.
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.contentSize = std::uint64_t{1} << 40;
  LZ4F_cctx* context = nullptr;
  LZ4F_createCompressionContext(&context, LZ4F_VERSION);
  std::vector<std::byte> header(LZ4F_HEADER_SIZE_MAX);
  header.resize(LZ4F_compressBegin(context, header.data(), header.size(), &preferences));
  LZ4F_freeCompressionContext(context);
  EXPECT_EQ(error_of(Compression::kLz4, header), ErrorCode::kBatchTooLarge);
  // Frames that hold nothing for anybody, and formats from before zstd 1.0.
  EXPECT_EQ(error_of(Compression::kZstd, from_hex("502a4d1804000000deadbeef")),
            ErrorCode::kInvalidBatch);
  EXPECT_EQ(error_of(Compression::kLz4, from_hex("502a4d1804000000deadbeef")),
            ErrorCode::kInvalidBatch);
  EXPECT_EQ(error_of(Compression::kZstd, from_hex("27b52ffd000000")), ErrorCode::kInvalidBatch);
  EXPECT_LT(peak_memory() - before, 32u << 20);
}

}  // namespace
}  // namespace leat
