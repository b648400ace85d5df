// A record to be sent, with its bytes: for what is sent later.
#pragma once

#include <utility>
#include <vector>

#include "client/records.h"

namespace leat {

class OwnedRecord {
 public:
  explicit OwnedRecord(OutgoingRecord record) : record_(std::move(record)) {
    bytes_.reserve(bytes_of(record_));  // so that nothing moves
    if (record_.key) record_.key = keep(*record_.key);
    if (record_.value) record_.value = keep(*record_.value);
    if (record_.id) record_.id = keep(*record_.id);
    for (RecordHeader& header : record_.headers) {
      header.key = as_text(keep(as_bytes(header.key)));
      if (header.value) header.value = keep(*header.value);
    }
  }
  // Moved, the bytes stay where they are.
  OwnedRecord(OwnedRecord&&) noexcept = default;
  OwnedRecord& operator=(OwnedRecord&&) noexcept = default;

  const OutgoingRecord& borrow() const { return record_; }
  std::size_t size() const { return bytes_.size(); }

 private:
  static std::size_t bytes_of(const OutgoingRecord& record) {
    std::size_t all = record.key.value_or(Bytes()).size() + record.value.value_or(Bytes()).size() +
                      record.id.value_or(Bytes()).size();
    for (const RecordHeader& header : record.headers)
      all += header.key.size() + header.value.value_or(Bytes()).size();
    return all;
  }
  Bytes keep(Bytes from) {
    const std::size_t at = bytes_.size();
    bytes_.insert(bytes_.end(), from.begin(), from.end());
    return Bytes(bytes_).subspan(at);
  }

  std::vector<std::byte> bytes_;
  OutgoingRecord record_;
};

}  // namespace leat
