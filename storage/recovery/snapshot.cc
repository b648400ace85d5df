#include "storage/recovery/snapshot.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "storage/data_directory.h"
#include "storage/journal_format.h"
#include "storage/thread.h"

namespace leat::storage {
namespace {

// A name that no snapshot can have; beneath it everything is unfinished.
constexpr const char* kUnfinished = ".unfinished";

// Directories of directories at most; what a link points at is not touched.
Result<> remove_tree(FileIo& io, const std::string& path) {
  if (auto ok = io.remove(path); ok || ok.error() == ErrorCode::kNotFound) return {};
  const auto names = io.list(path);
  if (!names) return fail(names.error());
  for (const std::string& name : *names)
    if (auto ok = remove_tree(io, path + "/" + name); !ok) return ok;
  return io.remove_directory(path);
}

template <class Pinned>
class Pin {
 public:
  explicit Pin(Pinned& pinned) : pinned_(pinned) { pinned_.pin(); }
  ~Pin() { pinned_.unpin(); }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;

 private:
  Pinned& pinned_;
};

}  // namespace

Snapshots::Snapshots(SnapshotOptions options, FileIo& io, const Rocks& rocks, LargeBatches& large,
                     Journal& journal)
    : options_(std::move(options)),
      io_(io),
      rocks_(rocks),
      large_(large),
      journal_(journal),
      directory_(options_.data_dir + "/snapshots") {
  // What cannot be removed costs space, and no more; the next snapshot tries again, and says so.
  if (const auto there = io_.exists(directory_); there && *there)
    static_cast<void>(remove_tree(io_, directory_ + "/" + kUnfinished));
}

Snapshots::~Snapshots() {
  if (thread_.joinable()) thread_.join();
}

void Snapshots::begin(std::string name) {
  if (thread_.joinable()) thread_.join();
  thread_ = start_thread("leat-snapshot", [this, name = std::move(name)] {
    auto made = make(name);
    // At the next start, if not now.
    if (!made) static_cast<void>(remove_tree(io_, directory_ + "/" + kUnfinished));
    options_.on_made(std::move(made));
  });
}

Result<std::string> Snapshots::make(const std::string& name) {
  if (auto ok = check_place(name); !ok) return fail(ok.error());
  const std::string unfinished = directory_ + "/" + kUnfinished, path = directory_ + "/" + name;
  if (auto ok = remove_tree(io_, unfinished); !ok) return fail(ok.error());
  if (auto ok = fill(unfinished); !ok) return fail(ok.error());
  if (auto ok = io_.rename(unfinished, path); !ok) return fail(ok.error());
  point("snapshot.renamed");
  if (auto ok = io_.sync_directory(directory_); !ok) return fail(ok.error());
  // Whoever asked may be in another directory.
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

Result<> Snapshots::check_place(const std::string& name) {
  if (auto ok = io_.make_directory(directory_); !ok) return ok;
  if (auto ok = io_.sync_directory(options_.data_dir); !ok) return ok;
  const auto names = io_.list(directory_);
  if (!names) return fail(names.error());
  if (std::ranges::find(*names, name) != names->end())
    return fail(ErrorCode::kSnapshotExists, "'" + directory_ + "/" + name + "'");
  const auto snapshots =
      std::ranges::count_if(*names, [](const std::string& other) { return other != kUnfinished; });
  if (static_cast<std::size_t>(snapshots) >= options_.most)
    return fail(ErrorCode::kLimitReached,
                "'" + directory_ + "' holds " + std::to_string(snapshots) +
                    " snapshots, each of which keeps files from being deleted; move or remove "
                    "some, or raise limits.snapshots");
  return {};
}

// What RocksDB has in files comes from journal entries that are durable. So the journal, taken
// after it, has all that lies behind, and while it is pinned loses nothing of it.
Result<> Snapshots::fill(const std::string& directory) {
  if (auto ok = io_.make_directory(directory); !ok) return ok;
  const Pin pin(journal_);
  const Pin pin_large(large_);
  if (auto ok = rocks_.checkpoint(directory + "/rocksdb"); !ok) return ok;
  point("snapshot.checkpoint");
  const auto sealed = journal_.seal();
  if (!sealed) return fail(sealed.error());
  point("snapshot.sealed");
  if (auto ok = link_journal(directory + "/journal", *sealed); !ok) return ok;
  if (auto ok = link_large(directory + "/large"); !ok) return ok;
  point("snapshot.linked");
  return write_format(io_, directory);  // and syncs the directory
}

Result<> Snapshots::link_journal(const std::string& directory, const Manifest& sealed) {
  if (auto ok = io_.make_directory(directory); !ok) return ok;
  for (const Manifest::Segment& segment : sealed.segments) {
    const std::string name = "/" + segment_name(segment.number);
    if (auto ok = io_.link(options_.data_dir + "/journal" + name, directory + name); !ok) return ok;
  }
  return replace_file(io_, directory, kManifestName, sealed.encode());
}

// Those that nothing needs any more go when somebody starts from it.
Result<> Snapshots::link_large(const std::string& directory) {
  if (auto ok = io_.make_directory(directory); !ok) return ok;
  const auto names = large_.names();
  if (!names) return fail(names.error());
  for (const std::string& name : *names)
    if (auto ok = io_.link(large_.path(name), directory + "/" + name); !ok) return ok;
  return io_.sync_directory(directory);
}

void Snapshots::point(const char* name) const {
  if (options_.at_point) options_.at_point(name);
}

}  // namespace leat::storage
