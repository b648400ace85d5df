#include "storage/journal_recovery.h"

#include <cstring>

#include "storage/aligned_buffer.h"

namespace leat::storage {
namespace {

constexpr std::size_t kWindowBytes = 1 << 20;

// A segment read through a window that moves forward.
class SegmentReader {
 public:
  SegmentReader(std::unique_ptr<File> file, std::uint64_t bytes)
      : file_(std::move(file)), bytes_(bytes) {}

  std::uint64_t bytes() const { return bytes_; }

  // [at, at + size), or fewer bytes where the file ends. Valid until the next call.
  Result<Bytes> at(std::uint64_t at, std::size_t size) {
    size = static_cast<std::size_t>(std::min<std::uint64_t>(size, at < bytes_ ? bytes_ - at : 0));
    if (at < begin_ || at + size > begin_ + filled_) {
      window_.resize(round_up(std::max(size, kWindowBytes), kBlockBytes));
      auto read = file_->read(at, window_.bytes());
      if (!read) return fail(read.error());
      begin_ = at;
      filled_ = *read;
      size = std::min(size, filled_);
    }
    return Bytes(window_.bytes()).subspan(static_cast<std::size_t>(at - begin_), size);
  }

 private:
  std::unique_ptr<File> file_;
  std::uint64_t bytes_;
  AlignedBuffer window_;
  std::uint64_t begin_ = 0;
  std::size_t filled_ = 0;
};

class Replay {
 public:
  Replay(FileIo& io, std::string directory, const Manifest& manifest, JournalPosition persisted,
         const Journal::Visitor& visit)
      : io_(io),
        directory_(std::move(directory)),
        manifest_(manifest),
        persisted_(persisted),
        visit_(visit) {
    replayed_.chain = chain_seed(manifest.journal_id);
  }

  Result<Replayed> run() {
    if (auto ok = open_and_sync(); !ok) return fail(ok.error());
    for (std::size_t i = 0; i < readers_.size(); ++i)
      if (auto ok = walk(i); !ok) return fail(ok.error());
    if (auto ok = search_for_proof(); !ok) return fail(ok.error());
    return std::move(replayed_);
  }

 private:
  // After a SIGKILL the bytes may live only in the page cache: what is about to become visible is
  // made durable first.
  Result<> open_and_sync() {
    for (const std::uint64_t number : manifest_.segments) {
      const std::string path = directory_ + "/" + segment_name(number);
      // Read once, and quicker than through the page cache.
      auto file = io_.open(path, {.write = true, .direct = true});
      if (!file && file.error() == ErrorCode::kNotFound)
        return fail(ErrorCode::kCorruptStorage, "journal segment '" + path + "' is missing");
      if (!file) return fail(file.error());
      if (auto ok = (*file)->sync(); !ok) return ok;
      auto size = (*file)->size();
      if (!size) return fail(size.error());
      readers_.emplace_back(std::move(*file), *size);
    }
    return io_.sync_directory(directory_);
  }

  // Follows the chain through one segment; a segment whose first group does not fit is passed over:
  // it was prepared and never used, or lies behind a break that a later start wrote around.
  Result<> walk(std::size_t index) {
    SegmentReader& reader = readers_[index];
    std::uint64_t at = 0;
    for (;;) {
      auto group = next_group(reader, at);
      if (!group) return fail(group.error());
      if (!*group) break;
      if (auto ok = take(**group, reader, at); !ok)
        return fail(ok.error().code, segment_name(manifest_.segments[index]) + " at byte " +
                                         std::to_string(at) + ": " + ok.error().detail);
      at += (*group)->group_bytes();
    }
    chain_ends_.push_back(at);
    if (at == 0) return {};
    replayed_.segments.push_back({manifest_.segments[index], reader.bytes(), replayed_.last});
    break_index_ = index;
    break_at_ = at;
    return {};
  }

  // The group at `at` if it is whole and continues the chain.
  Result<std::optional<GroupHeader>> next_group(SegmentReader& reader, std::uint64_t at) {
    auto block = reader.at(at, kBlockBytes);
    if (!block) return fail(block.error());
    const auto header = read_group_header(*block, manifest_.journal_id);
    if (!header || !continues(*header) || header->group_bytes() > reader.bytes() - at)
      return std::optional<GroupHeader>();
    auto group = reader.at(at, header->group_bytes());
    if (!group) return fail(group.error());
    if (!group_intact(*header, *group)) return std::optional<GroupHeader>();
    return header;
  }

  bool continues(const GroupHeader& header) const {
    if (header.incarnation > manifest_.incarnation) return false;
    if (!started_) return true;  // its predecessor was recycled
    return header.first == replayed_.last + 1 && header.previous_crc == replayed_.chain &&
           header.incarnation >= incarnation_;
  }

  Result<> take(const GroupHeader& header, SegmentReader& reader, std::uint64_t at) {
    if (!started_ && header.first > persisted_ + 1)
      return fail(ErrorCode::kCorruptStorage,
                  "the journal begins at entry " + std::to_string(header.first.value) +
                      ", but entries from " + std::to_string(persisted_.value + 1) +
                      " on are needed");
    started_ = true;
    incarnation_ = header.incarnation;
    replayed_.chain = header.crc;
    replayed_.last = JournalPosition(header.next().value - 1);
    if (header.entries == 0 || replayed_.last <= persisted_) return {};
    auto group = reader.at(at, header.group_bytes());
    if (!group) return fail(group.error());
    return visit_entries(header, *group);
  }

  Result<> visit_entries(const GroupHeader& header, Bytes group) {
    const Bytes body = group.subspan(kGroupHeaderBytes, header.body_bytes);
    auto owner = std::make_shared_for_overwrite<std::byte[]>(body.size());
    std::memcpy(owner.get(), body.data(), body.size());
    ByteReader reader(Bytes(owner.get(), body.size()));
    for (std::uint32_t i = 0; i < header.entries; ++i) {
      const auto length = reader.le<std::uint32_t>();
      JournalEntry entry{.kind = reader.le<std::uint16_t>(), .owner = owner, .body = {}};
      reader.le<std::uint16_t>();
      entry.body = reader.bytes(length);
      reader.bytes(round_up(length, kEntryAlignment) - length);
      entry.position = header.first + i;
      if (reader.failed()) return fail(ErrorCode::kCorruptStorage, "a group's entries overrun it");
      if (entry.position <= persisted_) continue;
      if (auto ok = visit_(entry); !ok) return ok;
      ++replayed_.entries_visited;
    }
    return {};
  }

  // Rule 4: reads on behind the break, and whatever else the chain does not cover. An intact group
  // there that knew an entry durable which the chain does not reach proves that acknowledged
  // entries were lost.
  Result<> search_for_proof() {
    for (std::size_t i = 0; i < readers_.size(); ++i)
      for (std::uint64_t at = chain_ends_[i]; at < readers_[i].bytes(); at += kBlockBytes)
        if (auto ok = examine(i, at); !ok) return ok;
    return {};
  }

  Result<> examine(std::size_t index, std::uint64_t at) {
    SegmentReader& reader = readers_[index];
    auto block = reader.at(at, kBlockBytes);
    if (!block) return fail(block.error());
    const auto header = read_group_header(*block, manifest_.journal_id);
    if (!header || header->incarnation > manifest_.incarnation) return {};
    // Several groups may have been in flight when the power went: what lies behind the first that
    // did not arrive is cut with it, intact or not.
    if (started_ && index == break_index_ && header->incarnation == incarnation_ &&
        header->first > replayed_.last)
      replayed_.torn_bytes += header->group_bytes();
    if (header->durable <= replayed_.last || header->group_bytes() > reader.bytes() - at) return {};
    auto group = reader.at(at, header->group_bytes());
    if (!group) return fail(group.error());
    if (!group_intact(*header, *group)) return {};
    return fail(ErrorCode::kCorruptStorage,
                "journal entries " + std::to_string(replayed_.last.value + 1) + " to " +
                    std::to_string(header->durable.value) + " were durable and cannot be read: '" +
                    directory_ + "/" + segment_name(manifest_.segments[break_index_]) +
                    "' is damaged at byte " + std::to_string(break_at_) +
                    "; restore the directory from a backup");
  }

  FileIo& io_;
  std::string directory_;
  const Manifest& manifest_;
  JournalPosition persisted_;
  const Journal::Visitor& visit_;

  std::vector<SegmentReader> readers_;
  Replayed replayed_;
  bool started_ = false;
  std::uint64_t incarnation_ = 0;
  std::vector<std::uint64_t> chain_ends_;  // per segment: where the chain left it
  std::size_t break_index_ = 0;            // the last segment of the chain, and where it ends

  std::uint64_t break_at_ = 0;
};

}  // namespace

Result<Replayed> replay_journal(FileIo& io, const std::string& directory, const Manifest& manifest,
                                JournalPosition persisted, const Journal::Visitor& visit) {
  return Replay(io, directory, manifest, persisted, visit).run();
}

}  // namespace leat::storage
