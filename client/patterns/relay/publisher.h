// Publishes rows of an outbox, each once: what was sent before, by whoever, is known by its
// position in its source.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/blocking.h"
#include "client/client.h"
#include "client/patterns/relay/outbox_row.h"

namespace leat::patterns {

struct PublisherOptions {
  std::string topic = "{aggregatetype}";  // {type} is replaced, too
  std::int32_t partitions = 1;            // of topics that are not there yet; 0: do not make them
  std::size_t buffer_bytes = 16 << 20;    // sent and not acknowledged
};

// A row, and its position in its source.
struct PositionedRow {
  OutboxRow row;
  SourcePosition position;
};

// What became of rows that were to be published in their order.
struct Published {
  struct Refused {
    std::size_t index;  // of the row
    Error why;
  };
  std::vector<Refused> refused;  // for good; the others do not wait for them
  // Why some of the others are not published, and are to be tried again; kOk: all are.
  Error unfinished = ErrorCode::kOk;
};

// One source. One thread at a time, but for stop().
class Publisher {
 public:
  Publisher(blocking::Client client, std::string source, PublisherOptions options);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // Sends rows, at rising positions, and waits until they are acknowledged, as long as it takes.
  // While it waits `waiting` is called, about every 200 ms: false makes it give up.
  Published publish(std::vector<PositionedRow> rows, const std::function<bool()>& waiting) {
    begin(std::move(rows), waiting);
    return end(waiting);
  }
  // The same in two: what several publishers begin is on its way together.
  void begin(std::vector<PositionedRow> rows, const std::function<bool()>& waiting);
  Published end(const std::function<bool()>& waiting);

  // How far the source is stored in a topic, of its partitions the furthest. Zero: nothing.
  Result<SourcePosition> stored_in(const std::string& topic);

 private:
  enum class Pace { kBatches, kOneByOne };
  struct Pending;

  void send_from(std::size_t first, const std::function<bool()>& waiting);
  void wait_for_all(const std::function<bool()>& waiting);
  void publish_one_by_one(const std::function<bool()>& waiting);
  Result<> send(std::size_t index);
  bool wait_for(std::size_t most, const std::function<bool()>& waiting);
  bool failed() const;
  Result<> know(const std::string& topic);
  void begin_anew(Pace pace);

  blocking::Client client_;
  std::string source_;
  PublisherOptions options_;
  Pace pace_ = Pace::kBatches;
  std::optional<Producer> producer_;
  std::set<std::string, std::less<>> known_;  // topics that are there
  std::shared_ptr<Pending> pending_;
  std::vector<PositionedRow> rows_;  // between begin() and end()
  Published published_;
};

// Whether the same row will fail again, whatever becomes of the broker.
bool is_refusal(const Error& error);

}  // namespace leat::patterns
