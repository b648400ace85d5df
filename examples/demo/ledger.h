// What was sent, acknowledged and received, and whether it adds up. Order is judged on first
// occurrences: at-least-once delivery may repeat, it must not reorder.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace leat::demo {

struct Report {
  std::uint64_t sent = 0, acknowledged = 0, received = 0;
  std::uint64_t lost = 0;        // acknowledged, never received
  std::uint64_t duplicates = 0;  // received again
  std::uint64_t misordered = 0;  // first received after a later one of the same key
  std::uint64_t foreign = 0;     // received, never sent, or with another key

  bool clean() const {
    return lost == 0 && misordered == 0 && foreign == 0 && acknowledged == sent && sent > 0;
  }
};

class Ledger {
 public:
  // Returns the record's number: 0, 1, 2 …
  std::uint64_t sent(std::string key);
  void acknowledged(std::uint64_t number) { records_.at(number).acknowledged = true; }
  void received(std::uint64_t number, const std::string& key);

  std::uint64_t first_receptions() const { return first_receptions_; }
  Report report() const;

 private:
  struct Record {
    std::string key;
    bool acknowledged = false;
    std::uint64_t receptions = 0;
  };
  std::vector<Record> records_;
  std::map<std::string, std::uint64_t> newest_of_key_;
  std::uint64_t first_receptions_ = 0, misordered_ = 0, foreign_ = 0;
};

}  // namespace leat::demo
