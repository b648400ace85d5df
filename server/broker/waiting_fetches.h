// Fetches that wait for data or for reads, found by partition, read, connection and deadline. One
// thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/base/assert.h"
#include "protocol/base/clock.h"
#include "server/broker/replies.h"

namespace leat::broker {

// A fetch while it gathers.
struct WaitingFetch {
  enum class State : std::uint8_t {
    kDue,      // there may be something to read
    kReading,  // storage answers later
    kAtEnd,    // all there was is gathered
    kClosed,   // takes no more: it has an error, or all that may come of it
  };
  // What it is to read of one partition.
  struct Part {
    PartitionId partition;
    Offset next;
    std::size_t max_bytes = 0;  // that may still come of it
    State state = State::kDue;
    FetchedPartition fetched;
    storage::ReadToken read = 0;  // kReading, which has set `reserved` bytes aside
    std::size_t reserved = 0;
    // Kept by WaitingFetches: whose it is, and its neighbours among those of the partition.
    WaitingFetch* fetch = nullptr;
    Part *before = nullptr, *behind = nullptr;
  };

  RequestId request;
  MonotonicTime deadline;
  std::size_t min_bytes = 0;
  std::size_t room = 0;   // bytes that may still come
  std::size_t bytes = 0;  // gathered
  std::size_t open = 0;   // parts that are not closed
  std::size_t reading = 0;
  bool over = false;    // its time is
  bool failed = false;  // a part has an error
  bool full = false;    // something was left behind for want of room
  std::vector<Part> parts;
  std::uint64_t id = 0;  // kept by WaitingFetches
};

class WaitingFetches {
 public:
  using Id = std::uint64_t;
  using Part = WaitingFetch::Part;
  struct Waiter {
    Id fetch;
    std::size_t part;
  };

  // Stays where it is until it is taken.
  WaitingFetch& add(WaitingFetch added) {
    const Id id = ++last_;
    WaitingFetch& fetch = *(all_[id] = std::make_unique<WaitingFetch>(std::move(added)));
    fetch.id = id;
    for (Part& part : fetch.parts) link(fetch, part);
    Connection& connection = connections_[fetch.request.connection];
    connection.fetches.insert(id);
    connection.parts += fetch.parts.size();
    if (!fetch.over) deadlines_.insert({fetch.deadline, id});
    held_ += fetch.bytes;
    return fetch;
  }

  WaitingFetch take(Id id) {
    const auto it = all_.find(id);
    LEAT_ASSERT(it != all_.end());
    const std::unique_ptr<WaitingFetch> fetch = std::move(it->second);
    all_.erase(it);
    for (Part& part : fetch->parts) unlink(part);
    const auto connection = connections_.find(fetch->request.connection);
    connection->second.fetches.erase(id);
    connection->second.parts -= fetch->parts.size();
    if (connection->second.fetches.empty()) connections_.erase(connection);
    deadlines_.erase({fetch->deadline, id});
    held_ -= fetch->bytes;
    return std::move(*fetch);
  }

  // ---- what becomes of one that is kept ----
  void began_reading(Part& part) { reads_.emplace(part.read, &part); }
  // The part whose read it was; nullptr: nobody's any more.
  Part* ended_reading(storage::ReadToken token) {
    const auto it = reads_.find(token);
    if (it == reads_.end()) return nullptr;
    Part* const part = it->second;
    reads_.erase(it);
    return part;
  }
  void gathered(std::size_t bytes) { held_ += bytes; }
  void is_over(WaitingFetch& fetch) {
    fetch.over = true;
    deadlines_.erase({fetch.deadline, fetch.id});
  }

  // ---- finding ----
  WaitingFetch* find(Id id) {
    const auto it = all_.find(id);
    return it == all_.end() ? nullptr : it->second.get();
  }
  std::size_t held() const { return held_; }  // bytes gathered by all
  std::size_t parts_of(ConnectionId connection) const {
    const auto it = connections_.find(connection);
    return it == connections_.end() ? 0 : it->second.parts;
  }
  // Replaces what `to` has.
  void list(PartitionId partition, std::vector<Waiter>& to) const {
    to.clear();
    const auto it = partitions_.find(partition);
    if (it == partitions_.end()) return;
    for (const Part* part = it->second; part != nullptr; part = part->behind)
      to.push_back({part->fetch->id, static_cast<std::size_t>(part - part->fetch->parts.data())});
  }
  std::vector<Id> of_connection(ConnectionId connection) const {
    const auto it = connections_.find(connection);
    if (it == connections_.end()) return {};
    return {it->second.fetches.begin(), it->second.fetches.end()};
  }
  std::optional<MonotonicTime> next_deadline() const {
    if (deadlines_.empty()) return std::nullopt;
    return deadlines_.begin()->first;
  }
  std::vector<Id> due(MonotonicTime now) const {
    std::vector<Id> all;
    for (const auto& [deadline, id] : deadlines_) {
      if (deadline > now) break;
      all.push_back(id);
    }
    return all;
  }

 private:
  struct Connection {
    std::set<Id> fetches;
    std::size_t parts = 0;
  };

  void link(WaitingFetch& fetch, Part& part) {
    part.fetch = &fetch;
    if (part.state == WaitingFetch::State::kReading) began_reading(part);
    if (part.state == WaitingFetch::State::kClosed) return;
    Part*& first = partitions_[part.partition];
    part.before = nullptr;
    part.behind = first;
    if (first) first->before = &part;
    first = &part;
  }
  void unlink(Part& part) {
    if (part.state == WaitingFetch::State::kReading) reads_.erase(part.read);
    if (part.behind) part.behind->before = part.before;
    if (part.before) {
      part.before->behind = part.behind;
    } else if (const auto it = partitions_.find(part.partition);
               it != partitions_.end() && it->second == &part) {
      if (part.behind)
        it->second = part.behind;
      else
        partitions_.erase(it);
    }
    part.before = part.behind = nullptr;
  }

  Id last_ = 0;
  std::unordered_map<Id, std::unique_ptr<WaitingFetch>> all_;
  std::unordered_map<PartitionId, Part*> partitions_;  // the first of a list
  std::unordered_map<storage::ReadToken, Part*> reads_;
  std::unordered_map<ConnectionId, Connection> connections_;
  std::set<std::pair<MonotonicTime, Id>> deadlines_;
  std::size_t held_ = 0;
};

}  // namespace leat::broker
