#include "tests/storage/simulation/simulated_disk.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <utility>

#include "protocol/base/assert.h"

namespace leat::test {

using storage::File;
using storage::OpenOptions;

struct SimulatedDisk::Node {
  bool directory = false;
  bool in_order = false;  // SimulatedDiskOptions::in_order
  SimulatedContent content;
  Entries entries, durable;
  std::vector<Change> changes;
};

// ---- files ----

class SimulatedFile final : public File {
 public:
  using File::write;
  SimulatedFile(SimulatedDisk& disk, SimulatedDisk::NodePtr node, std::string path,
                OpenOptions options)
      : disk_(disk), node_(std::move(node)), path_(std::move(path)), options_(options) {}

  Result<> write(std::uint64_t at, Bytes bytes) override {
    const std::lock_guard lock(disk_.mutex_);
    if (options_.write_through) {
      begin_through(at, bytes);
      return end_through(at, bytes.size());
    }
    // A failure leaves a beginning of it.
    if (disk_.next_fails()) bytes = bytes.first(disk_.random_.below(bytes.size() + 1));
    node_->content.write(at, bytes);
    return disk_.operation("writing", path_);
  }

  Result<std::size_t> read(std::uint64_t at, MutableBytes into) override {
    const std::lock_guard lock(disk_.mutex_);
    return node_->content.read(at, into);
  }

  Result<> sync() override {
    const std::lock_guard lock(disk_.mutex_);
    auto ok = disk_.operation("syncing", path_);
    if (ok)
      node_->content.sync();
    else
      node_->content.fail_sync();
    return ok;
  }

  Result<std::uint64_t> size() override {
    const std::lock_guard lock(disk_.mutex_);
    return node_->content.size();
  }

  Result<> truncate(std::uint64_t bytes) override {
    const std::lock_guard lock(disk_.mutex_);
    if (bytes == node_->content.size()) return {};
    auto ok = disk_.operation("truncating", path_);
    if (ok) node_->content.truncate(bytes);
    return ok;
  }

  Result<> allocate(std::uint64_t bytes) override { return truncate(bytes); }

  // A durable write is in flight between the two. With the disk's lock held.
  void begin_through(std::uint64_t at, Bytes bytes) { node_->content.write(at, bytes, true); }
  Result<> end_through(std::uint64_t at, std::size_t bytes) {
    auto ok = disk_.operation("writing", path_);
    if (ok)
      node_->content.arrived(at, bytes);
    else
      node_->content.lost_in_flight(at, bytes, disk_.random_);
    return ok;
  }

 private:
  SimulatedDisk& disk_;
  SimulatedDisk::NodePtr node_;
  std::string path_;
  OpenOptions options_;
};

// Ends writes one or several per wait(), in any order; sometimes none, so that more begin.
class SimulatedQueue final : public storage::WriteQueue {
 public:
  SimulatedQueue(SimulatedDisk& disk, std::size_t depth, std::uint64_t seed)
      : disk_(disk), buffers_(depth), random_(seed) {}

  const char* name() const override { return "simulated"; }
  std::size_t depth() const override { return buffers_.size(); }
  MutableBytes buffer(Slot slot, std::size_t bytes) override {
    buffers_[slot].resize(bytes);
    return buffers_[slot].bytes();
  }
  void start(Slot slot, File& file, std::uint64_t at,
             std::span<const storage::Inlay> inlays) override {
    auto& to = static_cast<SimulatedFile&>(file);
    Write write{slot, &to, at};
    const std::lock_guard lock(disk_.mutex_);
    for (const Bytes piece : storage::pieces_of(buffers_[slot].bytes(), inlays)) {
      // What O_DIRECT asks for.
      LEAT_ASSERT(piece.size() % storage::kBlockBytes == 0 &&
                  reinterpret_cast<std::uintptr_t>(piece.data()) % storage::kBlockBytes == 0);
      to.begin_through(at + write.bytes, piece);
      write.bytes += piece.size();
    }
    writes_.push_back(write);
  }
  std::vector<Done> wait(Time until) override {
    {
      std::unique_lock lock(mutex_);
      const auto woken = [this] { return woken_; };
      if (!writes_.empty())  // as if the disk took its time
        changed_.wait_for(lock, std::chrono::microseconds(random_.below(120)), woken);
      else if (until == Time::max())
        changed_.wait(lock, woken);
      else
        changed_.wait_until(lock, until, woken);
      if (std::exchange(woken_, false) && random_.below(4) != 0) return {};
    }
    std::vector<Done> done;
    for (std::uint64_t left = random_.below(writes_.size() + 1) + 1; left > 0; --left)
      if (!writes_.empty()) done.push_back(end(random_.below(writes_.size())));
    return done;
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
    SimulatedFile* file;
    std::uint64_t at;
    std::size_t bytes = 0;
  };
  Done end(std::size_t index) {
    const Write write = writes_[index];
    writes_.erase(writes_.begin() + static_cast<std::ptrdiff_t>(index));
    const std::lock_guard lock(disk_.mutex_);
    return {write.slot, write.file->end_through(write.at, write.bytes)};
  }

  SimulatedDisk& disk_;
  std::vector<storage::AlignedBuffer> buffers_;
  std::vector<Write> writes_;
  Random random_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

class SimulatedLock final : public storage::FileLock {
 public:
  SimulatedLock(SimulatedDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
  ~SimulatedLock() override {
    const std::lock_guard lock(disk_.mutex_);
    disk_.locked_.erase(path_);
  }

 private:
  SimulatedDisk& disk_;
  std::string path_;
};

// ---- the disk ----

SimulatedDisk::SimulatedDisk(SimulatedDiskOptions options)
    : options_(std::move(options)), random_(options_.seed), root_(make_node("/", true)) {}

SimulatedDisk::NodePtr SimulatedDisk::make_node(const std::string& path, bool directory) const {
  auto node = std::make_shared<Node>();
  node->directory = directory;
  node->in_order = !options_.in_order.empty() && path.starts_with(options_.in_order);
  return node;
}

SimulatedDisk::~SimulatedDisk() {
  LEAT_ASSERT(locked_.empty());
}

void SimulatedDisk::watch(std::function<bool(std::uint64_t)> wanted,
                          std::function<void(std::unique_ptr<SimulatedDisk>)> taken) {
  const std::lock_guard lock(mutex_);
  wanted_ = std::move(wanted);
  taken_ = std::move(taken);
}

SimulatedDisk::NodePtr SimulatedDisk::copy_of(const NodePtr& node,
                                              std::map<const Node*, NodePtr>& copies) {
  if (!node) return nullptr;
  NodePtr& copy = copies[node.get()];
  if (copy) return copy;
  copy = std::make_shared<Node>(*node);
  for (Entries* entries : {&copy->entries, &copy->durable})
    for (auto& [name, entry] : *entries) entry = copy_of(entry, copies);
  for (Change& change : copy->changes) change.node = copy_of(change.node, copies);
  return copy;
}

std::unique_ptr<SimulatedDisk> SimulatedDisk::copy() const {
  const std::lock_guard lock(mutex_);
  return copy_locked();
}

std::unique_ptr<SimulatedDisk> SimulatedDisk::copy_locked() const {
  SimulatedDiskOptions options = options_;
  options.seed = random_.next();
  auto copy = std::make_unique<SimulatedDisk>(options);
  std::map<const Node*, NodePtr> copies;
  copy->root_ = copy_of(root_, copies);
  copy->operations_ = operations_;
  return copy;
}

void SimulatedDisk::apply(const Change& change, Entries& entries) {
  const auto drop = [&](const std::string& name) {
    const auto it = entries.find(name);
    if (it != entries.end() && it->second == change.node) entries.erase(it);
  };
  if (change.removed) {
    drop(change.name);
    return;
  }
  if (!change.was.empty()) drop(change.was);
  entries[change.name] = change.node;
}

// Of the changes that no sync covers a beginning is there, or all, or nothing, or any of them.
void SimulatedDisk::cut_directory(Node& directory, Random& random) {
  const std::uint64_t kind = random.below(directory.in_order ? 2 : 4);
  std::size_t first = directory.changes.size();
  if (kind == 0) first = random.below(first + 1);
  if (kind == 2) first = 0;
  for (std::size_t i = 0; i < directory.changes.size(); ++i)
    if (i < first && (kind < 3 || random.below(2) == 0))
      apply(directory.changes[i], directory.durable);
  directory.entries = directory.durable;
  directory.changes.clear();
}

template <class Visit>
void SimulatedDisk::each_node(Visit visit) {
  std::set<Node*> seen;
  const auto walk = [&](const auto& self, const NodePtr& node) -> void {
    if (!seen.insert(node.get()).second) return;
    visit(*node);
    for (const auto& [name, entry] : node->entries) self(self, entry);
  };
  walk(walk, root_);
}

void SimulatedDisk::cut_power(std::uint64_t seed) {
  const std::lock_guard lock(mutex_);
  Random random(seed);
  each_node([&](Node& node) {
    if (node.directory)
      cut_directory(node, random);
    else
      node.content.cut_power(random, node.in_order);
  });
}

void SimulatedDisk::kill_process(std::uint64_t seed) {
  const std::lock_guard lock(mutex_);
  Random random(seed);
  each_node([&](Node& node) { node.content.kill_process(random); });
}

void SimulatedDisk::fail_at(std::uint64_t number, Failure failure, bool sticky) {
  const std::lock_guard lock(mutex_);
  fail_at_ = operations_ + number + 1;
  failure_ = failure;
  sticky_ = sticky;
}

void SimulatedDisk::heal() {
  const std::lock_guard lock(mutex_);
  fail_at_.reset();
}

std::uint64_t SimulatedDisk::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

std::uint64_t SimulatedDisk::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

bool SimulatedDisk::next_fails() const {
  const std::uint64_t next = operations_ + 1;
  return fail_at_ && (next == *fail_at_ || (next > *fail_at_ && sticky_));
}

Result<> SimulatedDisk::operation(const char* what, const std::string& path) {
  const bool fails = next_fails();
  ++operations_;
  if (wanted_ && wanted_(operations_)) taken_(copy_locked());
  if (!fails) return {};
  ++failures_;
  return fail(failure_ == Failure::kNoSpace ? ErrorCode::kNoSpace : ErrorCode::kIoError,
              std::string("planted failure ") + what + " '" + path + "'");
}

// ---- paths ----

Result<SimulatedDisk::Place> SimulatedDisk::place_of(const std::string& path) const {
  Place place{root_, {}};
  std::size_t begin = 0;
  while (begin < path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin) {
      if (!place.name.empty()) {
        const auto it = place.directory->entries.find(place.name);
        if (it == place.directory->entries.end() || !it->second->directory)
          return fail(ErrorCode::kNotFound, "'" + path + "'");
        place.directory = it->second;
      }
      place.name = path.substr(begin, end - begin);
    }
    begin = end + 1;
  }
  return place;
}

Result<SimulatedDisk::NodePtr> SimulatedDisk::find(const std::string& path) const {
  const auto place = place_of(path);
  if (!place) return fail(place.error());
  if (place->name.empty()) return place->directory;
  const auto it = place->directory->entries.find(place->name);
  if (it == place->directory->entries.end()) return fail(ErrorCode::kNotFound, "'" + path + "'");
  return it->second;
}

void SimulatedDisk::change(Node& directory, Change change) {
  apply(change, directory.entries);
  directory.changes.push_back(std::move(change));
}

// ---- FileIo ----

Result<std::unique_ptr<File>> SimulatedDisk::open(const std::string& path,
                                                  const OpenOptions& options) {
  const std::lock_guard lock(mutex_);
  const auto place = place_of(path);
  if (!place) return fail(place.error());
  const auto it = place->directory->entries.find(place->name);
  NodePtr node = it == place->directory->entries.end() ? nullptr : it->second;
  if (!node && !options.create) return fail(ErrorCode::kNotFound, "'" + path + "'");
  if (node && node->directory) return fail(ErrorCode::kIoError, "'" + path + "' is a directory");
  if (!node) {
    if (auto ok = operation("creating", path); !ok) return fail(ok.error());
    node = make_node(path, false);
    change(*place->directory, {.name = place->name, .node = node});
  }
  return std::make_unique<SimulatedFile>(*this, std::move(node), path, options);
}

Result<> SimulatedDisk::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  const auto node = find(from);
  const auto source = place_of(from), target = place_of(to);
  if (!node || !source || !target) return fail(ErrorCode::kNotFound, "'" + from + "'");
  if (auto ok = operation("renaming", from); !ok) return ok;
  if (source->directory == target->directory) {
    change(*target->directory, {.name = target->name, .node = *node, .was = source->name});
  } else {
    change(*target->directory, {.name = target->name, .node = *node});
    change(*source->directory, {.name = source->name, .node = *node, .removed = true});
  }
  return {};
}

Result<> SimulatedDisk::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto node = find(path);
  if (!node) return fail(node.error());
  if ((*node)->directory) return fail(ErrorCode::kIoError, "'" + path + "' is a directory");
  if (auto ok = operation("removing", path); !ok) return ok;
  const auto place = place_of(path);
  change(*place->directory, {.name = place->name, .node = *node, .removed = true});
  return {};
}

Result<> SimulatedDisk::link(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  const auto node = find(from);
  const auto target = place_of(to);
  if (!node || !target) return fail(ErrorCode::kNotFound, "'" + from + "'");
  if (find(to)) return fail(ErrorCode::kIoError, "'" + to + "' exists");
  if (auto ok = operation("linking", from); !ok) return ok;
  change(*target->directory, {.name = target->name, .node = *node});
  return {};
}

Result<std::uint64_t> SimulatedDisk::links(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto node = find(path);
  if (!node) return fail(node.error());
  std::uint64_t names = 0;
  each_node([&](Node& directory) {
    for (const auto& [name, entry] : directory.entries) names += entry == *node ? 1 : 0;
  });
  return names;
}

Result<> SimulatedDisk::make_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto place = place_of(path);
  if (!place) return fail(place.error());
  if (find(path)) return {};
  if (auto ok = operation("creating", path); !ok) return ok;
  change(*place->directory, {.name = place->name, .node = make_node(path, true)});
  return {};
}

Result<> SimulatedDisk::remove_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto node = find(path);
  if (!node) return fail(node.error());
  if (!(*node)->entries.empty()) return fail(ErrorCode::kIoError, "'" + path + "' is not empty");
  if (auto ok = operation("removing", path); !ok) return ok;
  const auto place = place_of(path);
  change(*place->directory, {.name = place->name, .node = *node, .removed = true});
  return {};
}

Result<> SimulatedDisk::sync_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto node = find(path);
  if (!node) return fail(node.error());
  if (auto ok = operation("syncing", path); !ok) return ok;
  (*node)->durable = (*node)->entries;
  (*node)->changes.clear();
  return {};
}

Result<std::vector<std::string>> SimulatedDisk::list(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto node = find(path);
  if (!node) return fail(node.error());
  if (!(*node)->directory) return fail(ErrorCode::kNotFound, "'" + path + "' is no directory");
  std::vector<std::string> names;
  for (const auto& [name, entry] : (*node)->entries) names.push_back(name);
  return names;
}

Result<bool> SimulatedDisk::exists(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return find(path).has_value();
}

Result<std::unique_ptr<storage::FileLock>> SimulatedDisk::lock(const std::string& path) {
  if (auto file = open(path, {.create = true, .write = true}); !file) return fail(file.error());
  const std::lock_guard lock(mutex_);
  if (!locked_.insert(path).second) return fail(ErrorCode::kDataDirLocked, "'" + path + "'");
  return std::make_unique<SimulatedLock>(*this, path);
}

Result<std::unique_ptr<storage::WriteQueue>> SimulatedDisk::write_queue(std::size_t depth) {
  if (!options_.write_queue)
    return fail(ErrorCode::kUnsupportedRequest, "this disk has no queue of writes");
  const std::lock_guard lock(mutex_);
  return std::make_unique<SimulatedQueue>(*this, depth, random_.next());
}

}  // namespace leat::test
