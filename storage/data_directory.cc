#include "storage/data_directory.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

namespace leat::storage {
namespace {

constexpr const char* kFormatFile = "FORMAT";
constexpr const char* kLockFile = "LOCK";
constexpr std::string_view kFormatPrefix = "leat-data ";

std::string format_text() {
  return std::string(kFormatPrefix) + std::to_string(kDataFormatVersion) + "\n";
}

Error located(Error error, const std::string& path) {
  if (error.code == ErrorCode::kNotFound)
    return {ErrorCode::kDataDirMissing,
            "'" + path + "': its parent directory does not exist; create it with mkdir -p"};
  if (error.code == ErrorCode::kNotAllowed)
    return {ErrorCode::kDataDirNotWritable, error.detail + "; give this user write access to '" +
                                                path + "' or choose another with --data-dir"};
  return error;
}

Result<int> version_in(std::string_view text, const std::string& path) {
  int version = 0;
  const bool ours = text.starts_with(kFormatPrefix);
  if (ours) std::from_chars(text.data() + kFormatPrefix.size(), text.data() + text.size(), version);
  if (!ours || version == 0)
    return fail(ErrorCode::kDataDirForeign, "'" + path + "/" + kFormatFile +
                                                "' was not written by Leat; choose another "
                                                "directory with --data-dir");
  if (version < kOldestDataFormatVersion || version > kDataFormatVersion)
    return fail(ErrorCode::kFormatUnsupported,
                "'" + path + "/" + kFormatFile + "' says data format " + std::to_string(version) +
                    ", this version reads formats " + std::to_string(kOldestDataFormatVersion) +
                    " to " + std::to_string(kDataFormatVersion) +
                    "; use the version of Leat that wrote it, or another --data-dir");
  return version;
}

// A directory that holds nothing but what a start cut short leaves behind is as good as empty.
bool as_good_as_empty(const std::vector<std::string>& names) {
  return std::all_of(names.begin(), names.end(), [](const std::string& name) {
    return name == kLockFile || name.starts_with(kFormatFile) || name == "lost+found";
  });
}

// A new directory's own name is in its parent: unsynced, a power cut takes it with all it holds.
Result<> sync_parent(FileIo& io, const std::string& path) {
  std::filesystem::path directory(path);
  if (!directory.has_filename()) directory = directory.parent_path();  // "data/"
  const std::string parent = directory.parent_path().string();
  auto synced = io.sync_directory(parent.empty() ? "." : parent);
  // One that may not be read was not made by this user either, as a rule.
  if (!synced && synced.error() == ErrorCode::kNotAllowed) return {};
  return synced;
}

}  // namespace

Result<> write_format(FileIo& io, const std::string& path) {
  return replace_file(io, path, kFormatFile, as_bytes(format_text()));
}

Result<int> read_format(FileIo& io, const std::string& path) {
  auto text = read_file(io, path + "/" + kFormatFile, 4096);
  if (!text) return fail(text.error());
  return version_in(as_text(*text), path);
}

namespace {

Result<> recognise(FileIo& io, const std::string& path, bool known) {
  if (!known) return write_format(io, path);
  const auto version = read_format(io, path);
  if (!version) return fail(version.error());
  // What is written from now on an older version could not read.
  return *version < kDataFormatVersion ? write_format(io, path) : Result<>();
}

}  // namespace

Result<DataDirectory> open_data_directory(FileIo& io, const std::string& path) {
  if (auto made = io.make_directory(path); !made) return fail(located(made.error(), path));
  const auto names = io.list(path);
  if (!names) return fail(located(names.error(), path));
  const bool known = std::find(names->begin(), names->end(), kFormatFile) != names->end();
  if (!known && !as_good_as_empty(*names))
    return fail(ErrorCode::kDataDirForeign,
                "'" + path + "' holds '" + names->front() +
                    "' and no FORMAT file; choose an empty directory with --data-dir");
  // Until there is a FORMAT file: whoever made the directory may have died before this.
  if (!known)
    if (auto synced = sync_parent(io, path); !synced) return fail(located(synced.error(), path));
  DataDirectory directory{.path = path, .lock = nullptr};
  auto lock = io.lock(path + "/" + kLockFile);
  if (!lock) return fail(located(lock.error(), path));
  directory.lock = std::move(*lock);
  if (auto ok = recognise(io, path, known); !ok) return fail(located(ok.error(), path));
  for (const std::string& part : {directory.journal(), directory.rocksdb(), directory.large()})
    if (auto made = io.make_directory(part); !made) return fail(located(made.error(), path));
  if (auto synced = io.sync_directory(path); !synced) return fail(located(synced.error(), path));
  return directory;
}

Result<DataDirectory> open_to_inspect(FileIo& io, const std::string& path) {
  const auto names = io.list(path);
  if (!names && names.error() == ErrorCode::kNotFound)
    return fail(ErrorCode::kDataDirMissing, "'" + path + "' is not there");
  if (!names) return fail(names.error());
  DataDirectory directory{.path = path, .lock = nullptr};
  const auto there = [&](const char* name) {
    return std::find(names->begin(), names->end(), name) != names->end();
  };
  if (!there(kFormatFile) && !there("journal") && !there("rocksdb"))
    return fail(ErrorCode::kDataDirForeign, "'" + path + "' holds nothing that Leat wrote");
  if (!there(kLockFile)) return directory;
  auto lock = io.lock_to_inspect(path + "/" + kLockFile);
  if (!lock) return fail(lock.error());
  directory.lock = std::move(*lock);
  return directory;
}

}  // namespace leat::storage
