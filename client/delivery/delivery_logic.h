// A member of a shared or key_shared group without threads, sockets or clock: what was delivered to
// it, what it may still be sent, what became of records. The owner serialises calls.
//
// A membership begins with attach() and ends with the connection. Leases carry its number: what
// comes back under an earlier one is not settled, for its records are delivered again.
//
// A record is outstanding from its delivery until it is settled, or dropped by all who had it. The
// broker is granted as many records as make prefetch_records outstanding, and as many bytes of
// batches as make prefetch_bytes; a batch's bytes are outstanding as long as a record that lies in
// them.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "client/config.h"
#include "client/delivery/outstanding.h"
#include "client/delivery/settlements.h"
#include "client/shared_record.h"
#include "protocol/record_batch.h"

namespace leat {

// Whether a consumer of these kinds can be had. Error: kInvalidRequest, saying what to do instead.
Result<> check_leasing(const ConsumerOptions& options);

class DeliveryLogic {
 public:
  // How much the broker may have sent since attach(), in all.
  struct Grants {
    std::uint64_t records = 0, bytes = 0;
    friend bool operator==(const Grants&, const Grants&) = default;
  };

  explicit DeliveryLogic(const ConsumerOptions& options);
  // What its leases lead back to.
  void settles_through(std::weak_ptr<Settler> settler) { settler_ = std::move(settler); }

  // Begins a membership; what it may be sent at first.
  Grants attach();
  // Ends it: what was not handed out is forgotten, and nothing of it can be settled any more. What
  // was to be sent is to be finished by the owner.
  [[nodiscard]] std::vector<Parcel> detach();

  // What to raise the grants to, where that is worth a frame.
  std::optional<Grants> wanted_grants();
  // What to send, one at a time, until it is answered().
  std::optional<Parcel> wanted_settlements();
  void answered() { answering_ = false; }
  bool awaits_answer() const { return answering_; }
  // Whether there may be more to want, and no answer awaited that would be the time for it.
  bool made_room() {
    return std::exchange(made_room_, false) || (!answering_ && !gathered_.empty());
  }

  // Copies the batches. Error: kMalformedFrame, when the broker cannot be understood. Batches that
  // are damaged are told of by take() and next().
  Result<> delivered(const native::Delivery& delivery);

  // Records of one partition, in the order of delivery, at most Parcel::kMostRanges; empty when
  // nothing is held. Errors: what was wrong with a delivery, once; its leases end by themselves.
  Result<SharedRecords> take();
  Result<std::optional<SharedRecord>> next();
  bool holds_something() const;
  // The caller has come for more: with auto_ack, what it was given is acked.
  void came_for_more();

  // Takes `done`, unless it says itself what became of it.
  std::optional<Result<>> settle(Lease& lease, std::uint32_t first, std::uint32_t count,
                                 const Settlement& settlement, Completion<>& done);
  // Nobody has so many records of that delivery any more, nor the bytes they lie in.
  void dropped(std::uint64_t generation, std::uint64_t delivery, std::uint32_t records,
               std::size_t bytes);

  // Whether the member has leases.
  bool has_leases() const { return !leased_.empty(); }
  // Leases of all that was delivered and not settled begin anew, handed out or not.
  void extend_all();

 private:
  // One delivery, from the first batch that was not decoded.
  struct Held {
    std::shared_ptr<const std::vector<std::byte>> bytes;
    Bytes rest;
    native::PartitionRef partition;
    std::shared_ptr<const std::string> topic;
    std::deque<native::DeliveredRange> ranges;
    std::uint64_t number = 0;   // the broker's, of the delivery
    std::uint64_t records = 0;  // not decoded yet
  };
  // What records share.
  struct Decoded {
    std::shared_ptr<const std::vector<std::byte>> bytes;
    std::shared_ptr<const std::string> topic;
    std::vector<RecordReader> readers;
    Lease lease;
  };
  struct Current {
    std::shared_ptr<Decoded> owner;
    std::vector<ConsumedRecord> records;
    std::uint32_t next = 0;
  };

  // What the caller was given last, for auto_ack.
  struct Given {
    std::shared_ptr<Decoded> owner;
    std::uint32_t first, count;
  };

  bool has_current() const { return current_ && current_->next < current_->records.size(); }
  bool refill();
  bool by_key() const { return options_.kind == GroupKind::kKeyShared; }
  Result<> decode(Held& held);
  void add_record(Held& held, const RecordView& record, std::int32_t leader_epoch,
                  Current& current);
  Result<std::size_t> decode_batch(Held& held, Current& current);
  void ack_gaps(Held& held, Offset end);
  void report(const Held& held, const Error& why);
  std::optional<Error> take_error();
  void handed_out(std::uint32_t count);
  void release(std::uint64_t delivery, std::uint64_t records, std::uint64_t bytes);

  const ConsumerOptions options_;
  std::weak_ptr<Settler> settler_;
  std::uint64_t generation_ = 0;
  Grants granted_, received_, outstanding_;  // of this membership
  std::deque<Held> held_;
  std::optional<Current> current_;
  std::deque<Error> errors_;
  std::optional<Given> given_;
  Outstanding leased_;
  Settlements gathered_;
  bool answering_ = false, made_room_ = false;
  bool extending_ = false;          // gathered, and not sent yet
  std::uint64_t numbered_ = 0;      // records, by key
  std::vector<Numbered> settling_;  // settle()'s, reused
};

}  // namespace leat
