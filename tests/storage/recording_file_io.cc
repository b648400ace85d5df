#include "tests/storage/recording_file_io.h"

#include <condition_variable>
#include <filesystem>
#include <fstream>

namespace leat::test {

using storage::File;
using storage::OpenOptions;

class RecordingFile final : public File {
 public:
  using File::write;
  RecordingFile(RecordingFileIo& io, std::unique_ptr<File> under, std::string path,
                std::shared_ptr<RecordingFileIo::Content> content, bool write_through)
      : io_(io),
        under_(std::move(under)),
        path_(std::move(path)),
        content_(std::move(content)),
        write_through_(write_through) {}

  Result<> write(std::uint64_t at, Bytes bytes) override {
    if (io_.full_) {
      const auto size = under_->size();
      if (size && at + bytes.size() > *size)
        return fail(ErrorCode::kNoSpace, "no room for " + path_);
    }
    const bool fails = io_.fails();
    if (fails) bytes = bytes.first(bytes.size() / 2);
    if (!write_through_ || fails) io_.remember(path_, *content_, at, bytes.size());
    auto ok = under_->write(at, bytes);
    if (fails) return fail(io_.fail_code_, "planted failure writing " + path_);
    io_.record(write_through_ ? Operation::kWriteThrough : Operation::kWrite, path_, at,
               bytes.size());
    const std::lock_guard lock(io_.mutex_);
    if (write_through_) content_->synced_size = std::max(content_->synced_size, at + bytes.size());
    return ok;
  }

  Result<std::size_t> read(std::uint64_t at, MutableBytes into) override {
    io_.record(Operation::kRead, path_, at, into.size());
    return under_->read(at, into);
  }

  Result<> sync() override {
    if (io_.fails()) return fail(io_.fail_code_, "planted failure syncing " + path_);
    io_.record(Operation::kSync, path_);
    const auto size = under_->size();
    const std::lock_guard lock(io_.mutex_);
    content_->before_unsynced.clear();
    if (size) content_->synced_size = *size;
    return under_->sync();
  }

  Result<std::uint64_t> size() override { return under_->size(); }
  Result<> truncate(std::uint64_t bytes) override { return under_->truncate(bytes); }
  Result<> allocate(std::uint64_t bytes) override {
    if (!io_.allocates_) return fail(ErrorCode::kUnsupportedRequest, "allocating " + path_);
    if (io_.full_) return fail(ErrorCode::kNoSpace, "no room for " + path_);
    if (io_.fails()) return fail(io_.fail_code_, "planted failure allocating " + path_);
    return under_->allocate(bytes);
  }

  const std::string& path() const { return path_; }
  // What the failure left of a write: blocks of it, each or none, on the disk for good.
  void arrive_in_part(std::uint64_t at, Bytes bytes) {
    const std::uint64_t kind = io_.random_.below(3);
    for (std::size_t i = 0; i < bytes.size(); i += storage::kBlockBytes)
      if (kind == 0 || (kind == 1 && io_.random_.below(2) == 0))
        static_cast<void>(under_->write(at + i, bytes.subspan(i, storage::kBlockBytes)));
  }

 private:
  RecordingFileIo& io_;
  std::unique_ptr<File> under_;
  std::string path_;
  std::shared_ptr<RecordingFileIo::Content> content_;
  bool write_through_;
};

// Ends one write per wait(), any of them; sometimes none, so that more begin.
class RecordingQueue final : public storage::WriteQueue {
 public:
  RecordingQueue(RecordingFileIo& io, std::size_t depth) : io_(io), buffers_(depth) {}

  const char* name() const override { return "recording"; }
  std::size_t depth() const override { return buffers_.size(); }
  MutableBytes buffer(Slot slot, std::size_t bytes) override {
    buffers_[slot].resize(bytes);
    return buffers_[slot].bytes();
  }
  void start(Slot slot, File& file, std::uint64_t at,
             std::span<const storage::Inlay> inlays) override {
    auto& to = static_cast<RecordingFile&>(file);
    Write write{slot, &to, at, storage::pieces_of(buffers_[slot].bytes(), inlays)};
    std::size_t bytes = 0;
    for (const Bytes piece : write.pieces) bytes += piece.size();
    writes_.push_back(std::move(write));
    const std::lock_guard lock(io_.mutex_);
    io_.in_flight_.push_back({Operation::kWriteThrough, to.path(), at, bytes});
    io_.most_in_flight_ = std::max(io_.most_in_flight_, writes_.size());
  }
  std::vector<Done> wait(Time until) override {
    std::unique_lock lock(mutex_);
    const auto woken = [this] { return woken_; };
    if (writes_.empty() && until == Time::max()) changed_.wait(lock, woken);
    if (writes_.empty() && until != Time::max()) changed_.wait_until(lock, until, woken);
    // Others may begin meanwhile: the journal is let on as if it had been woken, for a moment.
    if (!writes_.empty() && io_.random_.below(2) == 0)
      changed_.wait_for(lock, std::chrono::microseconds(io_.random_.below(300)), woken);
    const bool only_woken = std::exchange(woken_, false) && io_.random_.below(4) != 0;
    lock.unlock();
    if (writes_.empty() || only_woken) return {};
    return {end(io_.random_.below(writes_.size()))};
  }
  void wake() override {
    {
      const std::lock_guard lock(mutex_);
      woken_ = true;
    }
    changed_.notify_one();
  }

 private:
  struct Write {
    Slot slot;
    RecordingFile* file;
    std::uint64_t at;
    std::vector<Bytes> pieces;  // as they are when it ends: nobody may have changed them
  };
  Done end(std::size_t index) {
    const Write write = writes_[index];
    writes_.erase(writes_.begin() + static_cast<std::ptrdiff_t>(index));
    std::vector<std::byte> bytes;
    for (const Bytes piece : write.pieces) bytes.insert(bytes.end(), piece.begin(), piece.end());
    Done done{write.slot, {}};
    if (io_.fails_next()) {
      static_cast<void>(io_.fails());
      write.file->arrive_in_part(write.at, bytes);
      done.result = fail(io_.fail_code_, "planted failure writing " + write.file->path());
    } else {
      done.result = write.file->write(write.at, Bytes(bytes));
    }
    const std::lock_guard lock(io_.mutex_);
    io_.in_flight_.erase(io_.in_flight_.begin() + static_cast<std::ptrdiff_t>(index));
    return done;
  }

  RecordingFileIo& io_;
  std::vector<storage::AlignedBuffer> buffers_;
  std::vector<Write> writes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

Result<std::unique_ptr<storage::WriteQueue>> RecordingFileIo::write_queue(std::size_t depth) {
  return std::make_unique<RecordingQueue>(*this, depth);
}

void RecordingFileIo::shuffle(std::uint64_t seed) {
  random_ = Random(seed);
}

std::vector<Recorded> RecordingFileIo::in_flight() const {
  const std::lock_guard lock(mutex_);
  return in_flight_;
}

std::size_t RecordingFileIo::most_in_flight() const {
  const std::lock_guard lock(mutex_);
  return most_in_flight_;
}

std::vector<Recorded> RecordingFileIo::recorded() const {
  const std::lock_guard lock(mutex_);
  return recorded_;
}

void RecordingFileIo::fail_at(std::uint64_t k, ErrorCode code, bool sticky) {
  const std::lock_guard lock(mutex_);
  changes_ = 0;
  fail_at_ = k;
  fail_code_ = code;
  sticky_ = sticky;
}

std::uint64_t RecordingFileIo::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

void RecordingFileIo::record(Operation operation, const std::string& path, std::uint64_t at,
                             std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  recorded_.push_back({operation, path, at, bytes});
}

bool RecordingFileIo::fails() {
  const bool fails = fails_next();
  const std::lock_guard lock(mutex_);
  ++changes_;
  return fails;
}

bool RecordingFileIo::fails_next() const {
  const std::lock_guard lock(mutex_);
  return fail_at_ && (changes_ == *fail_at_ || (sticky_ && changes_ > *fail_at_));
}

void RecordingFileIo::remember(const std::string& path, Content& content, std::uint64_t at,
                               std::size_t bytes) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::byte> before(bytes);
  file.seekg(static_cast<std::streamoff>(at));
  file.read(reinterpret_cast<char*>(before.data()), static_cast<std::streamsize>(bytes));
  before.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  const std::lock_guard lock(mutex_);
  content.before_unsynced.try_emplace(at, std::move(before));  // the oldest is the synced one
}

std::shared_ptr<RecordingFileIo::Content> RecordingFileIo::content_of(const std::string& path,
                                                                      bool existed) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[path];
  if (!entry.content) {
    entry.content = std::make_shared<Content>();
    entry.durable = existed;
    if (existed) entry.content->synced_size = std::filesystem::file_size(path);
  }
  return entry.content;
}

// One that is only read.
class ReadFile final : public File {
 public:
  using File::write;
  ReadFile(std::unique_ptr<File> under, std::function<void(std::uint64_t, std::size_t)> on_read)
      : under_(std::move(under)), on_read_(std::move(on_read)) {}
  Result<> write(std::uint64_t at, Bytes bytes) override { return under_->write(at, bytes); }
  Result<std::size_t> read(std::uint64_t at, MutableBytes into) override {
    on_read_(at, into.size());
    return under_->read(at, into);
  }
  Result<> sync() override { return under_->sync(); }
  Result<std::uint64_t> size() override { return under_->size(); }
  Result<> truncate(std::uint64_t bytes) override { return under_->truncate(bytes); }
  Result<> allocate(std::uint64_t bytes) override { return under_->allocate(bytes); }

 private:
  std::unique_ptr<File> under_;
  std::function<void(std::uint64_t, std::size_t)> on_read_;
};

Result<std::unique_ptr<File>> RecordingFileIo::open(const std::string& path,
                                                    const OpenOptions& options) {
  const bool existed = std::filesystem::exists(path);
  auto under = under_.open(path, options);
  if (!under) return under;
  record(Operation::kOpen, path);
  if (!options.write)
    return std::make_unique<ReadFile>(std::move(*under),
                                      [this, path](std::uint64_t at, std::size_t bytes) {
                                        record(Operation::kRead, path, at, bytes);
                                      });
  return std::make_unique<RecordingFile>(*this, std::move(*under), path, content_of(path, existed),
                                         options.write_through);
}

Result<> RecordingFileIo::rename(const std::string& from, const std::string& to) {
  if (fails()) return fail(fail_code_, "planted failure renaming " + from);
  record(Operation::kRename, to);
  const bool replaces = std::filesystem::exists(to);
  if (replaces) {
    auto before = storage::read_file(under_, to, 1 << 30);
    const std::lock_guard lock(mutex_);
    if (before) replaced_.try_emplace(to, std::move(*before));
  }
  auto ok = under_.rename(from, to);
  const std::lock_guard lock(mutex_);
  entries_[to] = {entries_[from].content, false};
  entries_.erase(from);
  return ok;
}

Result<> RecordingFileIo::remove(const std::string& path) {
  if (fails()) return fail(fail_code_, "planted failure removing " + path);
  record(Operation::kRemove, path);
  {
    const std::lock_guard lock(mutex_);
    entries_.erase(path);
  }
  return under_.remove(path);
}

Result<> RecordingFileIo::sync_directory(const std::string& path) {
  if (fails()) return fail(fail_code_, "planted failure syncing " + path);
  record(Operation::kSyncDirectory, path);
  const auto in_directory = [&](const std::string& file) {
    return std::filesystem::path(file).parent_path() == path;
  };
  const std::lock_guard lock(mutex_);
  for (auto& [name, entry] : entries_)
    if (in_directory(name)) entry.durable = true;
  std::erase_if(replaced_, [&](const auto& item) { return in_directory(item.first); });
  return under_.sync_directory(path);
}

void RecordingFileIo::power_cut() {
  const std::lock_guard lock(mutex_);
  for (auto& [path, entry] : entries_) {
    if (!entry.content || !std::filesystem::exists(path)) continue;
    {
      std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
      for (const auto& [at, before] : entry.content->before_unsynced) {
        file.seekp(static_cast<std::streamoff>(at));
        file.write(reinterpret_cast<const char*>(before.data()),
                   static_cast<std::streamsize>(before.size()));
      }
    }
    if (std::filesystem::file_size(path) > entry.content->synced_size)
      std::filesystem::resize_file(path, entry.content->synced_size);
    if (!entry.durable && !replaced_.contains(path)) std::filesystem::remove(path);
  }
  for (const auto& [path, before] : replaced_) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(before.data()),
               static_cast<std::streamsize>(before.size()));
  }
  entries_.clear();
  replaced_.clear();
}

}  // namespace leat::test
