#include "client/tool/dlq/dead_letter.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "client/tool/record_format.h"
#include "protocol/reserved_headers.h"

namespace leat::tool {
namespace {

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Takes a header that the broker put there.
bool take(DeadLetter& letter, std::string_view name, std::string_view text) {
  namespace names = reserved_headers;
  const std::pair<std::string_view, std::string_view*> texts[] = {
      {names::kDeadReason, &letter.reason},
      {names::kDeadGroup, &letter.group},
      {names::kDeadTopic, &letter.topic}};
  for (const auto& [known, to] : texts)
    if (name == known) return *to = text, true;
  const std::pair<std::string_view, std::optional<std::int64_t>*> numbers[] = {
      {names::kDeadPartition, &letter.partition},
      {names::kDeadOffset, &letter.offset},
      {names::kDeadAttempts, &letter.attempts},
      {names::kDeadAt, &letter.at_ms}};
  for (const auto& [known, to] : numbers)
    if (name == known) return *to = number(text), true;
  return false;
}

std::string text_of(const std::optional<std::int64_t>& value) {
  return value ? std::to_string(*value) : "-";
}

std::string json_of(const std::optional<std::int64_t>& value) {
  return value ? std::to_string(*value) : "null";
}

std::string time_text(const std::optional<std::int64_t>& ms) {
  if (!ms) return "-";
  const std::time_t seconds = *ms / 1000;
  std::tm parts{};
  char text[32] = "-";
  if (::gmtime_r(&seconds, &parts)) std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

DeadLetter dead_letter(const ConsumedRecord& record) {
  DeadLetter letter;
  for (const RecordHeader& header : record.headers) letter.headers.push_back(header);
  std::vector<std::string_view> taken;
  for (auto it = letter.headers.end(); it != letter.headers.begin();) {
    --it;
    const std::string_view text = it->value ? as_text(*it->value) : std::string_view();
    if (std::ranges::find(taken, it->key) != taken.end() || !take(letter, it->key, text)) continue;
    taken.push_back(it->key);
    it = letter.headers.erase(it);
  }
  return letter;
}

OutgoingRecord as_it_was(const ConsumedRecord& record, DeadLetter letter, std::string_view place) {
  namespace names = reserved_headers;
  std::erase_if(letter.headers, [](const RecordHeader& header) {
    return header.key == names::kDeliverAt || header.key == names::kExpiresAt ||
           header.key == names::kRedriven;
  });
  if (record.headers.find(names::kId))
    letter.headers.push_back({names::kRedriven, as_bytes(place)});
  return {.key = record.key,
          .value = record.value,
          .headers = std::move(letter.headers),
          .partition = std::nullopt,
          .timestamp_ms = record.timestamp_ms};
}

bool LetterFilter::matches(const ConsumedRecord& record, const DeadLetter& letter) const {
  if (letter.reason.find(reason) == std::string_view::npos) return false;
  if (!group.empty() && letter.group != group) return false;
  if (!source.empty() && letter.topic != source) return false;
  if (place && *place != std::pair(record.partition, record.offset)) return false;
  return !key || (record.key && as_text(*record.key) == *key);
}

Result<std::pair<PartitionIndex, Offset>> parse_place(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto partition = number(text.substr(0, slash));
  const auto offset = slash == text.npos ? std::nullopt : number(text.substr(slash + 1));
  if (!partition || !offset || *partition < 0 || *partition > 100'000 || *offset < 0)
    return fail(ErrorCode::kUsage,
                "--offset takes PARTITION/OFFSET, such as 0/17; not '" + std::string(text) + "'");
  return std::pair(PartitionIndex(static_cast<std::int32_t>(*partition)), Offset(*offset));
}

Result<double> parse_rate(std::string_view text) {
  const std::string_view digits = text.ends_with("/s") ? text.substr(0, text.size() - 2) : text;
  double rate = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), rate, std::chars_format::fixed);
  if (error != std::errc() || end != digits.data() + digits.size() || !(rate >= 0.001) ||
      rate > 1e9)
    return fail(ErrorCode::kUsage, "--rate takes records a second, such as 100/s or 0.5/s; not '" +
                                       std::string(text) + "'");
  return rate;
}

std::string as_column(std::string_view text) {
  std::string clean = text.empty() ? "-" : std::string(text);
  for (char& c : clean)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return clean;
}

void append_front(std::string& out, const ConsumedRecord& record, const DeadLetter& letter) {
  out += std::to_string(record.partition.value) + "/" + std::to_string(record.offset.value) + "\t" +
         time_text(letter.at_ms) + "\t" + as_column(letter.topic) + " " +
         text_of(letter.partition) + "/" + text_of(letter.offset) + "\t" + as_column(letter.group) +
         "\t" + text_of(letter.attempts) + " attempts\t" + as_column(letter.reason) + "\t";
}

void append_letter_json(std::string& out, std::string_view topic, const ConsumedRecord& record,
                        const DeadLetter& letter) {
  out += "{\"dead\":{\"reason\":";
  append_value(out, as_bytes(letter.reason));
  out += ",\"group\":";
  append_value(out, as_bytes(letter.group));
  out += ",\"topic\":";
  append_value(out, as_bytes(letter.topic));
  out += ",\"partition\":" + json_of(letter.partition) + ",\"offset\":" + json_of(letter.offset) +
         ",\"attempts\":" + json_of(letter.attempts) + ",\"at_ms\":" + json_of(letter.at_ms) + "},";
  std::string rest;
  append_json(rest, topic, record);
  out.append(rest, 1);
}

}  // namespace leat::tool
