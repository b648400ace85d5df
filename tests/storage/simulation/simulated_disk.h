// A disk in memory that knows what a crash would leave of it. What was not synced is kept, dropped
// or torn, block by block and sector by sector, in any order; file sizes and directory entries
// that no sync has covered are there or not; writes in flight arrive in part. Any operation can be
// told to fail. Copies taken while it is used make many crashes out of one history.
//
//   SimulatedDisk disk({.seed = 1});
//   disk.watch([](std::uint64_t operation) { return operation == 40; },
//              [&](std::unique_ptr<SimulatedDisk> copy) { then = std::move(copy); });
//   ... use it ...
//   then->cut_power(7);  // and open it
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/random.h"
#include "storage/write_queue.h"
#include "tests/storage/simulation/simulated_content.h"

namespace leat::test {

enum class Failure { kIoError, kNoSpace, kShortWrite };

struct SimulatedDiskOptions {
  std::uint64_t seed = 1;  // of what chance decides while it is used
  bool takes_direct_io = true;
  bool write_queue = true;  // else writes in flight need threads that wait
  // What is in this directory is lost only as a file system with a journal loses it: directory
  // entries in the order of their changes, appended bytes from the end. RocksDB relies on that for
  // its manifest; Leat's own files do not.
  std::string in_order;
};

// Any thread, but for watch(), cut_power() and kill_process(): those while nothing is open. There
// is a root directory and nothing else; paths begin with '/'.
class SimulatedDisk final : public storage::FileIo {
 public:
  explicit SimulatedDisk(SimulatedDiskOptions options);
  ~SimulatedDisk() override;

  // ---- crashes ----
  // Operations are counted from 1: whatever changes a file, a directory, or what is durable. At one
  // that is `wanted`, when its effect can be read and is not durable yet, `taken` gets a copy of
  // the disk. Both are called under the disk's lock and must not use it.
  void watch(std::function<bool(std::uint64_t operation)> wanted,
             std::function<void(std::unique_ptr<SimulatedDisk>)> taken);
  std::unique_ptr<SimulatedDisk> copy() const;
  void cut_power(std::uint64_t seed);
  // The process is gone, the kernel is not: what was written can be read and may be lost later.
  void kill_process(std::uint64_t seed);

  // ---- failures ----
  // Fails operation `number`, counted from now on from 0: once, or all from there on. Of a failed
  // write any part arrives, of a short one the beginning; what a failed sync should have made
  // durable never becomes so.
  void fail_at(std::uint64_t number, Failure failure, bool sticky);
  void heal();
  std::uint64_t operations() const;
  std::uint64_t failures() const;  // so many operations were failed

  // ---- FileIo ----
  Result<std::unique_ptr<storage::File>> open(const std::string& path,
                                              const storage::OpenOptions& options) override;
  Result<> rename(const std::string& from, const std::string& to) override;
  Result<> remove(const std::string& path) override;
  Result<> link(const std::string& from, const std::string& to) override;
  Result<std::uint64_t> links(const std::string& path) override;
  Result<> make_directory(const std::string& path) override;
  Result<> remove_directory(const std::string& path) override;
  Result<> sync_directory(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override;
  Result<bool> exists(const std::string& path) override;
  bool takes_direct_io(const std::string&) override { return options_.takes_direct_io; }
  Result<std::uint64_t> free_bytes(const std::string&) override { return UINT64_MAX; }
  Result<std::unique_ptr<storage::FileLock>> lock(const std::string& path) override;
  Result<std::unique_ptr<storage::WriteQueue>> write_queue(std::size_t depth) override;

 private:
  friend class SimulatedFile;
  friend class SimulatedQueue;
  friend class SimulatedLock;
  struct Node;
  using NodePtr = std::shared_ptr<Node>;
  using Entries = std::map<std::string, NodePtr>;
  // Of a directory, not durable yet: `name` is `node`, and what was its name in this directory is
  // none any more; or `name` is gone.
  struct Change {
    std::string name;
    NodePtr node;
    bool removed = false;
    std::string was;
  };
  struct Place {
    NodePtr directory;
    std::string name;
  };

  static void apply(const Change& change, Entries& entries);
  static NodePtr copy_of(const NodePtr& node, std::map<const Node*, NodePtr>& copies);
  static void cut_directory(Node& directory, Random& random);
  NodePtr make_node(const std::string& path, bool directory) const;
  template <class Visit>
  void each_node(Visit visit);

  // With the lock held.
  std::unique_ptr<SimulatedDisk> copy_locked() const;
  Result<Place> place_of(const std::string& path) const;
  Result<NodePtr> find(const std::string& path) const;
  void change(Node& directory, Change change);
  // Counts an operation, lets the watcher see it, and says whether it fails.
  bool next_fails() const;
  Result<> operation(const char* what, const std::string& path);

  SimulatedDiskOptions options_;
  mutable std::mutex mutex_;
  mutable Random random_;
  NodePtr root_;
  std::set<std::string> locked_;
  std::uint64_t operations_ = 0, failures_ = 0;
  std::optional<std::uint64_t> fail_at_;
  Failure failure_ = Failure::kIoError;
  bool sticky_ = false;
  std::function<bool(std::uint64_t)> wanted_;
  std::function<void(std::unique_ptr<SimulatedDisk>)> taken_;
};

}  // namespace leat::test
