// What storage tells the broker.
#pragma once

#include <string>

#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "storage/ids.h"
#include "storage/reads.h"

namespace leat::storage {

// Delivered by Storage::poll only.
class StorageEvents {
 public:
  virtual ~StorageEvents() = default;
  // Every entry up to and including `position` is durable: replies may go.
  virtual void on_durable(JournalPosition position) = 0;
  // Durable records appeared: bounds(partition).high_watermark rose.
  virtual void on_high_watermark(PartitionId partition) = 0;
  // Answers a read that returned ReadLater.
  virtual void on_read(ReadToken token, Result<ReadResult> result) = 0;
  // Answers a find_ids that returned ReadLater.
  virtual void on_known_ids(ReadToken, Result<KnownIds>) {}
  // Something at rest is damaged; told once of each, as reads, rewrites or the scrubber find it.
  // Reading it answers kCorruptStorage; everything else goes on.
  virtual void on_damage(const Error&) {}
  // The disk has become so full that records are refused, with what to do about it; or they are
  // taken again.
  virtual void on_space(const Result<>&) {}
  // What became of Storage::snapshot(): where it is.
  virtual void on_snapshot(Result<std::string>) {}
  // has_room() is true again.
  virtual void on_room() = 0;
  // Writing has stopped for good: entries above `durable` are neither stored nor lost for certain
  // (kOutcomeUnknown); every later append fails with kStorageFailed. Reads go on.
  virtual void on_failed(const Error& error) = 0;
};

}  // namespace leat::storage
