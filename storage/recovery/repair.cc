#include "storage/recovery/repair.h"

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "protocol/base/random.h"
#include "storage/aligned_buffer.h"
#include "storage/recovery/rows_copy.h"

namespace leat::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kFirstSegmentBytes = 1 << 20;
constexpr const char* kNewRocks = "rocksdb.new";
constexpr const char* kNewJournal = "journal.new";
constexpr const char* kRebuiltRocks = "rocksdb.rebuilt";

std::string spoken(WallTime now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc);
  return text;
}

Result<> done(const std::error_code& error, const std::string& what) {
  if (error) return fail(ErrorCode::kIoError, what + ": " + error.message());
  return {};
}

class Repair {
 public:
  Repair(FileIo& io, std::string path, WallTime now, const Inspection::Tell& tell)
      : io_(io), path_(std::move(path)), name_(spoken(now)), tell_(tell) {}

  Result<Repaired> run() {
    auto found = Inspection::run(io_, path_, [this](std::string_view line) { note(line); });
    if (!found) return fail(found.error());
    if (found->sound()) return Repaired{};
    found->unlock();
    auto lock = io_.lock(path_ + "/LOCK");
    if (!lock) return fail(lock.error());
    found_ = std::make_unique<Inspection>(std::move(*found));
    if (auto ok = mend(); !ok) {
      remove_own();
      return fail(ok.error());
    }
    return Repaired{path_ + "/" + report_name(), lost_};
  }

 private:
  std::string report_name() const { return kReportPrefix + name_ + ".txt"; }
  std::string aside() const { return path_ + "/" + kDamagedDirectory + "/" + name_; }

  void note(std::string_view line) {
    report_ += "damaged: " + std::string(line) + "\n";
    tell_(line);
  }
  void told_done(const std::string& line) { report_ += "done: " + line + "\n"; }

  Result<> mend() {
    remove_own();
    std::string from = path_ + "/rocksdb";
    if (found_->rocks_was_cut()) {
      from = path_ + "/" + kRebuiltRocks;
      if (auto ok = rebuild_rocks(from); !ok) return ok;
    }
    if (found_->lost_topics())
      return fail(ErrorCode::kCorruptStorage,
                  "which topics there are cannot be read; restore the directory from a backup");
    if (auto ok = check_room(); !ok) return ok;
    if (auto ok = copy_rows(from); !ok) return ok;
    if (auto ok = write_journal(); !ok) return ok;
    return swap();
  }

  // What an attempt that was cut short may have left: all of it was made by this.
  void remove_own() {
    std::error_code ignored;
    for (const char* name : {kNewRocks, kNewJournal, kRebuiltRocks})
      fs::remove_all(path_ + "/" + name, ignored);
  }

  // By RocksDB's own means, out of links to the files that are there; what they hold is checked
  // again.
  Result<> rebuild_rocks(const std::string& to) {
    std::error_code error;
    fs::create_directories(to, error);
    for (const auto& entry : fs::directory_iterator(path_ + "/rocksdb", error)) {
      if (entry.path().extension() != ".sst") continue;
      const fs::path target = fs::path(to) / entry.path().filename();
      std::error_code refused;
      fs::create_hard_link(entry.path(), target, refused);
      if (refused) fs::copy_file(entry.path(), target, error);
    }
    if (auto ok = done(error, "'" + to + "'"); !ok) return ok;
    if (auto ok = Rocks::rebuild({.directory = to, .io = &io_}); !ok) return ok;
    told_done("RocksDB's list of files was made anew out of those that can be read");
    auto again = Inspection::run(io_, path_, to, [this](std::string_view line) { note(line); });
    if (!again) return fail(again.error());
    found_ = std::make_unique<Inspection>(std::move(*again));
    if (found_->rocks_open()) return {};
    return fail(ErrorCode::kCorruptStorage,
                "RocksDB cannot be opened; restore the directory from a backup");
  }

  // What is copied lies beside what there is until somebody removes that.
  Result<> check_room() {
    constexpr std::uint64_t kMiB = 1 << 20;
    const auto free = io_.free_bytes(path_);
    const std::uint64_t needed = found_->records().bytes() + kFirstSegmentBytes;
    if (!free || *free >= needed) return {};
    return fail(ErrorCode::kNoSpace,
                "a repair copies what is intact of '" + path_ + "', some " +
                    std::to_string(needed / kMiB + 1) + " MiB, and " +
                    std::to_string(*free / kMiB) +
                    " MiB are free; make room, or move the directory to a larger disk");
  }

  Result<> copy_rows(const std::string& from) {
    RowsCopy copy(*found_, io_, [this](PartitionId partition, Offset first, Offset next) {
      lost_ += static_cast<std::uint64_t>(next.value - first.value);
      told_done(found_->state().catalog.name_of(partition) + ", offsets " +
                std::to_string(first.value) + " to " + std::to_string(next.value - 1) +
                " are lost and now hold no records");
    });
    if (auto ok = copy.run(from, path_ + "/" + kNewRocks); !ok) return ok;
    last_ = copy.last();
    if (const std::uint64_t ids = found_->state().ids.size(); ids > 0)
      told_done(std::to_string(ids) +
                " message ids are forgotten: records that are sent again are stored again");
    return {};
  }

  // A journal that begins behind the old one: a marker, which says that all before it is durable.
  Result<> write_journal() {
    const std::string directory = path_ + "/" + kNewJournal;
    if (auto ok = io_.make_directory(directory); !ok) return ok;
    Manifest manifest{.journal_id = Random::from_system().next(),
                      .incarnation = found_->incarnation() + 1,
                      .segments = {{1, kFirstSegmentBytes}}};
    AlignedBuffer bytes;
    bytes.resize(kFirstSegmentBytes);
    std::ranges::fill(bytes.bytes(), std::byte{0});
    seal_group(bytes.bytes(), {.incarnation = manifest.incarnation,
                               .first = last_ + 1,
                               .durable = last_,
                               .previous_crc = chain_seed(manifest.journal_id),
                               .journal_id = manifest.journal_id});
    auto file = io_.open(directory + "/" + segment_name(1), {.create = true, .write = true});
    if (!file) return fail(file.error());
    if (auto ok = (*file)->write(0, bytes.bytes()); !ok) return ok;
    if (auto ok = (*file)->sync(); !ok) return ok;
    return replace_file(io_, directory, kManifestName, manifest.encode());
  }

  // Without FORMAT nothing starts here: so it goes first and comes back last.
  Result<> swap() {
    if (auto ok = io_.make_directory(path_ + "/" + kDamagedDirectory); !ok) return ok;
    if (auto ok = io_.make_directory(aside()); !ok) return ok;
    for (const char* name : {"FORMAT", "rocksdb", "journal", "large"}) {
      const auto there = io_.exists(path_ + "/" + name);
      if (there && !*there) continue;
      if (auto ok = io_.rename(path_ + "/" + name, aside() + "/" + name); !ok) return ok;
      if (auto ok = sync(); !ok) return ok;
    }
    told_done("what was there lies in '" + aside() + "'");
    if (auto ok = replace_file(io_, path_, report_name(), as_bytes(report_)); !ok) return ok;
    if (auto ok = io_.rename(path_ + "/" + kNewRocks, path_ + "/rocksdb"); !ok) return ok;
    if (auto ok = io_.rename(path_ + "/" + kNewJournal, path_ + "/journal"); !ok) return ok;
    remove_own();
    if (auto ok = sync(); !ok) return ok;
    return write_format(io_, path_);
  }

  Result<> sync() {
    if (auto ok = io_.sync_directory(aside()); !ok) return ok;
    if (auto ok = io_.sync_directory(path_ + "/" + kDamagedDirectory); !ok) return ok;
    return io_.sync_directory(path_);
  }

  FileIo& io_;
  const std::string path_, name_;
  const Inspection::Tell& tell_;
  std::unique_ptr<Inspection> found_;
  std::string report_;
  std::uint64_t lost_ = 0;
  JournalPosition last_;
};

}  // namespace

Result<Repaired> repair_directory(FileIo& io, const std::string& path, WallTime now,
                                  const Inspection::Tell& tell) {
  return Repair(io, path, now, tell).run();
}

}  // namespace leat::storage
