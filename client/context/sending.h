// A record on its way out with the headers of its context, and the span from send() to its ack.
// Only made where there is a context, or spans are exported.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/completion.h"
#include "client/context/message_context.h"
#include "client/tracing/tracer.h"

namespace leat {

class Sending {
 public:
  static bool needed(const std::shared_ptr<Tracer>& tracer, const OutgoingRecord& record) {
    return tracer || record.context || MessageScope::active();
  }
  // Borrows from both; `own`: headers that go in front in any case. A header of the context that
  // the application has set by itself stands, but for traceparent: it is what the span's parent is.
  // Error: kInvalidRequest, for ids that are too long.
  static Result<Sending> make(std::shared_ptr<Tracer> tracer, std::string_view topic,
                              const OutgoingRecord& record, const RecordHeaders& own);

  const OutgoingRecord& record() const { return changed_ ? *changed_ : *given_; }
  RecordHeaders own() const { return {as_bytes(encoded_), count_}; }
  // Ends the span when it is called; takes `handler`, until give_back().
  Completion<Ack> traced(Completion<Ack>& handler);
  void give_back(Completion<Ack>& handler, const Error& why);

 private:
  struct Traced {
    std::shared_ptr<Tracer> tracer;
    OpenSpan span;
    Completion<Ack> handler;
    void finish(const Result<Ack>& ack);
  };
  Sending(const OutgoingRecord& record, const RecordHeaders& own);
  void start(std::shared_ptr<Tracer> tracer, std::string_view topic, MessageContext& context);
  void put_headers(const MessageContext& context, bool renewed);
  void add(std::string_view name, std::string_view value);
  std::string_view given(std::string_view name) const;
  void take_out(std::string_view name);

  const OutgoingRecord* given_;
  std::optional<OutgoingRecord> changed_;
  std::string encoded_;  // headers as they lie in a record
  std::size_t count_;
  std::shared_ptr<Traced> traced_;  // unless nothing is recorded
};

}  // namespace leat
