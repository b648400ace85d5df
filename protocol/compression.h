// The codecs of Kafka's record batches. Compressed bytes come from anybody: they are read as a
// stream, and what comes out is bounded before room is made for it.
//
//   compress(Compression::kZstd, records, batch);                      // appends to `batch`
//   auto records = decompress(Compression::kZstd, bytes, 64 << 20);    // at most 64 MiB, or an
//   error
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace leat {

// Numbered as in a batch's attributes.
enum class Compression : std::uint8_t { kNone = 0, kGzip = 1, kSnappy = 2, kLz4 = 3, kZstd = 4 };

// "none", "gzip", "snappy", "lz4", "zstd"; nullopt for another name.
std::optional<Compression> compression_named(std::string_view name);
std::string_view name_of(Compression type);  // of a known type

// What a batch may hold once decompressed, unless somebody says otherwise.
inline constexpr std::size_t kMaxDecompressedBytes = 64 << 20;
// The most that anybody may say: for batches that are stored, which were checked against less.
inline constexpr std::size_t kMaxStoredDecompressedBytes = 1 << 30;

// Appends the compressed bytes to `to`, as Kafka's clients write them: a gzip member, snappy blocks
// in the Java framing (which every client reads), an LZ4 frame of independent 64 KiB blocks, a zstd
// frame. `type` is not kNone.
void compress(Compression type, Bytes from, std::vector<std::byte>& to);

// Bytes that grew as they came out of a codec.
class DecompressedBytes {
 public:
  Bytes bytes() const { return {data_.get(), size_}; }

 private:
  friend class DecompressedOutput;
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };
  std::unique_ptr<std::byte, Free> data_;  // malloc's, so that it can grow in place
  std::size_t size_ = 0;
};

// Reads `from` as one whole stream of `type` and nothing behind it. Reads both framings of snappy:
// a bare block, as librdkafka writes, and the Java one. Memory grows with what comes out, whatever
// a header declares: up to `max_bytes`, and beside it a codec's window, which is no larger (or 8
// MiB). Errors: kBatchTooLarge: more than `max_bytes`, or a window no client needs; kInvalidBatch:
// not such a stream; kUnsupportedCompression: no such type (or kNone).
Result<DecompressedBytes> decompress(Compression type, Bytes from, std::size_t max_bytes);

}  // namespace leat
