// Fetch sessions (KIP-227): what a client reads over and over it says once, and is then told only
// what is new. They belong to a connection and go with it: so none can be taken over by guessing
// its id, and what a client of many brokers forgets costs nothing. One thread.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "protocol/kafka/messages/fetch.h"
#include "server/session/connection_memory.h"

namespace leat::session {

// Partitions that are read, in the order they have their turn. Also of one request without a
// session.
class FetchSession {
 public:
  struct Topic;
  struct Partition {
    Topic* topic;
    std::int32_t index;
    kafka::FetchRequest::Topic::Partition asked;
    std::int64_t high_watermark = -1, log_start = -1;  // as last told; -1: never, or an error
  };
  using Partitions = std::list<Partition>;
  struct Topic {
    std::string name;  // or
    TopicId id;
    std::unordered_map<std::int32_t, Partitions::iterator> partitions;
  };

  // Whether its topics go by id, as from version 13 on.
  explicit FetchSession(bool by_id) : by_id_(by_id) {}

  bool by_id() const { return by_id_; }
  Partitions& partitions() { return partitions_; }
  // About what it takes.
  std::size_t bytes() const;
  // What a request says beyond what is known: partitions that are new, read elsewhere, forgotten.
  void update(const kafka::FetchRequest& request);
  // A partition that gave something has its turn behind all others.
  void move_to_end(Partitions::iterator partition) {
    partitions_.splice(partitions_.end(), partitions_, partition);
  }

 private:
  std::string key_of(std::string_view name, const TopicId& id) const;
  void forget(const kafka::FetchRequest::ForgottenTopic& topic);

  const bool by_id_;
  Partitions partitions_;
  std::map<std::string, Topic> topics_;  // by name or id; those with partitions
  std::size_t name_bytes_ = 0;           // nobody has looked at the names yet
};

// Those of one connection.
class FetchSessions {
 public:
  static constexpr std::size_t kSessions = 8;            // the one longest unused goes first
  static constexpr std::int32_t kNone = 0;               // the id of no session
  static constexpr std::int32_t kFirst = 0, kLast = -1;  // epochs that begin a session, and end it

  // `connection` makes their ids differ from other connections'.
  FetchSessions(ConnectionMemory& memory, std::uint64_t connection)
      : memory_(memory), last_id_(connection << 16) {}
  ~FetchSessions();
  FetchSessions(const FetchSessions&) = delete;
  FetchSessions& operator=(const FetchSessions&) = delete;

  // What a request reads.
  struct Opened {
    kafka::KafkaError error = kafka::KafkaError::kNone;  // then there is nothing else
    std::shared_ptr<FetchSession> session{};
    std::int32_t id = kNone;
    bool only_news = false;  // else everything is answered
  };
  // Errors: kFetchSessionIdNotFound, kInvalidFetchSessionEpoch, kFetchSessionTopicIdError.
  Opened open(const kafka::FetchRequest& request, bool by_id);

 private:
  struct Kept {
    std::shared_ptr<FetchSession> session;
    std::int32_t epoch;  // of the next request
    std::size_t held = 0;
  };
  using Sessions = std::list<std::pair<const std::int32_t, Kept>>;  // longest unused first

  Opened begin(const kafka::FetchRequest& request, bool by_id);
  Sessions::iterator find(std::int32_t id);
  bool hold(Kept& kept);
  void close(Sessions::iterator session);

  ConnectionMemory& memory_;
  std::uint64_t last_id_;
  Sessions sessions_;
};

}  // namespace leat::session
