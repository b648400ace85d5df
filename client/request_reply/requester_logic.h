// The requester without threads, sockets or clock: which requests wait for a reply and until when,
// and which of them a reply answers. The owner serialises calls.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/completion.h"
#include "client/owned_record.h"
#include "client/records.h"
#include "client/shared_record.h"
#include "protocol/base/clock.h"

namespace leat {

class RequesterLogic {
 public:
  using Number = std::uint64_t;  // of a request; chosen by the owner, once
  using Done = Completion<SharedRecord>;
  struct Request {
    std::string topic;
    OwnedRecord record;
  };
  struct Outcome {
    Done done;
    Error error;
  };

  // `id` is this requester's own: no other may have it.
  RequesterLogic(std::string id, std::chrono::milliseconds timeout)
      : prefix_(std::move(id) + "-"), timeout_(timeout) {}

  // It waits from now on.
  void add(Number number, Request request, Done done, MonotonicTime now);
  // Those that wait and were not taken to be sent, in order.
  std::vector<Number> unsent() const;
  std::optional<Request> take_unsent(Number number);
  std::string correlation_id(Number number) const { return prefix_ + std::to_string(number); }

  // Who waits, once; empty: nobody does, or nobody any more.
  Done answered(const ConsumedRecord& reply);
  Done take(Number number);
  void expire(MonotonicTime now, std::vector<Outcome>& outcomes);
  void fail_all(const Error& why, std::vector<Outcome>& outcomes);

  std::optional<MonotonicTime> next_deadline() const;

 private:
  struct Waiting {
    Number number;
    MonotonicTime deadline;
    std::string topic;
    std::optional<OwnedRecord> unsent;
    Done done;
  };
  using List = std::list<Waiting>;
  std::optional<Number> number_of(const ConsumedRecord& reply) const;
  Error timed_out(const Waiting& waiting) const;

  const std::string prefix_;  // of correlation ids
  const std::chrono::milliseconds timeout_;
  List waiting_;  // oldest, and so first to expire, in front
  std::unordered_map<Number, List::iterator> at_;
};

}  // namespace leat
