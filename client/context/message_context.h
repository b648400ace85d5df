// What ties messages together: which flow one belongs to, which message caused it, and its place in
// a trace. It travels in headers (protocol/reserved_headers.h), and so through topics, retries,
// dead letters, requests and replies. What a handler sends continues the flow of the record it
// handles:
//
//   SharedRecord record = co_await consumer.next();
//   producer.send({Topic{"payments"}, Key{"42"}, bytes("{}")}, on_ack);         // by itself, until
//   co_await charge();                                                          // the next
//   co_await; co_await producer.send(continuing(record, {Topic{"paid"}, bytes("{}")}));   // from
//   then on so
//
// Nothing is added to what is sent where the record carries no context and nothing is traced.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/records.h"
#include "protocol/trace/trace_context.h"

namespace leat {

struct SharedRecord;

inline constexpr std::size_t kMaxCorrelationBytes = 255;

// A header with its bytes, for whoever keeps it.
struct OwnedHeader {
  std::string name, value;
  friend bool operator==(const OwnedHeader&, const OwnedHeader&) = default;
};

struct MessageContext {
  std::string correlation_id;  // of the flow, 1 to 255 bytes; empty: none
  std::string causation_id;    // the causation_id_of() of what caused it; empty: nothing did
  std::optional<TraceContext> trace;
  std::string trace_state = {};  // only with `trace`

  // Of a flow that begins.
  static MessageContext begin(std::string correlation_id);
  // What headers say. Of what is malformed or too long nothing is kept.
  static MessageContext from_headers(const RecordHeaders& headers);
  static MessageContext from_record(const ConsumedRecord& record) {
    return from_headers(record.headers);
  }
  // For what `record` causes: the same flow, which begins with the record if it is of none; caused
  // by it; in its trace, below the span that sent it. Where this client traces, continuing() and
  // handlers know the span in which the record is processed, and every record that is sent gets one
  // of its own: a span that nobody exports would only break the chain.
  static MessageContext child_of(const ConsumedRecord& record);

  bool empty() const { return correlation_id.empty() && causation_id.empty() && !trace; }
  // For what keeps a message before it is sent, such as an outbox.
  std::vector<OwnedHeader> to_headers() const;
};

using SharedContext = std::shared_ptr<const MessageContext>;

// By which others refer to a record: its leat-id, else TOPIC/PARTITION/OFFSET.
std::string causation_id_of(const ConsumedRecord& record);

// Until its end, what this thread sends continues that context, unless a record names another
// (OutgoingRecord::context). The library makes one around the handlers of Consumer::next() and
// Requester::request(), up to the first suspension of a coroutine. One that an application makes
// must end before the coroutine it is in suspends: others run on the thread then.
class MessageScope {
 public:
  // Null: what is sent continues nothing.
  explicit MessageScope(SharedContext context);
  // child_of(record), made when something is sent. Borrows from the record.
  explicit MessageScope(const ConsumedRecord& record);
  explicit MessageScope(const SharedRecord& record);  // in its span, where this client traces
  // The same, but for a record that carries no context: that begins no flow then. Keeps `owner`.
  struct Lazily {};
  MessageScope(Lazily, const ConsumedRecord& record, std::shared_ptr<const void> owner);
  ~MessageScope();
  MessageScope(const MessageScope&) = delete;
  MessageScope& operator=(const MessageScope&) = delete;

  // Of the innermost scope of this thread; null: none.
  static SharedContext current();
  static bool active() noexcept;

 private:
  std::optional<ConsumedRecord> record_;  // that nothing was asked of yet
  std::shared_ptr<const void> owner_;
  bool begins_ = false;  // a flow, where the record is of none
  SharedContext context_;
  MessageScope* outer_;
};

}  // namespace leat
