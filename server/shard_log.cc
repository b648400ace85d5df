// What the shard logs: lines of event=… and what to do about it.
#include "protocol/names.h"
#include "server/shard.h"
#include "storage/recovery/repair.h"

namespace leat {
namespace {

constexpr auto kComplaintInterval = std::chrono::seconds(1);
constexpr auto kRefusalInterval = std::chrono::seconds(10);

}  // namespace

void Shard::log(LogLevel level, std::string_view line) const {
  if (options_.log) options_.log(level, line);
}

void Shard::log_recovery() const {
  const storage::StorageStats stats = storage_->stats();
  const auto& found = stats.recovery;
  if (!stats.journal.fallback.empty())
    log(LogLevel::kInfo, "event=journal writes=" + stats.journal.writes + " reason='" +
                             escaped(stats.journal.fallback, 400) + "'");
  log(found.torn_bytes > 0 ? LogLevel::kWarning : LogLevel::kInfo,
      "event=opened data_dir='" + escaped(options_.data_dir) + "' incarnation=" +
          std::to_string(found.incarnation) + " last_entry=" + std::to_string(found.last.value) +
          " replayed=" + std::to_string(found.replayed) +
          " torn_bytes=" + std::to_string(found.torn_bytes));
}

void Shard::log_traces() const {
  if (!spans_) return;
  const TraceStats stats = spans_->stats();
  log(LogLevel::kInfo, "event=traces exported=" + std::to_string(stats.exported) +
                           " dropped=" + std::to_string(stats.dropped));
}

// A loss stays on record.
void Shard::log_repairs() const {
  const auto names = storage::real_file_io().list(options_.data_dir);
  if (!names) return;
  std::size_t reports = 0;
  for (const std::string& name : *names) reports += name.starts_with(storage::kReportPrefix);
  if (reports > 0)
    log(LogLevel::kWarning, "event=was_repaired reports=" + std::to_string(reports) +
                                " action='the reports in data_dir say what was lost'");
}

void Shard::complain(ConnectionId id, const std::string& what) {
  const MonotonicTime now = clock_.now();
  if (now - last_complaint_ < kComplaintInterval) return;
  last_complaint_ = now;
  log(LogLevel::kWarning, "event=refused connection=" + std::to_string(id.value) + " reason='" +
                              escaped(what, 400) + "'");
}

// A flood does not fill the log: the next line says how many there were.
void Shard::on_refused(std::size_t listener) {
  ++refused_;
  const MonotonicTime now = clock_.now();
  if (refused_ > 1 && now - last_refusal_ < kRefusalInterval) return;
  last_refusal_ = now;
  log(LogLevel::kWarning, "event=connections_refused listener=" + urls_[listener] +
                              " limit=" + std::to_string(options_.limits.reactor.connections) +
                              " refused=" + std::to_string(refused_) +
                              " action='raise limits.connections, or have clients close theirs'");
}

// After each event; the clock is looked at only where something has changed, or is due.
void Shard::watch_reads() {
  const ReadWatch::Progress progress{storage_->reads_under_way(), storage_->reads_ended()};
  if (!read_watch_.wants(progress)) return;
  switch (read_watch_.see(progress, clock_.now())) {
    case ReadWatch::News::kNone:
      return;
    case ReadWatch::News::kStalled:
      return log(LogLevel::kWarning,
                 "event=reads_stalled seconds=" + std::to_string(ReadWatch::kStalled.count()) +
                     " action='the disk does not answer: consumers of older records wait for it; "
                     "look at the kernel's log (dmesg), then at the disk'");
    case ReadWatch::News::kGoesOn:
      return log(LogLevel::kInfo, "event=reads_go_on");
  }
}

void Shard::trace(ConnectionId id, const std::string& what) {
  log(LogLevel::kDebug, what + " connection=" + std::to_string(id.value));
}

void Shard::on_storage_failed(const Error& error) {
  log(LogLevel::kError, "event=storage_failed reason='" + escaped(error.message(), 400) +
                            "' action='writes are refused; mend the cause and restart'");
}

void Shard::on_storage_damaged(const Error& error) {
  log(LogLevel::kError, "event=storage_damaged reason='" + escaped(error.message(), 400) +
                            "' action='what is intact is served; stop the broker and run leatd "
                            "--check, or restore a backup'");
}

void Shard::on_storage_space(const Result<>& taken) {
  if (taken) return log(LogLevel::kInfo, "event=space_returned action='records are taken again'");
  log(LogLevel::kWarning, "event=space_low reason='" + escaped(taken.error().message(), 400) + "'");
}

}  // namespace leat
