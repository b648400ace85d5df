#include "examples/demo/ledger.h"

namespace leat::demo {

std::uint64_t Ledger::sent(std::string key) {
  records_.push_back({std::move(key)});
  return records_.size() - 1;
}

void Ledger::received(std::uint64_t number, const std::string& key) {
  if (number >= records_.size() || records_[number].key != key) {
    ++foreign_;
    return;
  }
  if (++records_[number].receptions > 1) return;
  ++first_receptions_;
  auto [newest, first_of_key] = newest_of_key_.try_emplace(key, number);
  if (first_of_key) return;
  if (number < newest->second)
    ++misordered_;
  else
    newest->second = number;
}

Report Ledger::report() const {
  Report report{.sent = records_.size(), .misordered = misordered_, .foreign = foreign_};
  for (const Record& record : records_) {
    report.acknowledged += record.acknowledged;
    report.received += record.receptions;
    report.lost += record.acknowledged && record.receptions == 0;
    if (record.receptions > 1) report.duplicates += record.receptions - 1;
  }
  return report;
}

}  // namespace leat::demo
