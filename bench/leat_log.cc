#include "bench/leat_log.h"

#include <utility>

#include "protocol/base/random.h"

namespace leat::bench {
namespace {
constexpr auto kHang = std::chrono::seconds(60);
constexpr std::size_t kCacheLine = 64;
}  // namespace

LeatLog::LeatLog(storage::StorageOptions options, std::int32_t partitions)
    : storage_(must(storage::DiskStorage::open(std::move(options), storage::real_file_io(), [this] {
        {
          const std::lock_guard lock(mutex_);
          news_ = true;
        }
        woken_.notify_one();
      }))) {
  const std::string name = "load" + std::to_string(partitions);
  if (!storage_->find_topic(name)) {
    const TopicId id = Random::from_system().topic_id();
    must(storage_->create_topic(id, name, partitions, {}, WallTime()));
  }
  partitions_ = storage_->find_topic(name)->partitions;
}

bool LeatLog::append(std::uint32_t client, std::uint32_t partition, Bytes batch) {
  if (!storage_->has_room()) return false;
  must(storage_->append(partitions_[partition], {}, batch));
  in_flight_.push_back({storage_->last_appended(), client});
  return true;
}

void LeatLog::wait(std::vector<std::uint32_t>& acked) {
  if (!wait(acked, kHang)) throw std::runtime_error("the storage hangs");
}

bool LeatLog::wait(std::vector<std::uint32_t>& acked, Clock::duration most) {
  if (!sleep(Clock::now() + most)) return false;
  acked_ = &acked;
  storage_->poll(*this);
  acked_ = nullptr;
  return true;
}

bool LeatLog::sleep(Clock::time_point until) {
  std::unique_lock lock(mutex_);
  const bool woken = woken_.wait_until(lock, until, [this] { return news_; });
  news_ = false;
  return woken;
}

void LeatLog::on_durable(JournalPosition position) {
  while (!in_flight_.empty() && in_flight_.front().position <= position) {
    if (acked_) acked_->push_back(in_flight_.front().client);
    in_flight_.pop_front();
  }
}

void LeatLog::on_read(storage::ReadToken, Result<storage::ReadResult> result) {
  read_ = std::move(result);
}

Offset LeatLog::end_of(std::uint32_t partition) const {
  return storage_->bounds(partitions_[partition]).high_watermark;
}

bool LeatLog::read(Reader& reader, std::size_t bytes) {
  const PartitionId partition = partitions_[reader.partition];
  if (reader.next >= storage_->bounds(partition).high_watermark) return false;
  auto outcome = storage_->read(partition, reader.next, bytes, 1);
  if (std::holds_alternative<storage::ReadLater>(outcome)) {
    ++cold_reads_;
    while (!read_) {
      if (!sleep(Clock::now() + kHang)) throw std::runtime_error("a read hangs");
      storage_->poll(*this);
    }
    outcome = must(std::move(*std::exchange(read_, std::nullopt)));
  }
  walk(reader, std::get<storage::ReadResult>(outcome));
  return true;
}

void LeatLog::walk(Reader& reader, const storage::ReadResult& result) {
  const Offset before = reader.next;
  for (const auto& stored : result.batches)
    for (Bytes rest = stored.bytes; !rest.empty();) {
      const auto batch = must(RecordBatchView::parse(rest));
      const Bytes bytes = batch.bytes();
      if (reader.touch)
        for (std::size_t at = 0; at + kCacheLine <= bytes.size(); at += kCacheLine)
          seen_ += load_le<std::uint64_t>(bytes.data() + at);
      reader.bytes += bytes.size();
      reader.next = batch.last_offset() + 1;
      rest = rest.subspan(bytes.size());
    }
  if (reader.next == before) throw std::runtime_error("a read brought nothing");
}

}  // namespace leat::bench
