// Builds the key of a row: keys.h.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"

namespace leat::storage::keys {

class KeyWriter {
 public:
  explicit KeyWriter(char letter) : key_(1, letter) {}
  template <std::unsigned_integral T>
  KeyWriter& be(T value) {
    std::byte bytes[sizeof value];
    store_be(bytes, value);
    key_.append(as_text(bytes));
    return *this;
  }
  KeyWriter& group(std::string_view name) {
    be(static_cast<std::uint16_t>(name.size()));
    key_.append(name);
    return *this;
  }
  KeyWriter& topic(const TopicId& id) {
    key_.append(reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size());
    return *this;
  }
  KeyWriter& text(std::string_view text) {
    key_.append(text);
    return *this;
  }
  std::string take() { return std::move(key_); }

 private:
  std::string key_;
};

}  // namespace leat::storage::keys
