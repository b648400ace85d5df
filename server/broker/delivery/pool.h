// Things that come and go, each at a number of its own, in one array whose places are used again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace leat::broker {

template <class T>
class Pool {
 public:
  std::size_t size() const { return all_.size() - free_.size(); }
  // Numbers are below; those that are free hold a T().
  std::uint32_t places() const { return static_cast<std::uint32_t>(all_.size()); }
  T& operator[](std::uint32_t at) { return all_[at]; }
  const T& operator[](std::uint32_t at) const { return all_[at]; }

  void prefetch(std::uint32_t at) const { __builtin_prefetch(&all_[at]); }

  // References to others end.
  std::uint32_t add(T one) {
    if (free_.empty()) {
      all_.push_back(std::move(one));
      return static_cast<std::uint32_t>(all_.size() - 1);
    }
    const std::uint32_t at = free_.back();
    free_.pop_back();
    all_[at] = std::move(one);
    return at;
  }
  void remove(std::uint32_t at) {
    all_[at] = T();
    free_.push_back(at);
    if (size() > 0) return;
    // Empty: what a burst took is given back.
    if (all_.capacity() > kKept) {
      all_ = {};
      free_ = {};
    }
    all_.clear();
    free_.clear();
  }

 private:
  static constexpr std::size_t kKept = 1'024;
  std::vector<T> all_;
  std::vector<std::uint32_t> free_;
};

}  // namespace leat::broker
