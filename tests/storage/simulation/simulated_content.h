// The bytes of one file on a simulated disk: as they are read, as they are on stable storage, and
// every version between, each of which a power cut may leave.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/random.h"
#include "storage/file_io.h"

namespace leat::test {

// One thread. A copy shares the blocks, which never change.
class SimulatedContent {
 public:
  std::uint64_t size() const { return size_; }
  std::size_t read(std::uint64_t at, MutableBytes into) const;

  // Not durable yet. `in_flight`: until arrived() or lost_in_flight() it is between memory and
  // disk, and no cache of the kernel's holds it.
  void write(std::uint64_t at, Bytes bytes, bool in_flight = false);
  void truncate(std::uint64_t bytes);

  // What write() put there in flight is durable, and so is a size that holds it.
  void arrived(std::uint64_t at, std::size_t bytes);
  // It failed: each block of it is there, not durable, or is not.
  void lost_in_flight(std::uint64_t at, std::size_t bytes, Random& random);
  // All is durable.
  void sync();
  // Nothing of what was written so far becomes durable by a later sync either: the kernel has
  // marked its pages clean.
  void fail_sync();

  // Each block becomes one of its versions, or a mixture of them by sectors; so does the size.
  // `appends_in_order`: what was appended is there up to some byte and whole, as file systems with
  // a journal have it, which write data before the size that shows it.
  void cut_power(Random& random, bool appends_in_order);
  // What was in flight has arrived or not; all else stays as it is.
  void kill_process(Random& random);

 private:
  static constexpr std::size_t kSectorBytes = 512;
  using Block = std::array<std::byte, storage::kBlockBytes>;
  using Version = std::shared_ptr<const Block>;  // null: zeros
  struct Versions {
    Version durable;
    std::vector<Version> later;  // oldest first, the last is what is read
    std::size_t clean = 0;       // of these, so many no sync will write
    bool in_flight = false;      // the last of them

    const Version& newest() const { return later.empty() ? durable : later.back(); }
    void settle(Version version);
  };
  template <class Change>
  void change(std::uint64_t at, std::size_t bytes, Change change);
  static Version torn(const Versions& block, Random& random);
  std::uint64_t cut_size(Random& random, bool appends_in_order) const;
  void clear_behind_end();

  std::vector<Versions> blocks_;
  std::uint64_t size_ = 0, durable_size_ = 0;
  std::vector<std::uint64_t> later_sizes_;
};

}  // namespace leat::test
