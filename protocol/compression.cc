#include "protocol/compression.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <new>
#include <string>

#include <snappy.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <lz4frame.h>

#include "protocol/base/assert.h"

namespace leat {

// Room for a codec to write into; one byte more than the cap, so that a codec which has more to say
// is told from one that is done.
class DecompressedOutput {
 public:
  explicit DecompressedOutput(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  bool over() const { return into_.size_ > max_bytes_; }
  std::size_t max_bytes() const { return max_bytes_; }
  // At least one byte, unless over().
  MutableBytes room() {
    if (into_.size_ == capacity_) grow(std::max(kFirstBytes, 2 * capacity_));
    return {into_.data_.get() + into_.size_, capacity_ - into_.size_};
  }
  // Exactly `bytes`, which the caller has held against the cap.
  std::byte* room_for(std::size_t bytes) {
    LEAT_ASSERT(bytes <= max_bytes_ - into_.size_);
    if (capacity_ - into_.size_ < bytes) grow(std::max(into_.size_ + bytes, 2 * capacity_));
    return into_.data_.get() + into_.size_;
  }
  void wrote(std::size_t bytes) { into_.size_ += bytes; }
  std::size_t size() const { return into_.size_; }
  DecompressedBytes take() { return std::move(into_); }

 private:
  static constexpr std::size_t kFirstBytes = 64 << 10;

  void grow(std::size_t wanted) {
    const std::size_t capacity = std::min(wanted, max_bytes_ + 1);
    void* const moved = std::realloc(into_.data_.get(), capacity);
    if (moved == nullptr) throw std::bad_alloc();
    static_cast<void>(into_.data_.release());
    into_.data_.reset(static_cast<std::byte*>(moved));
    capacity_ = capacity;
  }

  std::size_t max_bytes_;
  std::size_t capacity_ = 0;
  DecompressedBytes into_;
};

namespace {

constexpr std::string_view kNames[] = {"none", "gzip", "snappy", "lz4", "zstd"};
constexpr int kGzipWindow = 15 + 16;  // zlib: the largest window, with gzip's header and trailer
constexpr int kGzipMemory = 8;        // zlib's default
constexpr int kZstdLevel = 3;         // zstd's and Kafka's default

// Until the cap the window may be as large as the content, and 8 MiB always: the format's own
// recommendation, and what levels up to 19 need.
constexpr int kLeastZstdWindowLog = 23, kMostZstdWindowLog = 27;
constexpr std::uint32_t kZstdMagic = 0xfd2fb528;

// The Java framing of snappy: magic, version and oldest compatible version (1 and 1), then blocks,
// each behind its length, all big-endian (xerial/snappy-java, SnappyCodec.java and
// SnappyInputStream.java, which reads a bare block too, as does librdkafka's
// rd_kafka_snappy_decompress).
constexpr std::array<std::uint8_t, 16> kXerialHeader = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,
                                                        0,    0,   0,   1,   0,   0,   0,   1};
constexpr std::size_t kXerialMagicBytes = 8, kXerialLengthBytes = 4;
constexpr std::size_t kSnappyBlockBytes = 64 << 10;  // snappy looks back no further
// A snappy element of three bytes gives at most 64: more is a lie, found before it gets room.
constexpr std::size_t kSnappyMaxRatio = 22;

tl::unexpected<Error> malformed(Compression type, std::string_view what) {
  return fail(ErrorCode::kInvalidBatch,
              std::string(name_of(type)) + ": " + std::string(what) + "; compress it again");
}

tl::unexpected<Error> too_large(std::size_t max_bytes) {
  return fail(ErrorCode::kBatchTooLarge, "more than " + std::to_string(max_bytes) +
                                             " bytes once decompressed; send smaller batches");
}

const char* chars(Bytes bytes) {
  return reinterpret_cast<const char*>(bytes.data());
}

// ---- gzip ----

void gzip(Bytes from, std::vector<std::byte>& to) {
  z_stream stream{};
  LEAT_ASSERT(from.size() <= std::numeric_limits<uInt>::max());
  const int begun = ::deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow,
                                   kGzipMemory, Z_DEFAULT_STRATEGY);
  if (begun != Z_OK) throw std::bad_alloc();
  const std::size_t at = to.size();
  to.resize(at + ::deflateBound(&stream, from.size()));
  stream.next_in = reinterpret_cast<const Bytef*>(from.data());
  stream.avail_in = static_cast<uInt>(from.size());
  stream.next_out = reinterpret_cast<Bytef*>(to.data() + at);
  stream.avail_out = static_cast<uInt>(to.size() - at);
  const int done = ::deflate(&stream, Z_FINISH);
  LEAT_ASSERT(done == Z_STREAM_END);
  to.resize(at + stream.total_out);
  ::deflateEnd(&stream);
}

struct Inflate {
  z_stream stream{};
  Inflate() {
    if (::inflateInit2(&stream, kGzipWindow) != Z_OK) throw std::bad_alloc();
  }
  ~Inflate() { ::inflateEnd(&stream); }
};

Result<> gunzip(Bytes from, DecompressedOutput& output) {
  Inflate inflate;
  z_stream& stream = inflate.stream;
  stream.next_in = reinterpret_cast<const Bytef*>(from.data());
  stream.avail_in = static_cast<uInt>(from.size());
  for (int status = Z_OK; status != Z_STREAM_END;) {
    if (output.over()) return too_large(output.max_bytes());
    const MutableBytes room = output.room();
    stream.next_out = reinterpret_cast<Bytef*>(room.data());
    stream.avail_out =
        static_cast<uInt>(std::min<std::size_t>(room.size(), std::numeric_limits<uInt>::max()));
    const uInt offered = stream.avail_out;
    status = ::inflate(&stream, Z_NO_FLUSH);
    output.wrote(offered - stream.avail_out);
    if (status == Z_BUF_ERROR || (status == Z_OK && stream.avail_out > 0))
      return malformed(Compression::kGzip, "cut off");
    if (status != Z_OK && status != Z_STREAM_END)
      return malformed(Compression::kGzip, stream.msg ? stream.msg : "not a gzip stream");
  }
  if (stream.avail_in > 0) return malformed(Compression::kGzip, "bytes behind the stream");
  return {};
}

// ---- snappy ----

void compress_snappy(Bytes from, std::vector<std::byte>& to) {
  const auto* header = reinterpret_cast<const std::byte*>(kXerialHeader.data());
  to.insert(to.end(), header, header + kXerialHeader.size());
  for (Bytes rest = from; !rest.empty();) {
    const Bytes block = rest.first(std::min(rest.size(), kSnappyBlockBytes));
    rest = rest.subspan(block.size());
    const std::size_t at = to.size();
    to.resize(at + kXerialLengthBytes + snappy::MaxCompressedLength(block.size()));
    std::size_t size = 0;
    snappy::RawCompress(chars(block), block.size(),
                        reinterpret_cast<char*>(to.data() + at + kXerialLengthBytes), &size);
    store_be(to.data() + at, static_cast<std::uint32_t>(size));
    to.resize(at + kXerialLengthBytes + size);
  }
}

Result<> decompress_snappy_block(Bytes block, DecompressedOutput& output) {
  std::size_t declared = 0;
  if (!snappy::GetUncompressedLength(chars(block), block.size(), &declared))
    return malformed(Compression::kSnappy, "a block without its length");
  if (declared > output.max_bytes() - output.size()) return too_large(output.max_bytes());
  if (declared > kSnappyMaxRatio * block.size())
    return malformed(Compression::kSnappy, "a block that declares more than it can hold");
  if (declared == 0 && block.size() != 1)
    return malformed(Compression::kSnappy, "an empty block that is not empty");
  if (declared == 0) return {};
  auto* const to = reinterpret_cast<char*>(output.room_for(declared));
  if (!snappy::RawUncompress(chars(block), block.size(), to))
    return malformed(Compression::kSnappy, "a block that is damaged");
  output.wrote(declared);
  return {};
}

Result<> decompress_snappy(Bytes from, DecompressedOutput& output) {
  if (from.size() < kXerialMagicBytes ||
      std::memcmp(from.data(), kXerialHeader.data(), kXerialMagicBytes) != 0)
    return decompress_snappy_block(from, output);
  ByteReader reader(from);
  reader.bytes(kXerialHeader.size());
  while (reader.remaining() > 0) {
    const Bytes block = reader.bytes(reader.be<std::uint32_t>());
    if (reader.failed()) break;
    if (auto ok = decompress_snappy_block(block, output); !ok) return ok;
  }
  if (reader.failed()) return malformed(Compression::kSnappy, "cut off");
  return {};
}

// ---- lz4 ----

void compress_lz4(Bytes from, std::vector<std::byte>& to) {
  // Java's reader knows independent blocks only.
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;
  preferences.frameInfo.blockSizeID = LZ4F_max64KB;
  const std::size_t at = to.size();
  to.resize(at + ::LZ4F_compressFrameBound(from.size(), &preferences));
  const std::size_t size =
      ::LZ4F_compressFrame(to.data() + at, to.size() - at, from.data(), from.size(), &preferences);
  LEAT_ASSERT(!::LZ4F_isError(size));
  to.resize(at + size);
}

using Lz4Context = std::unique_ptr<LZ4F_dctx, decltype(&LZ4F_freeDecompressionContext)>;

Lz4Context lz4_context() {
  LZ4F_dctx* context = nullptr;
  if (::LZ4F_isError(::LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
    throw std::bad_alloc();
  return {context, &::LZ4F_freeDecompressionContext};
}

Result<> decompress_lz4(Bytes from, DecompressedOutput& output) {
  const Lz4Context context = lz4_context();
  LZ4F_frameInfo_t info{};
  std::size_t used = from.size();
  std::size_t wants = ::LZ4F_getFrameInfo(context.get(), &info, from.data(), &used);
  if (::LZ4F_isError(wants)) return malformed(Compression::kLz4, ::LZ4F_getErrorName(wants));
  if (info.frameType != LZ4F_frame) return malformed(Compression::kLz4, "not a frame of data");
  if (info.contentSize > output.max_bytes()) return too_large(output.max_bytes());
  from = from.subspan(used);
  while (wants != 0) {
    if (output.over()) return too_large(output.max_bytes());
    const MutableBytes room = output.room();
    std::size_t read = from.size(), written = room.size();
    wants = ::LZ4F_decompress(context.get(), room.data(), &written, from.data(), &read, nullptr);
    if (::LZ4F_isError(wants)) return malformed(Compression::kLz4, ::LZ4F_getErrorName(wants));
    output.wrote(written);
    from = from.subspan(read);
    if (wants != 0 && from.empty() && written < room.size())
      return malformed(Compression::kLz4, "cut off");
  }
  if (!from.empty()) return malformed(Compression::kLz4, "bytes behind the frame");
  return {};
}

// ---- zstd ----

void compress_zstd(Bytes from, std::vector<std::byte>& to) {
  const std::size_t at = to.size();
  to.resize(at + ::ZSTD_compressBound(from.size()));
  const std::size_t size =
      ::ZSTD_compress(to.data() + at, to.size() - at, from.data(), from.size(), kZstdLevel);
  LEAT_ASSERT(!::ZSTD_isError(size));
  to.resize(at + size);
}

tl::unexpected<Error> zstd_failed(std::size_t code) {
  if (::ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
    return fail(ErrorCode::kBatchTooLarge,
                "its zstd window is larger than a batch may be; compress with a lower level");
  return malformed(Compression::kZstd, ::ZSTD_getErrorName(code));
}

Result<> decompress_zstd(Bytes from, DecompressedOutput& output) {
  // Formats from before 1.0 stay shut: their readers are old, and Kafka never wrote them.
  if (from.size() < sizeof kZstdMagic || load_le<std::uint32_t>(from.data()) != kZstdMagic)
    return malformed(Compression::kZstd, "not a frame of data");
  const unsigned long long declared = ::ZSTD_getFrameContentSize(from.data(), from.size());
  if (declared == ZSTD_CONTENTSIZE_ERROR) return malformed(Compression::kZstd, "a broken header");
  if (declared != ZSTD_CONTENTSIZE_UNKNOWN && declared > output.max_bytes())
    return too_large(output.max_bytes());
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(::ZSTD_createDCtx(),
                                                                     &::ZSTD_freeDCtx);
  if (!context) throw std::bad_alloc();
  ::ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax,
                           std::clamp(static_cast<int>(std::bit_width(output.max_bytes())) - 1,
                                      kLeastZstdWindowLog, kMostZstdWindowLog));
  ZSTD_inBuffer in{from.data(), from.size(), 0};
  for (std::size_t wants = 1; wants != 0;) {
    if (output.over()) return too_large(output.max_bytes());
    const MutableBytes room = output.room();
    ZSTD_outBuffer out{room.data(), room.size(), 0};
    wants = ::ZSTD_decompressStream(context.get(), &out, &in);
    if (::ZSTD_isError(wants)) return zstd_failed(wants);
    output.wrote(out.pos);
    if (wants != 0 && in.pos == in.size && out.pos < out.size)
      return malformed(Compression::kZstd, "cut off");
  }
  if (in.pos < in.size) return malformed(Compression::kZstd, "bytes behind the frame");
  return {};
}

}  // namespace

// ---- the face ----

std::optional<Compression> compression_named(std::string_view name) {
  const auto* const found = std::find(std::begin(kNames), std::end(kNames), name);
  if (found == std::end(kNames)) return std::nullopt;
  return static_cast<Compression>(found - std::begin(kNames));
}

std::string_view name_of(Compression type) {
  LEAT_ASSERT(static_cast<std::size_t>(type) < std::size(kNames));
  return kNames[static_cast<std::size_t>(type)];
}

void compress(Compression type, Bytes from, std::vector<std::byte>& to) {
  switch (type) {
    case Compression::kGzip:
      return gzip(from, to);
    case Compression::kSnappy:
      return compress_snappy(from, to);
    case Compression::kLz4:
      return compress_lz4(from, to);
    case Compression::kZstd:
      return compress_zstd(from, to);
    case Compression::kNone:
      break;
  }
  LEAT_ASSERT(!"a type that compresses");
}

Result<DecompressedBytes> decompress(Compression type, Bytes from, std::size_t max_bytes) {
  DecompressedOutput output(max_bytes);
  const auto whole = [&]() -> Result<> {
    switch (type) {
      case Compression::kGzip:
        return gunzip(from, output);
      case Compression::kSnappy:
        return decompress_snappy(from, output);
      case Compression::kLz4:
        return decompress_lz4(from, output);
      case Compression::kZstd:
        return decompress_zstd(from, output);
      case Compression::kNone:
        break;
    }
    return fail(
        ErrorCode::kUnsupportedCompression,
        "type " + std::to_string(static_cast<int>(type)) + "; use gzip, snappy, lz4, zstd or none");
  }();
  if (!whole) return fail(whole.error());
  if (output.over()) return too_large(max_bytes);
  return output.take();
}

}  // namespace leat
