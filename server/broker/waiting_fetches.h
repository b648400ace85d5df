// Fetches that wait for data, found by token, partition, connection and deadline. One thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/base/clock.h"
#include "server/broker/replies.h"

namespace leat::broker {

struct WaitingFetch {
  RequestId request;
  PartitionId partition;
  Offset offset;
  std::size_t max_bytes = 0;
  MonotonicTime deadline;
  bool reading = false;                     // storage answers it later; no longer woken
  std::optional<std::int64_t> searched_ms;  // looks for a time instead
};

class WaitingFetches {
 public:
  using Token = storage::ReadToken;

  Token add(WaitingFetch fetch) {
    const Token token = ++last_token_;
    if (!fetch.reading) deadlines_.insert({fetch.deadline, token});
    by_partition_[fetch.partition].insert(token);
    by_connection_[fetch.request.connection].insert(token);
    all_.emplace(token, std::move(fetch));
    return token;
  }

  std::optional<WaitingFetch> take(Token token) {
    const auto it = all_.find(token);
    if (it == all_.end()) return std::nullopt;
    WaitingFetch fetch = std::move(it->second);
    all_.erase(it);
    deadlines_.erase({fetch.deadline, token});
    forget(by_partition_, fetch.partition, token);
    forget(by_connection_, fetch.request.connection, token);
    return fetch;
  }

  std::size_t of_connection(ConnectionId connection) const {
    const auto it = by_connection_.find(connection);
    return it == by_connection_.end() ? 0 : it->second.size();
  }
  std::vector<Token> tokens(PartitionId partition) const { return list(by_partition_, partition); }
  std::vector<Token> tokens(ConnectionId connection) const {
    return list(by_connection_, connection);
  }
  bool is_reading(Token token) const { return all_.at(token).reading; }
  std::optional<MonotonicTime> next_deadline() const {
    if (deadlines_.empty()) return std::nullopt;
    return deadlines_.begin()->first;
  }
  std::vector<Token> due(MonotonicTime now) const {
    std::vector<Token> tokens;
    for (const auto& [deadline, token] : deadlines_) {
      if (deadline > now) break;
      tokens.push_back(token);
    }
    return tokens;
  }

 private:
  template <class Key>
  using Index = std::unordered_map<Key, std::set<Token>>;

  template <class Key>
  static void forget(Index<Key>& index, Key key, Token token) {
    const auto it = index.find(key);
    it->second.erase(token);
    if (it->second.empty()) index.erase(it);
  }
  template <class Key>
  static std::vector<Token> list(const Index<Key>& index, Key key) {
    const auto it = index.find(key);
    if (it == index.end()) return {};
    return {it->second.begin(), it->second.end()};
  }

  Token last_token_ = 0;
  std::unordered_map<Token, WaitingFetch> all_;
  Index<PartitionId> by_partition_;
  Index<ConnectionId> by_connection_;
  std::set<std::pair<MonotonicTime, Token>> deadlines_;
};

}  // namespace leat::broker
