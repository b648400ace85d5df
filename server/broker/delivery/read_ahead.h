// Delayed records of a partition that are read shortly before they are due, and kept until then:
// many by one sweep upwards through the log, where looking for each in its time would sweep through
// it again and again. How far ahead follows from the memory, which all groups share. What is not
// kept, for want of room or because it came too late, is read when it is due. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "protocol/record_batch.h"
#include "server/broker/delivery/delayed_records.h"
#include "storage/acks.h"
#include "storage/reads.h"

namespace leat::broker {

struct AheadMemory {
  std::size_t limit_bytes;
  std::size_t used_bytes = 0;
};

class ReadAhead {
 public:
  static constexpr std::int64_t kFurthestMs = 2'000;

  // Borrows the memory.
  explicit ReadAhead(AheadMemory& memory) : memory_(memory) {}
  ~ReadAhead() { memory_.used_bytes -= used_bytes_; }
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // ---- what to read ----

  // Decides on the next sweep, if it is time for one and there is room.
  void look(const DelayedRecords& delayed, std::int64_t now_ms);
  // When look() has something next; nullopt: never, or at the end of the sweep.
  std::optional<std::int64_t> next_look_ms(const DelayedRecords& delayed) const;
  bool is_sweeping() const { return !wanted_.empty(); }
  // From where to read next, each once; nullopt: the sweep has ended. It also ends when all is
  // kept.
  std::optional<Offset> next();
  // Keeps what is wanted of what was read, on whose behalf ever.
  void keep(const storage::ReadResult& read);

  // ---- what was read ----

  // The record is due: from now on it is at hand, or (false) must be read.
  bool is_due(Offset offset);
  // Records below are gone.
  void trim(Offset log_start);

  bool has_at_hand() const { return !at_hand_.empty(); }
  std::size_t at_hand() const { return at_hand_.size(); }
  // Some of those at hand, in batches that hold no others, ascending: upwards from call to call,
  // then from the lowest again. At least one.
  storage::ReadResult some_at_hand(std::uint64_t most_records, std::size_t most_bytes);
  // It is at hand no longer; false: it was not.
  bool forget(Offset offset);
  // The same of a range: those that were.
  std::vector<Offset> forget(storage::OffsetRange range);

  std::size_t kept() const { return kept_.size() + at_hand_.size(); }
  std::size_t used_bytes() const { return used_bytes_; }

 private:
  using Entry = DelayedRecords::Entry;
  struct Wanted {
    Entry entry;
    bool settled;  // kept, gone, or due before it was read
  };
  // Each in a batch of its own, under its batch's header.
  using Kept = std::map<Offset, std::vector<std::byte>>;

  std::size_t most_bytes() const;
  void keep(const RecordBatchView& batch);
  bool keep(Offset offset, std::vector<std::byte> record);
  void settle(Wanted& wanted);
  void end_sweep();
  void use(std::size_t bytes);
  void give_back(std::size_t bytes);
  Kept::iterator erase(Kept& from, Kept::iterator it);

  AheadMemory& memory_;
  std::size_t used_bytes_ = 0;      // kept, at hand, and set apart for what is wanted
  std::size_t record_bytes_ = 512;  // what one takes, as seen lately
  Entry looked_until_ = Entry::at(0);
  std::vector<Wanted> wanted_;       // by offset
  std::size_t next_ = 0;             // of them
  std::size_t unsettled_ = 0;        // of them
  std::size_t set_apart_bytes_ = 0;  // for each that is not settled
  Kept kept_, at_hand_;              // not due yet; due
  Offset give_from_{0};
};

}  // namespace leat::broker
