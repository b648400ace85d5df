// Large batches are not copied into RocksDB: its row says where the journal wrote them, and the
// journal's segment gets a second name in a directory of the store's, under which it stays when the
// journal has given it up (docs/decisions/0005-large-batches.md). Such a file is never cut or
// recycled, only unlinked, and what is written of it is not written again: the journal recycles
// none that has two names.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "storage/aligned_buffer.h"
#include "storage/file_io.h"
#include "storage/journal_format.h"
#include "storage/large/read_queue.h"

namespace leat::storage {

// A segment of the journal, as a start with this incarnation wrote it. Its number may come back
// when nothing needs the file any more and the journal recycles it.
struct LargeFile {
  std::uint64_t incarnation = 0, segment = 0;

  std::string name() const;  // "00000003-00000007.seg"
  friend auto operator<=>(const LargeFile&, const LargeFile&) = default;
};

// What a row of the records family holds instead of a batch: ff 'R' 'E' 'F' | bytes u32 |
// incarnation u64 | segment u64 | at u64, little-endian. A batch begins with an offset, and none is
// so large. It tells of the body of the journal entry, up to the end of the batch in it.
struct LargeRef {
  LargeFile file;
  std::uint64_t at = 0;
  std::uint32_t bytes = 0;

  std::string encode() const;
  static std::optional<LargeRef> decode(std::string_view value);  // nullopt: it is a batch
  std::uint32_t batch_bytes() const;
};

// What a segment of the store has in a file: so many bytes, none behind `end`.
struct LargeShare {
  LargeFile file;
  std::uint64_t bytes = 0, end = 0;
};

// Any thread, but for what says otherwise.
class LargeBatches {
 public:
  // Without directories nothing is ever kept apart.
  LargeBatches(FileIo& io, std::string journal, std::string directory)
      : io_(io), journal_(std::move(journal)), directory_(std::move(directory)) {}

  // ---- the store's thread ----
  // Where the entry can stay; nullopt: it must be copied.
  std::optional<LargeRef> keep(const JournalEntry& entry, std::uint32_t segment);
  // Names given so far are durable. Before rows that need them are.
  Result<> sync();
  std::vector<LargeShare> shares_of(std::uint32_t segment) const;  // of the store

  // ---- at start ----
  void load(std::uint32_t segment, const std::vector<LargeShare>& shares);
  // Whether each file that a segment needs is there and long enough. Error: kCorruptStorage.
  Result<> check() const;
  // A start has found everything: files that nothing needs go, from now on at once.
  void recovered();

  // ---- the cleaner ----
  // The store's segments [first, last] need no file any more, but for `left`.
  void release(std::uint32_t first, std::uint32_t last,
               const std::map<std::uint32_t, std::set<LargeFile>>& left = {});
  std::uint64_t bytes(std::uint32_t first, std::uint32_t last) const;  // that they have in files

  // Between the two no file goes: for a snapshot.
  void pin();
  void unpin();
  // Whether rows of a segment of the store may still tell of the file.
  bool needs(std::uint32_t segment, const LargeFile& file) const;
  Result<std::vector<std::string>> names() const;  // of the files there are, needed or not
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  Result<std::unique_ptr<File>> open(const LargeFile& file) const;
  void read(std::span<ReadQueue::Read> reads) const;

 private:
  using Shares = std::map<LargeFile, LargeShare>;
  // With the lock held.
  bool link(const LargeFile& file);
  void remove_unneeded();

  FileIo& io_;
  const std::string journal_, directory_;

  mutable std::mutex reads_mutex_;
  mutable std::unique_ptr<ReadQueue> reads_;  // when first needed

  mutable std::mutex mutex_;
  std::set<LargeFile> linked_;  // by this process, and not removed again
  bool unsynced_ = false;
  std::map<std::uint32_t, Shares> segments_;  // of the store
  std::map<LargeFile, std::size_t> needed_;   // by so many segments
  std::set<LargeFile> unneeded_;              // files that are there
  int pins_ = 0;
  bool recovered_ = false;
};

// Reads large batches, those that lie close together at once. One thread.
class LargeReader {
 public:
  explicit LargeReader(const LargeBatches& batches) : batches_(&batches) {}

  // These will be read, in this order: the disk gets them together. What fails of it fails when it
  // is read.
  void expect(std::span<const LargeRef> refs);
  // The batch, unchecked; good until the next call. Errors: kNotFound when the file is gone: the
  // row is old, or the file is lost; kCorruptStorage, kIoError.
  Result<Bytes> read(PartitionId partition, const LargeRef& ref);

 private:
  // A part of a file that was read.
  struct Window {
    LargeFile file;
    std::uint64_t begin, end;  // whole blocks
    AlignedBuffer bytes{};
    Result<std::size_t> read = 0;  // of them

    bool holds(const LargeRef& ref) const {
      return file == ref.file && begin <= ref.at && ref.at + ref.bytes <= end;
    }
  };
  static constexpr std::size_t kOpenFiles = 8;

  void fill();
  Result<std::shared_ptr<File>> open(const LargeFile& file);

  const LargeBatches* batches_;                                     // never null
  std::vector<std::pair<LargeFile, std::shared_ptr<File>>> files_;  // the newest last
  std::vector<Window> windows_;
};

}  // namespace leat::storage
