#include "storage/file_io.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "protocol/base/own_process.h"
#include "storage/large/read_queue.h"
#include "storage/uring_write_queue.h"

namespace leat::storage {
namespace {

ErrorCode code_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return ErrorCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::kNotAllowed;
    case ENOSPC:
    case EDQUOT:
      return ErrorCode::kNoSpace;
    default:
      return ErrorCode::kIoError;
  }
}

tl::unexpected<Error> failed(const char* doing, const std::string& path, int error = errno) {
  return fail(code_of(error), std::string(doing) + " '" + path + "': " + std::strerror(error));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

class RealFile final : public File {
 public:
  RealFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  using File::write;
  Result<> write(std::uint64_t at, Bytes bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EINVAL && stop_direct()) continue;
      if (n < 0) return failed("writing", path_);
      at += static_cast<std::uint64_t>(n);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }

  Result<> write(std::uint64_t at, std::span<const Bytes> pieces) override {
    if (pieces.size() == 1 || pieces.size() > IOV_MAX) return File::write(at, pieces);
    std::vector<iovec> vector;
    for (const Bytes piece : pieces)
      vector.push_back({const_cast<std::byte*>(piece.data()), piece.size()});
    const ssize_t n = ::pwritev(fd_.get(), vector.data(), static_cast<int>(vector.size()),
                                static_cast<off_t>(at));
    return end_write(at, pieces, n < 0 ? -errno : static_cast<int>(n));
  }

  int descriptor() const override { return fd_.get(); }

  Result<> end_write(std::uint64_t at, std::span<const Bytes> pieces, int result) override {
    // Refused before anything was written; write() knows what to do about each.
    if (result == -EINVAL || result == -EINTR || result == -EAGAIN) result = 0;
    if (result < 0) return failed("writing", path_, -result);
    auto done = static_cast<std::size_t>(result);
    for (const Bytes piece : pieces) {
      const std::size_t there = std::min(done, piece.size());
      if (auto ok = write(at + there, piece.subspan(there)); !ok) return ok;
      done -= there;
      at += piece.size();
    }
    return {};
  }

  Result<std::size_t> read(std::uint64_t at, MutableBytes into) override {
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t n =
          ::pread(fd_.get(), into.data() + done, into.size() - done, static_cast<off_t>(at + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EINVAL && stop_direct()) continue;
      if (n < 0) return failed("reading", path_);
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  Result<> sync() override {
    if (::fdatasync(fd_.get()) != 0) return failed("syncing", path_);
    return {};
  }

  Result<std::uint64_t> size() override {
    struct stat status;
    if (::fstat(fd_.get(), &status) != 0) return failed("reading the size of", path_);
    return static_cast<std::uint64_t>(status.st_size);
  }

  Result<> truncate(std::uint64_t bytes) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0) return failed("truncating", path_);
    return {};
  }

  Result<> allocate(std::uint64_t bytes) override {
    int error;
    do {
      error = ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
    } while (error == EINTR);
    if (error == EOPNOTSUPP || error == ENOSYS)
      return fail(ErrorCode::kUnsupportedRequest, "allocating '" + path_ + "'");
    if (error != 0) return failed("allocating", path_, error);
    return {};
  }

 private:
  // Some file systems take O_DIRECT at open and refuse the write, and a short write leaves the rest
  // unaligned. O_DSYNC stays, so what was durable on return still is.
  bool stop_direct() {
    const int flags = ::fcntl(fd_.get(), F_GETFL);
    return flags >= 0 && (flags & O_DIRECT) && ::fcntl(fd_.get(), F_SETFL, flags & ~O_DIRECT) == 0;
  }

  Descriptor fd_;
  std::string path_;
};

class RealLock final : public FileLock {
 public:
  explicit RealLock(Descriptor fd) : fd_(std::move(fd)) {}
  // Said out loud: a forked child may have a copy of the descriptor, with which the lock would
  // stay.
  ~RealLock() override {
    if (process_.here()) ::flock(fd_.get(), LOCK_UN);
  }

 private:
  Descriptor fd_;
  const OwnProcess process_;
};

std::string holder_of(int fd) {
  char text[32] = {};
  const ssize_t n = ::pread(fd, text, sizeof text - 1, 0);
  std::string holder(text, n > 0 ? static_cast<std::size_t>(n) : 0);
  while (!holder.empty() && holder.back() == '\n') holder.pop_back();
  const bool number = !holder.empty() && std::all_of(holder.begin(), holder.end(),
                                                     [](char c) { return c >= '0' && c <= '9'; });
  return number ? " (process " + holder + ")" : "";
}

tl::unexpected<Error> refused(const Descriptor& fd, const std::string& path) {
  if (errno != EWOULDBLOCK) return failed("locking", path);
  return fail(ErrorCode::kDataDirLocked, "'" + path + "' is held by another Leat" +
                                             holder_of(fd.get()) +
                                             "; stop it or choose another --data-dir");
}

class RealFileIo final : public FileIo {
 public:
  bool native() const override { return true; }

  Result<std::unique_ptr<File>> open(const std::string& path, const OpenOptions& o) override {
    int flags = O_CLOEXEC | (o.write ? O_RDWR : O_RDONLY) | (o.create ? O_CREAT : 0) |
                (o.write_through ? O_DSYNC : 0) | (o.direct ? O_DIRECT : 0);
    int fd = ::open(path.c_str(), flags, 0640);
    if (fd < 0 && errno == EINVAL && o.direct) fd = ::open(path.c_str(), flags & ~O_DIRECT, 0640);
    if (fd < 0) return failed("opening", path);
    return std::make_unique<RealFile>(Descriptor(fd), path);
  }

  Result<> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return failed("renaming", from);
    return {};
  }

  Result<> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return failed("removing", path);
    return {};
  }

  Result<> link(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) != 0) return failed("linking", from);
    return {};
  }

  Result<std::uint64_t> links(const std::string& path) override {
    struct stat status;
    if (::stat(path.c_str(), &status) != 0) return failed("looking at", path);
    return std::uint64_t{status.st_nlink};
  }

  Result<> make_directory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) return failed("creating", path);
    return {};
  }

  Result<> remove_directory(const std::string& path) override {
    if (::rmdir(path.c_str()) != 0) return failed("removing", path);
    return {};
  }

  Result<> sync_directory(const std::string& path) override {
    const Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0) return failed("opening", path);
    if (::fsync(fd.get()) != 0) return failed("syncing", path);
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
    if (!dir) return failed("listing", path);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(dir.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<bool> exists(const std::string& path) override {
    struct stat status;
    if (::stat(path.c_str(), &status) == 0) return true;
    if (errno == ENOENT) return false;
    return failed("looking for", path);
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs status;
    if (::statvfs(path.c_str(), &status) != 0) return failed("asking for the room of", path);
    return std::uint64_t{status.f_bavail} * status.f_frsize;
  }

  bool takes_direct_io(const std::string& directory) override {
    const std::string probe = directory + "/direct-io-probe";
    const Descriptor fd(::open(probe.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_DIRECT, 0600));
    ::unlink(probe.c_str());
    return fd.get() >= 0;
  }

  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
    if (fd.get() < 0) return failed("opening", path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return refused(fd, path);
    const std::string holder = std::to_string(::getpid()) + "\n";
    if (::ftruncate(fd.get(), 0) != 0 ||
        ::pwrite(fd.get(), holder.data(), holder.size(), 0) != static_cast<ssize_t>(holder.size()))
      return failed("writing", path);
    return std::make_unique<RealLock>(std::move(fd));
  }

  Result<std::unique_ptr<FileLock>> lock_to_inspect(const std::string& path) override {
    Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return failed("opening", path);
    if (::flock(fd.get(), LOCK_SH | LOCK_NB) != 0) return refused(fd, path);
    return std::make_unique<RealLock>(std::move(fd));
  }

  Result<std::unique_ptr<WriteQueue>> write_queue(std::size_t depth) override {
    auto queue = UringWriteQueue::open(depth);
    if (!queue) return fail(queue.error());
    return std::move(*queue);
  }

  std::unique_ptr<ReadQueue> read_queue(std::size_t depth) override {
    auto queue = open_uring_reads(static_cast<unsigned>(depth));
    return queue ? std::move(queue) : FileIo::read_queue(depth);
  }
};

}  // namespace

Result<> File::write(std::uint64_t at, std::span<const Bytes> pieces) {
  for (const Bytes piece : pieces) {
    if (auto ok = write(at, piece); !ok) return ok;
    at += piece.size();
  }
  return {};
}

Result<> File::end_write(std::uint64_t, std::span<const Bytes>, int) {
  return fail(ErrorCode::kUnsupportedRequest, "this file has no queue of writes");
}

std::unique_ptr<ReadQueue> FileIo::read_queue(std::size_t) {
  return std::make_unique<ReadsInTurn>();
}

FileIo& real_file_io() {
  static RealFileIo io;  // no state
  return io;
}

Result<> replace_file(FileIo& io, const std::string& directory, const std::string& name,
                      Bytes bytes) {
  const std::string path = directory + "/" + name, temporary = path + ".new";
  // A longer leftover of an earlier attempt must not show behind the new content.
  if (auto there = io.exists(temporary); there && *there)
    if (auto ok = io.remove(temporary); !ok) return ok;
  auto file = io.open(temporary, {.create = true, .write = true});
  if (!file) return fail(file.error());
  if (auto ok = (*file)->write(0, bytes); !ok) return ok;
  if (auto ok = (*file)->sync(); !ok) return ok;
  if (auto ok = io.rename(temporary, path); !ok) return ok;
  return io.sync_directory(directory);
}

Result<std::vector<std::byte>> read_file(FileIo& io, const std::string& path,
                                         std::size_t max_bytes) {
  auto file = io.open(path, {});
  if (!file) return fail(file.error());
  const auto size = (*file)->size();
  if (!size) return fail(size.error());
  if (*size > max_bytes)
    return fail(ErrorCode::kCorruptStorage, "'" + path + "' is larger than it can be");
  std::vector<std::byte> bytes(static_cast<std::size_t>(*size));
  const auto read = (*file)->read(0, bytes);
  if (!read) return fail(read.error());
  bytes.resize(*read);
  return bytes;
}

}  // namespace leat::storage
