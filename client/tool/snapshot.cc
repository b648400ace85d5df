// `leat snapshot create`: a data directory that holds all that is acknowledged, for a backup or a
// fork. The broker makes it beside its data; what brings it to where it is wanted is this.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

#include "client/tool/tool.h"

namespace leat::tool {
namespace {

namespace fs = std::filesystem;

struct SnapshotArguments {
  std::string directory;
};

tl::unexpected<Error> io_failed(const std::string& what, const fs::path& path) {
  return fail(ErrorCode::kIoError, what + " '" + path.string() + "': " + std::strerror(errno));
}

Result<> sync(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  auto ok = synced ? Result<>() : io_failed("syncing", path);
  if (fd >= 0) ::close(fd);
  return ok;
}

// Where nothing may be yet, or an empty directory.
Result<> check_target(const fs::path& target) {
  std::error_code error;
  const fs::path parent = target.parent_path();
  if (!fs::is_directory(parent, error))
    return fail(ErrorCode::kNotFound,
                "'" + parent.string() + "' is no directory; create it with mkdir -p");
  if (fs::exists(target, error) &&
      !(fs::is_directory(target, error) && fs::is_empty(target, error)))
    return fail(ErrorCode::kSnapshotExists,
                "'" + target.string() + "' is there already; choose another directory");
  return {};
}

// File by file, each synced; a name of its own until it is whole.
Result<> copy_synced(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::copy(from, to, fs::copy_options::recursive, error);
  if (error)
    return fail(ErrorCode::kIoError, "copying to '" + to.string() + "': " + error.message());
  for (const auto& entry : fs::recursive_directory_iterator(to))
    if (auto ok = sync(entry.path()); !ok) return ok;
  return sync(to);
}

Result<> copy_and_remove(const fs::path& from, const fs::path& target) {
  const fs::path unfinished = target.string() + ".unfinished";
  std::error_code error;
  fs::remove_all(unfinished, error);
  auto ok = copy_synced(from, unfinished);
  if (ok && ::rename(unfinished.c_str(), target.c_str()) != 0)
    ok = io_failed("renaming", unfinished);
  if (!ok) fs::remove_all(unfinished, error);
  if (ok) fs::remove_all(from, error);
  return ok;
}

Result<> move(const fs::path& from, const fs::path& target) {
  if (::rename(from.c_str(), target.c_str()) == 0) return sync(target.parent_path());
  if (errno != EXDEV) return io_failed("moving to", target);
  if (auto ok = copy_and_remove(from, target); !ok) return ok;
  return sync(target.parent_path());
}

// One that the time alone does not give twice.
std::string new_name() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[64];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc);
  return std::string(text) + "-" + std::to_string(::getpid());
}

int create(const Context& context, const SnapshotArguments& arguments) {
  const std::string doing = "snapshot create";
  fs::path target;
  if (!arguments.directory.empty()) {
    target = fs::absolute(arguments.directory).lexically_normal();
    if (!target.has_filename()) target = target.parent_path();  // "backup/"
    if (auto ok = check_target(target); !ok) return failed(doing, ok.error());
  }
  auto client = context.connect();
  if (!client) return failed(doing, client.error());
  const auto made = client->create_snapshot(new_name());
  if (!made) return failed(doing, made.error());
  if (!target.empty())
    if (auto moved = move(*made, target); !moved)
      return failed(doing,
                    {moved.error().code, moved.error().detail +
                                             "; the snapshot stays where the broker made it, "
                                             "on its machine: '" +
                                             *made + "'"});
  std::printf("%s\n", target.empty() ? made->c_str() : target.c_str());
  return 0;
}

}  // namespace

void add_snapshot(CLI::App& app, Context& context, Run& run) {
  auto* snapshot = app.add_subcommand("snapshot", "copies of all that is stored, while it works");
  snapshot->require_subcommand(1);
  auto* verb = snapshot->add_subcommand(
      "create",
      "a data directory with all that is acknowledged, which leatd --data-dir starts from");
  auto arguments = std::make_shared<SnapshotArguments>();
  verb->add_option("DIR", arguments->directory,
                   "where, on this machine, which must be the broker's; else it stays in the "
                   "broker's data directory, under snapshots/");
  verb->callback(
      [&, arguments] { run = [&context, arguments] { return create(context, *arguments); }; });
}

}  // namespace leat::tool
