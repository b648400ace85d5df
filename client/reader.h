// What a consumer's faces talk to, whichever way its group shares: the cores behind it, and how
// callers wait in them. Any thread may call; completions are called on the link's.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "client/config.h"
#include "client/context/reader_spans.h"
#include "client/link.h"
#include "client/shared_record.h"

namespace leat {

class Reader : public Link::Listener, public std::enable_shared_from_this<Reader> {
 public:
  using WaitId = std::uint64_t;

  // Begins: completes once every partition knows where it begins, or the group has been joined; or
  // fails, which poll() and next() tell if `done` is empty. The consumer may be used before that.
  virtual void start(Completion<> done) = 0;
  // Sends what is to be sent by itself, leaves the group, completes. What waits fails with kClosed.
  // Before the link goes.
  virtual void close(Completion<> done) = 0;

  // Records, and before them rebalance events on the calling thread. Empty at the timeout.
  Result<SharedRecords> poll(std::chrono::milliseconds timeout);
  // The same on the link's thread, however long it takes; one at a time, kInvalidRequest else.
  void poll(WaitId id, Completion<SharedRecords> done) { wait(id, std::move(done)); }
  void next(WaitId id, Completion<SharedRecord> done) { wait(id, std::move(done)); }
  WaitId new_wait();
  // Fails it with kClosed, if it still waits.
  void cancel(WaitId id);

  // For the group: the positions behind what was handed out, or those given.
  // Errors: kInvalidRequest (no group, or one whose records are settled one by one), kUnknownMember
  // and kStaleEpoch (others have them by now).
  virtual void commit(Completion<> done) = 0;
  virtual void commit(const std::vector<PartitionOffset>& offsets, Completion<> done) = 0;
  // Leases of all that was delivered and not settled go on for so long; where nothing is leased
  // it does nothing.
  virtual void keep_leases(std::chrono::milliseconds) {}
  // Errors: kUnknownPartition (not assigned), kInvalidRequest (records are leased one by one).
  virtual Result<> seek(const TopicPartition& partition, Offset to) = 0;
  virtual Result<> pause(const TopicPartition& partition, bool paused) = 0;
  virtual std::vector<PartitionOffset> positions() const = 0;
  virtual std::vector<TopicPartition> assignment() const = 0;
  virtual std::int64_t skipped() const = 0;

  // For what is read on somebody else's behalf. Before the start.
  void trace_nothing() { spans_.reset(); }

 protected:
  using Wait = std::variant<Completion<SharedRecords>, Completion<SharedRecord>>;
  static void fail_wait(Wait& wait, const Error& why) {
    std::visit([&](auto& done) { done(fail(why)); }, wait);
  }

  Reader(Link& link, const std::optional<Group>& group);

  // What there is to hand out. With the lock held.
  virtual bool holds_something() const = 0;
  virtual Result<SharedRecords> take() = 0;
  virtual Result<std::optional<SharedRecord>> take_one() = 0;
  virtual void came_for_more() = 0;
  // Whether there may be more to ask the broker for since this was last asked.
  virtual bool made_room() = 0;
  // To be told before records, by a function that lets go of the lock for the callbacks.
  virtual bool has_events() const { return false; }
  virtual void tell_events(std::unique_lock<std::mutex>&) {}
  // Asks the broker for what is wanted. The link's thread.
  virtual void pump() = 0;

  void post_pump();  // with the lock held
  void serve();      // the link's thread

  Link& link_;
  SystemClock clock_;

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::optional<ReaderSpans> spans_;  // where the client traces
  std::optional<Error> error_;        // final
  std::optional<std::pair<WaitId, Wait>> wait_;
  bool telling_ = false, pump_posted_ = false, closed_ = false;

 private:
  void worked_on();
  template <class Records>
  Records traced(Records taken);
  void wait(WaitId id, Wait wait);
  bool give(std::unique_lock<std::mutex>& lock);

  WaitId last_wait_ = 0;
};

}  // namespace leat
