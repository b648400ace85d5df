// The way of spans to a collector, or a file: a bounded queue, and a thread behind it that gathers,
// sends, and tries again. Nobody ever waits for it but close().
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "client/tracing/endpoint.h"
#include "client/tracing/trace_options.h"
#include "protocol/base/clock.h"
#include "protocol/base/own_process.h"
#include "protocol/base/random.h"
#include "protocol/trace/span.h"

namespace leat {

class SpanExporter {
 public:
  // `options.endpoint` is not empty. Errors: kInvalidAddress; kIoError, for a file that cannot be
  // opened. That a collector cannot be reached is no error here: it may come up later.
  static Result<std::unique_ptr<SpanExporter>> open(TraceOptions options);
  // Exports what is left, within close_timeout; what that fails for is dropped.
  ~SpanExporter();
  SpanExporter(const SpanExporter&) = delete;
  SpanExporter& operator=(const SpanExporter&) = delete;

  // ---- any thread ----
  void add(TraceSpan span);
  // Until what was added before is exported or dropped. False: not in time.
  bool flush(std::chrono::milliseconds patience);
  TraceStats stats() const;

 private:
  SpanExporter(TraceOptions options, TraceEndpoint endpoint, int file, int interrupt);
  void run();
  std::vector<TraceSpan> take();
  bool export_batch(const std::vector<TraceSpan>& spans);
  bool wait_to_retry(std::size_t failed);
  Result<> post(const std::string& json, bool& again);
  Result<> write(std::string line);
  void note(const Result<>& attempt);
  MonotonicTime deadline(MonotonicTime usual) const;

  const TraceOptions options_;
  const TraceEndpoint endpoint_;
  const int file_, interrupt_;  // -1: none
  const OwnProcess process_;
  SystemClock clock_;

  mutable std::mutex mutex_;
  std::condition_variable changed_, exported_;
  std::deque<TraceSpan> queue_;
  std::optional<MonotonicTime> first_at_;  // when the queue's first came
  std::size_t added_ = 0, done_ = 0, hurry_through_ = 0;
  bool stopping_ = false;
  MonotonicTime stop_by_{};
  TraceStats stats_;

  // The thread's.
  Random random_ = Random::from_system();
  bool failing_ = false;
  std::thread thread_;
};

}  // namespace leat
