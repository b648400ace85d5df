// What stands between a consumer's caller, its logic and the link, in shared and key_shared groups.
// Any thread may call; completions are called on the link's, or, of what fails at once, inside the
// call.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "client/delivery/delivery_logic.h"
#include "client/reader.h"

namespace leat {

class DeliveryCore final : public Reader, public Settler {
 public:
  DeliveryCore(Link& link, ConsumerOptions options);
  // Before the start: what leases lead back to. It must keep the link alive, too.
  void settles_through(std::weak_ptr<Settler> settler) {
    logic_.settles_through(std::move(settler));
  }

  void start(Completion<> done) override;
  // Sends what is gathered; what was not settled is delivered again at once.
  void close(Completion<> done) override;

  void settle(Lease& lease, std::uint32_t first, std::uint32_t count, const Settlement& settlement,
              Completion<> done) override;
  void dropped(const Lease& lease) override;
  asio::any_io_executor executor() override { return link_.executor(); }

  void keep_leases(std::chrono::milliseconds time) override;

  // Any member may get any record, and settles it by itself: kInvalidRequest, and nothing to
  // tell.
  void commit(Completion<> done) override;
  void commit(const std::vector<PartitionOffset>& offsets, Completion<> done) override;
  Result<> seek(const TopicPartition& partition, Offset to) override;
  Result<> pause(const TopicPartition& partition, bool paused) override;
  std::vector<PartitionOffset> positions() const override { return {}; }
  std::vector<TopicPartition> assignment() const override { return {}; }
  std::int64_t skipped() const override { return 0; }

 private:
  std::shared_ptr<DeliveryCore> shared() {
    return std::static_pointer_cast<DeliveryCore>(shared_from_this());
  }

  bool holds_something() const override { return logic_.holds_something(); }
  Result<SharedRecords> take() override { return logic_.take(); }
  Result<std::optional<SharedRecord>> take_one() override { return logic_.next(); }
  void came_for_more() override { logic_.came_for_more(); }
  bool made_room() override { return logic_.made_room(); }

  // The link's thread.
  void on_up() override { pump(); }
  void on_down() override;
  void on_push(const native::Reply& push) override;
  void on_ended(const Error& why) override;
  void on_closed() override;
  void described(const Result<TopicDescription>& topic);
  void pump() override;
  void attach(DeliveryLogic::Grants grants);
  void attached(std::uint32_t subscription, const Result<const native::Reply*>& reply);
  void send(Parcel parcel);
  void settled(Parcel& parcel, const Result<const native::Reply*>& reply);
  void end(const Error& why);
  void part(std::vector<Parcel> parcels, Completion<> done);
  void check_started();
  void answered_one();
  void keep();

  const ConsumerOptions options_;

  // The link's thread.
  Completion<> started_, parted_;
  bool begun_ = false;              // start() has come here
  std::size_t describing_ = 0;      // topics
  std::uint32_t subscription_ = 0;  // 0: not attached, nor about to be
  bool joined_ = false;             // attached once
  std::size_t under_way_ = 0;       // requests that close() waits for
  std::optional<asio::steady_timer> keep_timer_;

  // Guarded by the lock.
  DeliveryLogic logic_;
  MonotonicTime keep_until_, leased_at_;  // the latter: since when the oldest lease runs, at least
  bool keeping_ = false;                  // keep() is on its way, or its timer runs
};

}  // namespace leat
