#include "storage/recovery/journal_recovery.h"

#include <algorithm>
#include <cstring>

#include "protocol/base/random.h"
#include "storage/aligned_buffer.h"
#include "storage/recovery/damage.h"

namespace leat::storage {
namespace {

constexpr std::size_t kSegmentWindowBytes = 1 << 20;

Result<bool> holds_group(FileIo& io, const std::string& path) {
  auto file = io.open(path, {});
  if (!file) return fail(file.error());
  std::byte block[kBlockBytes];
  auto read = (*file)->read(0, block);
  if (!read) return fail(read.error());
  return begins_group(Bytes(block, *read));
}

// A segment read through a window that moves forward.
class SegmentReader {
 public:
  SegmentReader(std::uint64_t number, std::unique_ptr<File> file, std::uint64_t bytes)
      : number_(number), file_(std::move(file)), bytes_(bytes) {}

  std::uint64_t number() const { return number_; }
  std::uint64_t bytes() const { return bytes_; }

  // [at, at + size), or fewer bytes where the file ends. Valid until the next call.
  Result<Bytes> at(std::uint64_t at, std::size_t size) {
    size = static_cast<std::size_t>(std::min<std::uint64_t>(size, at < bytes_ ? bytes_ - at : 0));
    if (at < begin_ || at + size > begin_ + filled_) {
      window_.resize(round_up(std::max(size, kSegmentWindowBytes), kBlockBytes));
      auto read = file_->read(at, window_.bytes());
      if (!read) return fail(read.error());
      begin_ = at;
      filled_ = *read;
      size = std::min(size, filled_);
    }
    return Bytes(window_.bytes()).subspan(static_cast<std::size_t>(at - begin_), size);
  }

 private:
  std::uint64_t number_;
  std::unique_ptr<File> file_;
  std::uint64_t bytes_;
  AlignedBuffer window_;
  std::uint64_t begin_ = 0;
  std::size_t filled_ = 0;
};

class Replay {
 public:
  // `behind`: null in a start, which syncs what it reads and goes no further than damage.
  Replay(FileIo& io, std::string directory, const Manifest& manifest, JournalPosition persisted,
         const Journal::Visitor& visit, const Journal::Visitor* behind)
      : io_(io),
        directory_(std::move(directory)),
        manifest_(manifest),
        persisted_(persisted),
        visit_(visit),
        behind_(behind) {
    replayed_.chain = chain_seed(manifest.journal_id);
  }

  Result<JournalInspection> run() {
    if (auto ok = open_segments(); !ok) return fail(ok.error());
    for (std::size_t i = 0; i < readers_.size(); ++i)
      if (auto ok = walk(i); !ok) return fail(ok.error());
    if (auto ok = each_uncovered(&Replay::examine); !ok) return fail(ok.error());
    if (behind_ && loss_) {
      visit_broken(break_index_, break_at_);
      visit_broken(break_index_ + 1, 0);
      if (auto ok = each_uncovered(&Replay::visit_behind); !ok) return fail(ok.error());
    }
    return JournalInspection{std::move(replayed_), std::move(damage_), begins_late_, loss_};
  }

 private:
  Result<> open_segments() {
    for (const Manifest::Segment& segment : manifest_.segments)
      if (auto ok = open_segment(segment); !ok) {
        if (!behind_ || ok.error() != ErrorCode::kCorruptStorage) return ok;
        damage_.push_back(ok.error().detail);
      }
    return behind_ ? Result<>() : io_.sync_directory(directory_);
  }

  // After a SIGKILL the bytes may live only in the page cache: what is about to become visible is
  // made durable first. Read once, and quicker than through the page cache.
  Result<> open_segment(const Manifest::Segment& segment) {
    const std::string path = directory_ + "/" + segment_name(segment.number);
    auto file = io_.open(path, {.write = !behind_, .direct = true});
    if (!file && file.error() == ErrorCode::kNotFound)
      return fail(ErrorCode::kCorruptStorage, "journal segment '" + path + "' is missing");
    if (!file) return fail(file.error());
    if (!behind_)
      if (auto ok = (*file)->sync(); !ok) return ok;
    auto size = (*file)->size();
    if (!size) return fail(size.error());
    const bool whole = segment.bytes == 0 || *size == segment.bytes;
    if (whole || behind_) readers_.emplace_back(segment.number, std::move(*file), *size);
    if (whole) return {};
    return fail(ErrorCode::kCorruptStorage, "journal segment '" + path + "' has " +
                                                std::to_string(*size) + " bytes instead of " +
                                                std::to_string(segment.bytes));
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
        return fail(ok.error().code, segment_name(reader.number()) + " at byte " +
                                         std::to_string(at) + ": " + ok.error().detail);
      at += (*group)->group_bytes();
    }
    chain_ends_.push_back(at);
    if (at == 0) return {};
    replayed_.segments.push_back({reader.number(), reader.bytes(), replayed_.last});
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
    if (!started_ && header.first > persisted_ + 1) {
      std::string what = "the journal begins at entry " + std::to_string(header.first.value) +
                         ", but entries from " + std::to_string(persisted_.value + 1) +
                         " on are needed: RocksDB or the journal was cut";
      if (!behind_) return fail(ErrorCode::kCorruptStorage, std::move(what));
      damage_.push_back(std::move(what));
      begins_late_ = true;
    }
    started_ = true;
    incarnation_ = header.incarnation;
    replayed_.chain = header.crc;
    replayed_.last = JournalPosition(header.next().value - 1);
    if (header.entries == 0 || replayed_.last <= persisted_) return {};
    auto group = reader.at(at, header.group_bytes());
    if (!group) return fail(group.error());
    return visit_entries(header, *group, visit_,
                         {.incarnation = header.incarnation, .segment = reader.number(), .at = at});
  }

  // `place`: of the group.
  Result<> visit_entries(const GroupHeader& header, Bytes group, const Journal::Visitor& visit,
                         const JournalPlace& place) {
    const Bytes body = group.subspan(kGroupHeaderBytes, header.body_bytes);
    auto owner = std::make_shared_for_overwrite<std::byte[]>(body.size());
    std::memcpy(owner.get(), body.data(), body.size());
    ByteReader reader(Bytes(owner.get(), body.size()));
    for (std::uint32_t i = 0; i < header.entries; ++i) {
      const auto length = reader.le<std::uint32_t>();
      JournalEntry entry{.kind = reader.le<std::uint16_t>(), .owner = owner, .body = {}};
      const auto lead = reader.le<std::uint16_t>();
      reader.bytes(lead);
      entry.body = reader.bytes(length);
      entry.place = place;
      if (!reader.failed())
        entry.place.at +=
            kGroupHeaderBytes + static_cast<std::uint64_t>(entry.body.data() - owner.get());
      const std::size_t bytes = std::size_t{lead} + length;
      reader.bytes(round_up(bytes, kEntryAlignment) - bytes);
      entry.position = header.first + i;
      if (reader.failed()) return fail(ErrorCode::kCorruptStorage, "a group's entries overrun it");
      if (entry.position <= persisted_) continue;
      if (auto ok = visit(entry); !ok) return ok;
      ++replayed_.entries_visited;
    }
    return {};
  }

  // Rule 4: reads on behind the break, and whatever else the chain does not cover. An intact group
  // there that knew an entry durable which the chain does not reach proves that acknowledged
  // entries were lost.
  Result<> each_uncovered(Result<> (Replay::*look)(std::size_t, std::uint64_t,
                                                   const GroupHeader&)) {
    for (std::size_t i = 0; i < readers_.size(); ++i)
      for (std::uint64_t at = chain_ends_[i]; at < readers_[i].bytes(); at += kBlockBytes) {
        auto block = readers_[i].at(at, kBlockBytes);
        if (!block) return fail(block.error());
        const auto header = read_group_header(*block, manifest_.journal_id);
        if (!header || header->incarnation > manifest_.incarnation) continue;
        if (auto ok = (this->*look)(i, at, *header); !ok) return ok;
      }
    return {};
  }

  Result<> examine(std::size_t index, std::uint64_t at, const GroupHeader& header) {
    // Several groups may have been in flight when the power went: what lies behind the first that
    // did not arrive is cut with it, intact or not.
    if (started_ && index == break_index_ && header.incarnation == incarnation_ &&
        header.first > replayed_.last)
      replayed_.torn_bytes += header.group_bytes();
    if (header.durable <= replayed_.last || (loss_ && header.durable <= loss_->last)) return {};
    auto group = intact_at(index, at, header);
    if (!group) return fail(group.error());
    if (!*group) return {};
    const std::string segment = started_ ? "'" + directory_ + "/" +
                                               segment_name(readers_[break_index_].number()) +
                                               "' is damaged at byte " + std::to_string(break_at_)
                                         : "'" + directory_ + "' holds no group that begins it";
    loss_ = {replayed_.last + 1, header.durable, segment};
    if (behind_) return {};
    return fail(ErrorCode::kCorruptStorage, loss_->text());
  }

  // The group that broke the chain, as far as it can be read: what it was about may be.
  void visit_broken(std::size_t index, std::uint64_t at) {
    if (index >= readers_.size()) return;
    const auto block = readers_[index].at(at, kBlockBytes);
    const auto header =
        block ? read_group_header(*block, manifest_.journal_id) : std::optional<GroupHeader>();
    if (!header || header->first != replayed_.last + 1 ||
        header->group_bytes() > readers_[index].bytes() - at)
      return;
    const auto group = readers_[index].at(at, header->group_bytes());
    if (group) [[maybe_unused]]
      const auto as_far_as_it_goes = visit_entries(*header, *group, *behind_, {});
  }

  // What came after the break, and was not cut off by a start before this journal's newest entry.
  Result<> visit_behind(std::size_t index, std::uint64_t at, const GroupHeader& header) {
    if (header.entries == 0 || header.first <= replayed_.last) return {};
    auto group = intact_at(index, at, header);
    if (!group) return fail(group.error());
    return *group ? visit_entries(header, **group, *behind_, {}) : Result<>();
  }

  Result<std::optional<Bytes>> intact_at(std::size_t index, std::uint64_t at,
                                         const GroupHeader& header) {
    SegmentReader& reader = readers_[index];
    if (header.group_bytes() > reader.bytes() - at) return std::optional<Bytes>();
    auto group = reader.at(at, header.group_bytes());
    if (!group) return fail(group.error());
    return group_intact(header, *group) ? std::optional(*group) : std::nullopt;
  }

  FileIo& io_;
  std::string directory_;
  const Manifest& manifest_;
  JournalPosition persisted_;
  const Journal::Visitor& visit_;
  const Journal::Visitor* behind_;

  std::vector<SegmentReader> readers_;
  Replayed replayed_;
  bool started_ = false;
  std::uint64_t incarnation_ = 0;
  std::vector<std::uint64_t> chain_ends_;  // per segment: where the chain left it
  std::size_t break_index_ = 0;            // the last segment of the chain, and where it ends
  std::uint64_t break_at_ = 0;
  std::vector<std::string> damage_;
  bool begins_late_ = false;
  std::optional<JournalLoss> loss_;
};

}  // namespace

std::string JournalLoss::text() const {
  return "journal entries " + std::to_string(first.value) + " to " + std::to_string(last.value) +
         " were durable and cannot be read: " + where + kMendIt;
}

Result<Manifest> load_manifest(FileIo& io, const std::string& directory,
                               JournalPosition persisted) {
  auto names = io.list(directory);
  if (!names) return fail(names.error());
  const bool listed = std::find(names->begin(), names->end(), kManifestName) != names->end();
  if (listed) {
    auto bytes = read_file(io, directory + "/" + kManifestName, kMaxManifestBytes);
    if (!bytes) return fail(bytes.error());
    return Manifest::decode(*bytes);
  }
  // The manifest comes before the first group, so a journal without one never held an entry.
  bool used = persisted != JournalPosition();
  for (auto name = names->begin(); !used && name != names->end(); ++name) {
    if (!name->ends_with(".seg")) continue;
    auto holds = holds_group(io, directory + "/" + *name);
    if (!holds) return fail(holds.error());
    used = *holds;
  }
  if (used)
    return fail(ErrorCode::kCorruptStorage, "'" + directory + "/MANIFEST' is missing" + kMendIt);
  Manifest fresh;
  fresh.journal_id = Random::from_system().next();
  return fresh;
}

Result<Replayed> replay_journal(FileIo& io, const std::string& directory, const Manifest& manifest,
                                JournalPosition persisted, const Journal::Visitor& visit) {
  auto found = Replay(io, directory, manifest, persisted, visit, nullptr).run();
  if (!found) return fail(found.error());
  return std::move(found->replayed);
}

Result<JournalInspection> inspect_journal(FileIo& io, const std::string& directory,
                                          const Manifest& manifest, JournalPosition persisted,
                                          const Journal::Visitor& visit,
                                          const Journal::Visitor& behind) {
  return Replay(io, directory, manifest, persisted, visit, &behind).run();
}

}  // namespace leat::storage
