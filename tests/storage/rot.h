// A data directory of every kind of content, what it must serve, and damage done to copies of it.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/random.h"
#include "storage/disk_storage.h"

namespace leat::test {

// A storage on a directory, whose answers are waited for.
class OpenedStorage final : storage::StorageEvents {
 public:
  static storage::StorageOptions options(const std::string& path);
  // Null: refused with error().
  explicit OpenedStorage(const std::string& path);
  ~OpenedStorage() override { storage_.reset(); }

  bool open() const { return storage_ != nullptr; }
  const std::optional<Error>& error() const { return error_; }
  storage::DiskStorage& operator*() { return *storage_; }
  storage::DiskStorage* operator->() { return storage_.get(); }

  void settle();  // everything appended is durable
  void wait_for_room();
  void compact();  // what is in files, of topics that compact
  Result<std::vector<std::byte>> read(PartitionId partition, Offset from);
  const std::vector<std::string>& damage() const { return damage_; }

 private:
  template <class Done>
  void poll_until(Done done);
  void wake();
  void on_durable(JournalPosition) override {}
  void on_high_watermark(PartitionId) override {}
  void on_read(storage::ReadToken, Result<storage::ReadResult> result) override {
    answer_ = std::move(result);
  }
  void on_damage(const Error& error) override { damage_.push_back(error.message()); }
  void on_room() override {}
  void on_failed(const Error& error) override { error_ = error; }

  std::optional<Error> error_;
  std::optional<Result<storage::ReadResult>> answer_;
  std::vector<std::string> damage_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  int rolls_ = 0, compactions_ = 0;
  std::unique_ptr<storage::DiskStorage> storage_;
};

// Offsets of a partition that are not served; `what` says why.
struct Gap {
  std::string topic;
  std::int32_t partition;
  Offset first, next;
};

// What a directory serves: batches by where they begin, commits of groups, topics.
class Content {
 public:
  // Everything, as the storage has it. Reads that answer an error become gaps.
  static Content of(OpenedStorage& storage);
  const std::vector<Gap>& gaps() const { return gaps_; }
  // How what was served differs from `whole`, gaps aside; empty: not at all.
  std::string differs_from(const Content& whole) const;
  // The same behind a repair that reported this: what it said is lost may be, and what the journal
  // or a family held, if the report complains of that.
  std::string differs_from(const Content& whole, const std::string& report) const;

 private:
  struct Partition {
    storage::PartitionBounds bounds;
    std::map<Offset, std::vector<std::byte>> batches;
  };
  using Place = std::pair<std::string, std::int32_t>;
  static std::string partition_differs(const Place& at, const Partition& is, const Partition& was,
                                       const std::vector<Gap>& lost, bool journal_lost);
  std::map<Place, Partition> partitions_;
  std::map<std::string, std::string> commits_, groups_;  // as text
  std::vector<Gap> gaps_;
  std::vector<std::string> wrong_;  // reads that were neither served nor answered with offsets
  bool in_gap(const std::string& topic, std::int32_t partition, Offset offset) const;
  void take(const std::string& topic, std::int32_t index, PartitionId id, OpenedStorage& storage);
};

// Topics that delete, compact and stay, over several lives, in files and in the journal.
void fill_directory(const std::string& path);

// ---- damage ----

enum class Rot { kFlip, kZero, kTruncate, kDelete };

class RotCase {
 public:
  // Files that nothing writes in place may be shared.
  static void copy(const std::string& from, const std::string& to);
  // Kinds of files, each with its files, paths within the directory.
  static std::map<std::string, std::vector<std::string>> kinds(const std::string& path);

  // What to do, chosen by `seed`; kinds take turns.
  RotCase(const std::map<std::string, std::vector<std::string>>& kinds, const std::string& path,
          std::uint64_t seed);
  void apply(const std::string& path) const;
  const std::string& file() const { return file_; }
  std::string text() const;

 private:
  std::string kind_, file_;
  Rot rot_;
  std::uint64_t at_ = 0;
  unsigned bit_ = 0;
};

// Every file's content, to see whether anything changed.
std::map<std::string, std::string> bytes_of(const std::string& path);

}  // namespace leat::test
