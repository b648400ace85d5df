// How sagas are written, for people and for scripts.
#include <ctime>

#include "client/patterns/saga/saga_correlation.h"
#include "client/tool/color.h"
#include "client/tool/record_format.h"
#include "client/tool/saga/saga.h"
#include "protocol/names.h"

namespace leat::tool {
namespace {

using patterns::SagaEvent;
using patterns::SagaRow;
using patterns::SagaStatus;

constexpr std::size_t kMostShown = 1'000;  // bytes of data, for people

std::int64_t ms(Timestamp time) {
  return time.time_since_epoch().count();
}

std::string when(Timestamp time) {
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%03dZ",
                static_cast<int>(ms(time) - ms(Timestamp(std::chrono::seconds(seconds)))));
  return std::string(text) + fraction;
}

std::string json_of(std::string_view text) {
  std::string out;
  append_string(out, text);
  return out;
}

// As escaped() makes it, but that quotes and backslashes may stand on a terminal as they are.
std::string readable(std::string_view text, std::size_t most) {
  std::string safe = escaped(text, most);
  for (const auto& [code, plain] : {std::pair("\\x22", '"'), {"\\x27", '\''}, {"\\x5c", '\\'}})
    for (std::size_t at = safe.find(code); at != safe.npos; at = safe.find(code, at + 1))
      safe.replace(at, 4, 1, plain);
  return safe;
}

std::string status_text(SagaStatus status) {
  const std::string name(name_of(status));
  return status == SagaStatus::kFailed ? colored(stdout, Color::kRed, name) : name;
}

bool waits(const SagaRow& row) {
  return !has_ended(row.status);
}

// "charge/2", and whether it is the answer or the next attempt that is waited for.
std::string place(const SagaRow& row) {
  if (!waits(row) && row.status != SagaStatus::kFailed) return "-";
  return patterns::saga_step_text(row.state.step, row.state.attempt,
                                  row.status != SagaStatus::kRunning) +
         (row.backs_off ? " (backs off)" : "");
}

std::string fields(const SagaRow& row) {
  std::string done;
  for (const std::string& step : row.done) done += (done.empty() ? "" : ",") + json_of(step);
  return "\"id\":" + json_of(row.state.id) + ",\"definition\":" + json_of(row.definition) +
         ",\"status\":" + json_of(name_of(row.status)) + ",\"step\":" + json_of(row.state.step) +
         ",\"attempt\":" + std::to_string(row.state.attempt) +
         ",\"backs_off\":" + (row.backs_off ? "true" : "false") + ",\"done\":[" + done + "]" +
         ",\"why\":" + json_of(row.why) + ",\"saga_version\":" + std::to_string(row.version) +
         ",\"created_ms\":" + std::to_string(ms(row.created)) +
         ",\"updated_ms\":" + std::to_string(ms(row.updated)) +
         ",\"deadline_ms\":" + (waits(row) ? std::to_string(ms(row.deadline)) : "null");
}

}  // namespace

std::string saga_line(const SagaRow& row) {
  return colored(stdout, Color::kBold, readable(row.state.id, 300)) + "\t" + row.definition + "\t" +
         status_text(row.status) + "\t" + place(row) + "\t" + when(row.updated) + "\t" +
         readable(row.why, 200) + "\n";
}

std::string saga_json(const SagaRow& row) {
  return "{" + fields(row) + "}";
}

std::string saga_event_line(const SagaEvent& event) {
  return when(event.at) + "\t" + event.what + (event.step.empty() ? "" : " " + event.step) +
         (event.detail.empty() ? "" : ": " + readable(event.detail, 300)) + "\t" +
         (event.sent.empty() ? "" : "-> " + event.sent) + "\t" + status_text(event.status) + "\n";
}

std::string saga_event_json(const SagaEvent& event) {
  return "{\"saga_version\":" + std::to_string(event.version) +
         ",\"at_ms\":" + std::to_string(ms(event.at)) + ",\"what\":" + json_of(event.what) +
         ",\"step\":" + json_of(event.step) + ",\"sent\":" + json_of(event.sent) +
         ",\"status\":" + json_of(name_of(event.status)) + ",\"detail\":" + json_of(event.detail) +
         "}";
}

std::string saga_text(const SagaRow& row) {
  std::string done;
  for (const std::string& step : row.done) done += (done.empty() ? "" : ", ") + step;
  std::string text = "id\t" + colored(stdout, Color::kBold, readable(row.state.id, 300)) +
                     "\ndefinition\t" + row.definition + "\nstatus\t" + status_text(row.status);
  if (!row.why.empty()) text += "\nwhy\t" + readable(row.why, 300);
  text += "\nstep\t" + place(row);
  if (waits(row)) text += "\nuntil\t" + when(row.deadline);
  return text + "\ndone\t" + (done.empty() ? "-" : done) + "\ncreated\t" + when(row.created) +
         "\nupdated\t" + when(row.updated) + "\ndata\t" + readable(row.state.data, kMostShown) +
         "\n";
}

std::string saga_json_with_data(const SagaRow& row, const std::vector<SagaEvent>& history) {
  std::string out = "{" + fields(row) + ",\"data\":";
  append_value(out, as_bytes(row.state.data));
  out += ",\"history\":[";
  for (const SagaEvent& event : history)
    out += (&event == history.data() ? "" : ",") + saga_event_json(event);
  return out + "]}";
}

}  // namespace leat::tool
