// A family of RocksDB as a state machine sees it.
#include "storage/rocks/rocks.h"

namespace leat::storage {

Error from_status(const rocksdb::Status& status, const std::string& doing) {
  const std::string detail = doing + ": " + status.ToString();
  if (status.IsNoSpace()) return {ErrorCode::kNoSpace, detail};
  if (status.IsCorruption() || status.IsNotFound() || status.IsInvalidArgument())
    return {ErrorCode::kCorruptStorage, detail};
  return {ErrorCode::kIoError, detail};
}

Result<> RocksFamilyReader::each(
    std::string_view prefix,
    const std::function<Result<>(std::string_view, std::string_view)>& row) const {
  std::unique_ptr<rocksdb::Iterator> it(
      rocks_.db().NewIterator(rocksdb::ReadOptions(), rocks_.family(family_)));
  for (it->Seek(slice(prefix)); it->Valid() && it->key().starts_with(slice(prefix)); it->Next())
    if (auto ok = row(view(it->key()), view(it->value())); !ok) return ok;
  if (!it->status().ok()) return fail(from_status(it->status(), "reading RocksDB"));
  return {};
}

Result<std::string> RocksFamilyReader::get(std::string_view key) const {
  std::string value;
  const auto status =
      rocks_.db().Get(rocksdb::ReadOptions(), rocks_.family(family_), slice(key), &value);
  if (status.IsNotFound()) return std::string();
  if (!status.ok()) return fail(from_status(status, "reading RocksDB"));
  return value;
}

void RocksFamilyWriter::put(std::string_view key, std::string_view value) {
  batch_.Put(handle_, slice(key), slice(value)).PermitUncheckedError();
}
void RocksFamilyWriter::remove(std::string_view key) {
  batch_.Delete(handle_, slice(key)).PermitUncheckedError();
}

}  // namespace leat::storage
