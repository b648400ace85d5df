#include "client/tool/dlq/redrive.h"

#include <cmath>
#include <cstdio>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "client/tool/dlq/letter_reader.h"

namespace leat::tool {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kChunk = 1'000;   // sent, before what is acknowledged is acked
constexpr double kChunksASecond = 5.0;  // with a rate

unsigned long long printable(std::uint64_t number) {
  return number;
}

// A topic that letters came from.
struct Source {
  std::optional<Error> gone;
  std::size_t partitions = 0;
  std::unique_ptr<blocking::Producer> producer;
  std::uint64_t left = 0;
};

// A letter that is sent back, and what became of it, told on the client's thread.
struct Sent {
  const ConsumedRecord* letter;
  std::string_view topic;
  Result<Ack> ack = fail(ErrorCode::kTimedOut, "not acknowledged");
};
struct Chunk {
  std::mutex mutex;
  std::deque<Sent> sent;
};

class Redrive {
 public:
  Redrive(blocking::Client& client, LetterReader& letters, const RedriveOptions& options)
      : client_(client), letters_(letters), options_(options) {}

  int run() {
    const auto result = all();
    tell();
    if (!result) return failed("dlq redrive", result.error());
    if (interrupted()) return interrupted();
    if (error_) return failed("dlq redrive: " + failed_, *error_);
    return foreign_ > 0 || output_failed_ ? 1 : 0;
  }

 private:
  Result<> all() {
    while (!finished()) {
      auto letters = letters_.next();
      if (!letters) return fail(letters.error());
      if (letters->empty()) return {};
      for (auto rest = *letters; !rest.empty() && !finished();) {
        const auto now = rest.first(std::min(rest.size(), chunk()));
        rest = rest.subspan(now.size());
        if (auto ok = send_back(now); !ok) return ok;
        if (!flush_output()) return output_failed_ = true, Result<>();
      }
    }
    return {};
  }

  bool finished() const {
    return interrupted() || (options_.count > 0 && chosen_ >= options_.count) ||
           (error_ && error_->retryable());
  }

  // At a rate, what is acknowledged is acked about as often as a signal is looked for.
  std::size_t chunk() const {
    if (!options_.rate) return kChunk;
    return static_cast<std::size_t>(
        std::clamp(*options_.rate / kChunksASecond, 1.0, static_cast<double>(kChunk)));
  }

  Result<> send_back(std::span<const ConsumedRecord> letters) {
    const auto chunk = std::make_shared<Chunk>();
    std::vector<const ConsumedRecord*> done;
    for (const ConsumedRecord& record : letters) {
      if (finished()) break;
      if (sent_.contains(record.partition, record.offset))
        done.push_back(&record);  // its lease was lost before it could be acked
      else if (auto ok = choose(record, chunk); !ok)
        return ok;
    }
    wait_for_acks();
    take(*chunk, done);
    auto late = letters_.ack(done);
    if (!late) return fail(late.error());
    late_ += *late;
    return {};
  }

  Result<> choose(const ConsumedRecord& record, const std::shared_ptr<Chunk>& chunk) {
    DeadLetter letter = dead_letter(record);
    if (!options_.filter.matches(record, letter)) return {};
    if (letter.topic.empty()) return ++foreign_, Result<>();
    auto source = source_of(letter.topic);
    if (!source) return fail(source.error());
    if ((*source)->gone) return ++(*source)->left, Result<>();
    ++chosen_;
    if (options_.dry_run) return tell_would(record, letter);
    pace();
    return send(record, std::move(letter), **source, chunk);
  }

  // To the partition it came from, as long as there is one; the producer it was of may have had
  // reasons of its own.
  Result<> send(const ConsumedRecord& record, DeadLetter letter, Source& source,
                const std::shared_ptr<Chunk>& chunk) {
    const std::string_view topic = source.producer->topic().name;
    const auto from = letter.partition;
    const std::string place = options_.topic + "/" + place_of(record);
    OutgoingRecord back = as_it_was(record, std::move(letter), place);
    if (from && *from >= 0 && static_cast<std::size_t>(*from) < source.partitions)
      back.partition = PartitionIndex(static_cast<std::int32_t>(*from));
    Sent* sent = nullptr;
    {
      const std::lock_guard lock(chunk->mutex);
      sent = &chunk->sent.emplace_back(Sent{&record, topic});
    }
    auto ok = source.producer->send(back, [chunk, sent](const Result<Ack>& ack) {
      const std::lock_guard lock(chunk->mutex);
      sent->ack = ack;
    });
    if (ok) return {};
    const std::lock_guard lock(chunk->mutex);
    sent->ack = fail(ok.error());
    return {};
  }

  Result<Source*> source_of(std::string_view name) {
    const auto [it, added] = sources_.try_emplace(std::string(name));
    Source& source = it->second;
    if (!added) return &source;
    // Not created anew by sending to it: who deleted it did not want it back.
    auto topic = client_.describe_topic(name);
    if (!topic && topic.error().code != ErrorCode::kUnknownTopic &&
        topic.error().code != ErrorCode::kInvalidTopicName)
      return fail(topic.error());
    if (!topic) return source.gone = topic.error(), &source;
    source.partitions = topic->partitions.size();
    if (options_.dry_run) return &source;
    auto producer = client_.producer(Topic{it->first});
    if (!producer) return fail(producer.error());
    source.producer = std::move(*producer);
    return &source;
  }

  // Until it is the next one's turn.
  void pace() {
    if (!options_.rate) return;
    const auto due =
        begun_ + std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(
                     static_cast<double>(chosen_ - 1) / *options_.rate));
    for (auto now = steady_clock::now(); now < due && !interrupted(); now = steady_clock::now())
      std::this_thread::sleep_for(std::min<steady_clock::duration>(due - now, kSignalSlice));
  }

  // After a signal only a little longer, for what is on its way.
  void wait_for_acks() {
    int left = kSlicesAfterSignal;
    for (const auto& [name, source] : sources_)
      while (source.producer && !source.producer->flush(kSignalSlice))
        if (interrupted() && --left < 0) return;
  }

  void take(Chunk& chunk, std::vector<const ConsumedRecord*>& done) {
    const std::lock_guard lock(chunk.mutex);
    for (const Sent& sent : chunk.sent) {
      const ConsumedRecord& letter = *sent.letter;
      if (!sent.ack) {
        ++failures_;
        if (!error_) error_ = sent.ack.error(), failed_ = place_of(letter);
        continue;
      }
      ++redriven_;
      sent_.add(letter.partition, letter.offset);
      done.push_back(&letter);
      std::printf("%s %s -> %s %d/%lld\n", options_.topic.c_str(), place_of(letter).c_str(),
                  std::string(sent.topic).c_str(), sent.ack->partition.value,
                  static_cast<long long>(sent.ack->offset.value));
    }
  }

  Result<> tell_would(const ConsumedRecord& record, const DeadLetter& letter) {
    std::printf("%s %s -> %s\t(dry run)\n", options_.topic.c_str(), place_of(record).c_str(),
                std::string(letter.topic).c_str());
    return {};
  }

  static std::string place_of(const ConsumedRecord& letter) {
    return std::to_string(letter.partition.value) + "/" + std::to_string(letter.offset.value);
  }

  void tell() {
    std::fflush(stdout);
    if (options_.dry_run)
      std::fprintf(stderr, "leat: %llu would be redriven", printable(chosen_));
    else
      std::fprintf(stderr, "leat: %llu redriven", printable(redriven_));
    if (failures_ > 0) std::fprintf(stderr, ", %llu failed", printable(failures_));
    std::fprintf(stderr, "\n");
    for (const auto& [name, source] : sources_) {
      if (!source.gone) continue;
      std::fprintf(stderr, "leat: topic '%s' is gone: %llu records that came from it stay\n",
                   name.c_str(), printable(source.left));
      if (!error_) error_ = source.gone, failed_ = "what came from '" + name + "' stays";
    }
    if (foreign_ > 0)
      std::fprintf(stderr, "leat: %llu records do not say which topic they came from; they stay\n",
                   printable(foreign_));
    if (late_ > 0)
      std::fprintf(
          stderr,
          "leat: %llu of them were no longer leased when they could be marked as redriven: "
          "they may be sent once more by another redrive\n",
          printable(late_));
    if (letters_.with_others() > 0)
      std::fprintf(stderr, "leat: %llu more are with another leat dlq at the moment\n",
                   printable(letters_.with_others()));
  }

  blocking::Client& client_;
  LetterReader& letters_;
  const RedriveOptions& options_;
  const steady_clock::time_point begun_ = steady_clock::now();
  std::map<std::string, Source, std::less<>> sources_;
  OffsetSet sent_;
  std::uint64_t chosen_ = 0, redriven_ = 0, failures_ = 0, foreign_ = 0, late_ = 0;
  std::optional<Error> error_;  // the first, of `failed_`
  std::string failed_;
  bool output_failed_ = false;  // and has been said
};

}  // namespace

int redrive(const Context& context, const RedriveOptions& options) {
  auto client = context.connect();
  if (!client) return failed("dlq redrive", client.error());
  const auto what = options.dry_run ? LetterReader::What::kOpen : LetterReader::What::kLease;
  if (!options.dry_run && !options.yes) {
    auto topic = client->describe_topic(options.topic);
    if (!topic) return failed("dlq redrive", topic.error());
    if (!confirmed("Send records of " + options.topic + " back to the topics they came from?"))
      return 1;
  }
  auto letters = LetterReader::open(*client, options.topic, what, context.timeout);
  if (!letters) return failed("dlq redrive", letters.error());
  return Redrive(*client, **letters, options).run();
}

}  // namespace leat::tool
