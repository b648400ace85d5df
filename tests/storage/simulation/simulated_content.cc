#include "tests/storage/simulation/simulated_content.h"

#include <algorithm>
#include <cstring>

namespace leat::test {
namespace {

using storage::kBlockBytes;
using Block = std::array<std::byte, kBlockBytes>;

const Block kZeros{};

const Block& bytes_of(const std::shared_ptr<const Block>& version) {
  return version ? *version : kZeros;
}
std::shared_ptr<const Block> version_of(const Block& block) {
  return block == kZeros ? nullptr : std::make_shared<const Block>(block);
}

}  // namespace

void SimulatedContent::Versions::settle(Version version) {
  durable = std::move(version);
  later.clear();
  clean = 0;
  in_flight = false;
}

std::size_t SimulatedContent::read(std::uint64_t at, MutableBytes into) const {
  if (at >= size_) return 0;
  into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size_ - at)));
  for (std::size_t done = 0; done < into.size();) {
    const std::size_t within = (at + done) % kBlockBytes;
    const std::size_t n = std::min(kBlockBytes - within, into.size() - done);
    const Block& block = bytes_of(blocks_[(at + done) / kBlockBytes].newest());
    std::memcpy(into.data() + done, block.data() + within, n);
    done += n;
  }
  return into.size();
}

// Calls change(block, within the block, bytes, bytes before it) for each block of the range.
template <class Change>
void SimulatedContent::change(std::uint64_t at, std::size_t bytes, Change change) {
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t within = (at + done) % kBlockBytes;
    const std::size_t n = std::min(kBlockBytes - within, bytes - done);
    change(blocks_[(at + done) / kBlockBytes], within, n, done);
    done += n;
  }
}

void SimulatedContent::write(std::uint64_t at, Bytes bytes, bool in_flight) {
  if (at + bytes.size() > size_) {
    size_ = at + bytes.size();
    later_sizes_.push_back(size_);
  }
  blocks_.resize(std::max<std::size_t>(blocks_.size(), round_up(size_, kBlockBytes) / kBlockBytes));
  change(at, bytes.size(),
         [&](Versions& block, std::size_t within, std::size_t n, std::size_t done) {
           Block changed = bytes_of(block.newest());
           std::memcpy(changed.data() + within, bytes.data() + done, n);
           block.later.push_back(version_of(changed));
           block.in_flight = in_flight;
         });
}

void SimulatedContent::truncate(std::uint64_t bytes) {
  if (bytes == size_) return;
  size_ = bytes;
  later_sizes_.push_back(bytes);
  clear_behind_end();
}

// A file that grows again shows zeros there.
void SimulatedContent::clear_behind_end() {
  blocks_.resize(std::max<std::size_t>(blocks_.size(), round_up(size_, kBlockBytes) / kBlockBytes));
  const std::uint64_t end = blocks_.size() * kBlockBytes;
  change(size_, static_cast<std::size_t>(end - size_),
         [](Versions& block, std::size_t within, std::size_t n, std::size_t) {
           if (!block.newest()) return;
           Block changed = *block.newest();
           std::fill_n(changed.begin() + static_cast<std::ptrdiff_t>(within), n, std::byte{0});
           block.later.push_back(version_of(changed));
         });
}

void SimulatedContent::arrived(std::uint64_t at, std::size_t bytes) {
  change(at, bytes, [](Versions& block, std::size_t, std::size_t, std::size_t) {
    block.settle(block.newest());
  });
  durable_size_ = size_;  // one size, so whatever set it last is durable with it
  later_sizes_.clear();
}

void SimulatedContent::lost_in_flight(std::uint64_t at, std::size_t bytes, Random& random) {
  const std::uint64_t kind = random.below(3);  // all, none, each or not
  change(at, bytes, [&](Versions& block, std::size_t, std::size_t, std::size_t) {
    const bool lost = kind == 0 || (kind == 1 && random.below(2) == 0);
    if (lost && block.in_flight) block.later.pop_back();
    block.in_flight = false;
  });
}

void SimulatedContent::sync() {
  for (Versions& block : blocks_)
    if (block.later.size() > block.clean) block.settle(block.later.back());
  durable_size_ = size_;
  later_sizes_.clear();
}

void SimulatedContent::fail_sync() {
  for (Versions& block : blocks_) block.clean = block.later.size();
}

SimulatedContent::Version SimulatedContent::torn(const Versions& block, Random& random) {
  Block mixed;
  for (std::size_t at = 0; at < kBlockBytes; at += kSectorBytes) {
    const std::uint64_t pick = random.below(block.later.size() + 1);
    const Block& from = bytes_of(pick == 0 ? block.durable : block.later[pick - 1]);
    std::memcpy(mixed.data() + at, from.data() + at, kSectorBytes);
  }
  return version_of(mixed);
}

std::uint64_t SimulatedContent::cut_size(Random& random, bool appends_in_order) const {
  if (appends_in_order && size_ > durable_size_)
    return durable_size_ + random.below(size_ - durable_size_ + 1);
  const std::uint64_t pick = random.below(later_sizes_.size() + 1);
  return pick == 0 ? durable_size_ : later_sizes_[pick - 1];
}

void SimulatedContent::cut_power(Random& random, bool appends_in_order) {
  // Mostly lost, mostly there, or any mixture.
  const std::uint64_t lost_of_8 = random.below(9);
  const std::uint64_t size = cut_size(random, appends_in_order);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    Versions& block = blocks_[i];
    if (block.later.empty()) continue;
    if (appends_in_order && i >= durable_size_ / kBlockBytes)
      block.settle(block.newest());
    else if (random.below(4) == 0)
      block.settle(torn(block, random));
    else if (random.below(8) < lost_of_8)
      block.settle(block.durable);
    else
      block.settle(block.later[random.below(block.later.size())]);
  }
  size_ = random.below(8) < lost_of_8 ? durable_size_ : size;
  clear_behind_end();
  blocks_.resize(round_up(size_, kBlockBytes) / kBlockBytes);
  sync();
}

void SimulatedContent::kill_process(Random& random) {
  lost_in_flight(0, blocks_.size() * kBlockBytes, random);
}

}  // namespace leat::test
