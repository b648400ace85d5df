// Records as a consumer gives them, with nothing behind them.
#pragma once

#include <string>
#include <vector>

#include "client/records.h"
#include "protocol/base/varint.h"
#include "protocol/reserved_headers.h"

namespace leat::patterns {

class SomeRecord {
 public:
  explicit SomeRecord(std::int64_t offset) { record_.offset = Offset(offset); }
  SomeRecord& id(const std::string& id) { return header(reserved_headers::kId, id); }
  SomeRecord& header(std::string_view key, const std::string& value) {
    put(key);
    put(value);
    ++headers_;
    return *this;
  }
  SomeRecord& topic(std::uint8_t number) {
    topic_id_.bytes[0] = number;
    return *this;
  }
  SomeRecord& partition(std::int32_t index) {
    record_.partition = PartitionIndex(index);
    return *this;
  }
  SomeRecord& epoch(std::int32_t epoch) {
    record_.leader_epoch = epoch;
    return *this;
  }
  SomeRecord& value(const std::string& value) {
    value_ = value;
    return *this;
  }
  // Borrows from this.
  operator ConsumedRecord() const {  // NOLINT: that is what it is
    ConsumedRecord record = record_;
    record.topic = "orders";
    record.topic_id = &topic_id_;
    record.value = as_bytes(value_);
    record.headers = RecordHeaders(encoded_, headers_);
    return record;
  }

 private:
  void put(std::string_view text) {
    std::byte length[kMaxVarintBytes];
    const std::size_t size = put_varint(length, static_cast<std::int64_t>(text.size())) - length;
    encoded_.insert(encoded_.end(), length, length + size);
    const Bytes bytes = as_bytes(text);
    encoded_.insert(encoded_.end(), bytes.begin(), bytes.end());
  }

  ConsumedRecord record_;
  TopicId topic_id_;
  std::string value_;
  std::vector<std::byte> encoded_;
  std::size_t headers_ = 0;
};

}  // namespace leat::patterns
