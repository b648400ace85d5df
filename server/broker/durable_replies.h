// Replies that wait until what they rest on is durable (rule 2). One thread.
#pragma once

#include <deque>
#include <utility>

#include "server/broker/replies.h"

namespace leat::broker {

class DurableReplies {
 public:
  DurableReplies(const storage::Storage& storage, ReplySink& sink)
      : storage_(storage), sink_(sink) {}

  // Replies once everything that counts so far is durable: what the reply rests on, and whatever
  // state it read.
  void reply(const RequestId& id, Reply reply) {
    const JournalPosition position = storage_.reply_position();
    const bool durable = position <= storage_.durable();
    // What a batch that comes again rests on may be lost, and never will be durable.
    if (failed_ && !durable && std::holds_alternative<Produced>(reply))
      reply = Error(ErrorCode::kOutcomeUnknown, "stored before writing failed, perhaps");
    if (failed_ || durable) return sink_.on_reply(id, std::move(reply));
    pending_.push_back({position, id, std::move(reply)});
  }
  // For what rests on durable state alone.
  void reply_now(const RequestId& id, Reply reply) { sink_.on_reply(id, std::move(reply)); }

  void on_durable(JournalPosition position) {
    while (!pending_.empty() && pending_.front().position <= position) {
      Pending ready = std::move(pending_.front());
      pending_.pop_front();
      sink_.on_reply(ready.request, std::move(ready.reply));
    }
  }
  // Whether it was stored, nobody knows.
  void on_failed(const Error& error) {
    failed_ = true;
    while (!pending_.empty()) {
      const Pending lost = std::move(pending_.front());
      pending_.pop_front();
      sink_.on_reply(lost.request, Error(ErrorCode::kOutcomeUnknown, error.detail));
    }
  }

 private:
  struct Pending {
    JournalPosition position;
    RequestId request;
    Reply reply;
  };
  const storage::Storage& storage_;
  ReplySink& sink_;
  std::deque<Pending> pending_;  // positions ascend
  bool failed_ = false;
};

}  // namespace leat::broker
