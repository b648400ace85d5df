#include "client/tracing/span_exporter.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/tracing/http_post.h"
#include "protocol/trace/otlp_json.h"

namespace leat {
namespace {

// A library's threads take no signals: those are the application's (rule 13).
template <class Run>
std::thread quiet_thread(Run run) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([run = std::move(run)] {
    pthread_setname_np(pthread_self(), "leat-trace");
    run();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

Error io_error(const std::string& what) {
  return {ErrorCode::kIoError, what + ": " + std::generic_category().message(errno)};
}

TraceOptions bounded(TraceOptions options) {
  options.queue_spans = std::max<std::size_t>(options.queue_spans, 1);
  options.batch_spans = std::clamp<std::size_t>(options.batch_spans, 1, options.queue_spans);
  options.attempts = std::max<std::size_t>(options.attempts, 1);
  return options;
}

// As OTLP over HTTP has it: what a later attempt may mend.
bool worth_another(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

}  // namespace

Result<std::unique_ptr<SpanExporter>> SpanExporter::open(TraceOptions options) {
  auto endpoint = parse_trace_endpoint(options.endpoint);
  if (!endpoint) return fail(endpoint.error());
  int file = -1, interrupt = -1;
  if (!endpoint->file.empty()) {
    file = ::open(endpoint->file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (file < 0) return fail(io_error("spans to " + endpoint->file));
  } else {
    interrupt = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (interrupt < 0) return fail(io_error("eventfd"));
  }
  return std::unique_ptr<SpanExporter>(
      new SpanExporter(bounded(std::move(options)), std::move(*endpoint), file, interrupt));
}

SpanExporter::SpanExporter(TraceOptions options, TraceEndpoint endpoint, int file, int interrupt)
    : options_(std::move(options)),
      endpoint_(std::move(endpoint)),
      file_(file),
      interrupt_(interrupt),
      thread_(quiet_thread([this] { run(); })) {}

SpanExporter::~SpanExporter() {
  if (!process_.here()) {  // its thread is the parent's
    [[maybe_unused]] const auto* kept = new std::thread(std::move(thread_));
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    stop_by_ = clock_.now() + options_.close_timeout;
  }
  changed_.notify_all();
  if (interrupt_ >= 0) ::eventfd_write(interrupt_, 1);
  thread_.join();
  for (const int fd : {file_, interrupt_})
    if (fd >= 0) ::close(fd);
}

// ---- any thread ----

void SpanExporter::add(TraceSpan span) {
  if (!process_.here()) return;
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= options_.queue_spans) {
      ++stats_.dropped;
      return;
    }
    if (queue_.empty()) first_at_ = clock_.now();
    queue_.push_back(std::move(span));
    ++added_;
    tell = queue_.size() == 1 || queue_.size() == options_.batch_spans;
  }
  if (tell) changed_.notify_all();
}

bool SpanExporter::flush(std::chrono::milliseconds patience) {
  if (!process_.here()) return false;
  std::unique_lock lock(mutex_);
  const std::size_t through = hurry_through_ = added_;
  changed_.notify_all();
  return exported_.wait_until(lock, clock_.now() + patience, [&] { return done_ >= through; });
}

TraceStats SpanExporter::stats() const {
  if (!process_.here()) return {};
  const std::lock_guard lock(mutex_);
  return stats_;
}

// ---- the thread ----

void SpanExporter::run() {
  for (;;) {
    const std::vector<TraceSpan> batch = take();
    if (batch.empty()) return;
    const bool ok = export_batch(batch);
    const std::lock_guard lock(mutex_);
    (ok ? stats_.exported : stats_.dropped) += batch.size();
    done_ += batch.size();
    if (!ok && stopping_) {  // nor would the rest arrive
      stats_.dropped += queue_.size();
      done_ += queue_.size();
      queue_.clear();
    }
    exported_.notify_all();
  }
}

// Empty: it is over.
std::vector<TraceSpan> SpanExporter::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
  if (queue_.empty()) return {};
  changed_.wait_until(lock, *first_at_ + options_.interval, [this] {
    return stopping_ || queue_.size() >= options_.batch_spans || done_ < hurry_through_;
  });
  const auto count = std::min(queue_.size(), options_.batch_spans);
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<TraceSpan> batch(std::make_move_iterator(queue_.begin()),
                               std::make_move_iterator(end));
  queue_.erase(queue_.begin(), end);
  if (!queue_.empty()) first_at_ = clock_.now();
  return batch;
}

bool SpanExporter::export_batch(const std::vector<TraceSpan>& spans) {
  std::string json = encode_otlp(spans, options_.service_name);
  if (file_ >= 0) {
    const auto written = write(std::move(json));
    note(written);
    return written.has_value();
  }
  for (std::size_t failed = 0;;) {
    bool again = true;
    const auto sent = post(json, again);
    note(sent);
    if (sent) return true;
    if (!again || ++failed >= options_.attempts || !wait_to_retry(failed)) return false;
  }
}

// False: there is no time for that any more.
bool SpanExporter::wait_to_retry(std::size_t failed) {
  const auto doubled =
      options_.min_backoff * (std::int64_t{1} << std::min<std::size_t>(failed - 1, 20));
  const auto longest = std::clamp<std::chrono::milliseconds>(
      doubled, std::chrono::milliseconds(1),
      std::max(options_.max_backoff, std::chrono::milliseconds(1)));
  const auto spread = random_.below(static_cast<std::uint64_t>(longest.count()) / 2 + 1);
  const auto until = clock_.now() + longest - std::chrono::milliseconds(spread);
  std::unique_lock lock(mutex_);
  return !changed_.wait_until(lock, until, [this] { return stopping_; });
}

Result<> SpanExporter::post(const std::string& json, bool& again) {
  const MonotonicTime usual = clock_.now() + options_.timeout;
  const auto status = http_post(
      endpoint_, json, [&] { return deadline(usual); }, interrupt_);
  if (!status) return fail(status.error());
  if (*status >= 200 && *status < 300) return {};
  again = worth_another(*status);
  return fail(ErrorCode::kUnsupportedRequest, endpoint_.given + " answers " +
                                                  std::to_string(*status) +
                                                  (*status == 404 ? "; is its path right?" : ""));
}

MonotonicTime SpanExporter::deadline(MonotonicTime usual) const {
  const std::lock_guard lock(mutex_);
  return stopping_ ? std::min(usual, stop_by_) : usual;
}

Result<> SpanExporter::write(std::string line) {
  line += '\n';
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t written = ::write(file_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(io_error("spans to " + endpoint_.file));
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

void SpanExporter::note(const Result<>& attempt) {
  const std::string why = attempt ? std::string() : attempt.error().message();
  if (!attempt) {
    const std::lock_guard lock(mutex_);
    ++stats_.failures;
    stats_.last_failure = why;
  }
  if (std::exchange(failing_, !attempt) != failing_ && options_.on_failure)
    options_.on_failure(why);
}

}  // namespace leat
