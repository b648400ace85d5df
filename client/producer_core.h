// What stands between a producer's callers, its logic and the link. Any thread; handlers are called
// on the link's.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/link.h"
#include "client/owned_record.h"
#include "client/producer_logic.h"
#include "client/requests.h"

namespace leat {

class ProducerCore final : public Link::Listener,
                           public std::enable_shared_from_this<ProducerCore> {
 public:
  static std::shared_ptr<ProducerCore> open(Link& link, const ProducerOptions& options);
  // Fails what is not acknowledged with kClosed. Before the link goes.
  void close();

  // The number of a topic; what is not yet known of it is looked up when a record needs it.
  std::uint32_t topic(std::string_view name);
  // Saves the look-up.
  std::uint32_t topic(const TopicDescription& description);

  // Copies the record; waits for room, unless on the link's thread, at most `patience`. Takes, and
  // calls once, `handler`, unless an error is returned.
  // Errors, and with a source that of what failed before: kInvalidRequest, kUnknownPartition,
  // kBatchTooLarge, kQueueFull, kProducerFenced, kClosed.
  Result<> send(std::uint32_t topic, const OutgoingRecord& record, AckHandler& handler,
                std::chrono::milliseconds patience);
  // Completes when every record sent so far is acknowledged or has failed, behind its handler.
  void flush(Completion<> done);
  // Sends what lingers.
  void hurry();

  const ProducerOptions& options() const { return options_; }

 private:
  // Kept while its topic is looked up.
  struct Parked {
    ProducerLogic::Number number;
    OwnedRecord record;
    std::int64_t timestamp_ms;
    AckHandler handler;
  };
  struct TopicSlot {
    std::string name;
    bool known = false, looking = false;
    TopicId id;
    std::int32_t partitions = 0;
    std::deque<Parked> parked;
    // With a source: why nothing is sent to the topic any more, since something was not.
    std::optional<Error> broken;
  };
  struct Flush {
    ProducerLogic::Number through;
    Completion<> done;
  };
  using Outcomes = std::vector<ProducerLogic::Outcome>;

  ProducerCore(Link& link, const ProducerOptions& options);
  void on_up() override { pump(); }
  void on_down() override;
  void on_ended(const Error& why) override;

  std::size_t buffered() const { return logic_.buffered_bytes() + parked_bytes_; }
  // What send() does, but for `id`, `delay` and their like, which are headers by now: `own`.
  Result<> put(std::uint32_t topic, const OutgoingRecord& record, const RecordHeaders& own,
               AckHandler& handler, std::chrono::milliseconds patience);
  // The same with the headers of the record's context, and its span.
  Result<> put_in_context(std::uint32_t topic, const OutgoingRecord& record,
                          const RecordHeaders& own, AckHandler& handler,
                          std::chrono::milliseconds patience);
  Result<PartitionIndex> partition_of(std::uint32_t topic, const OutgoingRecord& record);
  void park(TopicSlot& slot, OutgoingRecord record, std::int64_t timestamp_ms, AckHandler handler);
  void unpark(std::uint32_t topic, Outcomes& outcomes);
  void look_up(std::uint32_t topic);
  void described(std::uint32_t topic, const Result<TopicDescription>& description);
  void learned(std::uint32_t topic, const TopicDescription& description,
               Result<requests::StoredSource> stored);
  void found(std::uint32_t topic, const Result<TopicDescription>& description);
  void pump();
  void post_pump();
  void ask_identity();
  void on_reply(const ProducerLogic::BatchName& name, const Result<const native::Reply*>& reply);
  void tell(Outcomes& outcomes);
  void arm_timer();

  Link& link_;
  const ProducerOptions options_;
  SystemClock clock_;
  std::optional<asio::steady_timer> timer_;  // the link's thread

  std::mutex mutex_;
  std::condition_variable room_;
  ProducerLogic logic_;
  std::deque<TopicSlot> slots_;
  std::map<std::string, std::uint32_t, std::less<>> slot_of_;
  std::size_t parked_bytes_ = 0;
  std::vector<Flush> flushes_;
  std::optional<MonotonicTime> timer_at_;
  bool pump_posted_ = false;
  std::optional<Error> closed_;  // why nothing is sent any more
};

}  // namespace leat
