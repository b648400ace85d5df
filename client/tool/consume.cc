#include <algorithm>
#include <cstdio>

#include <unistd.h>

#include "client/tool/progress.h"
#include "client/tool/record_format.h"
#include "client/tool/sharing.h"
#include "client/tool/start.h"
#include "client/tool/tool.h"
#include "protocol/base/clock.h"

namespace leat::tool {
namespace {

struct ConsumeArguments {
  std::string topic, group, partitions, from, since, format = "%v\\n", output;
  bool follow = false;
  std::uint64_t count = 0;
  Sharing sharing;
};

class Printer {
 public:
  Printer(const ConsumeArguments& arguments, std::string topic)
      : topic_(std::move(topic)),
        format_(arguments.output == "raw" ? "%v" : arguments.format),
        json_(arguments.output == "json") {}

  void add(const ConsumedRecord& record) {
    if (json_)
      append_json(out_, topic_, record);
    else
      append_formatted(out_, format_, topic_, record);
  }
  // False when nobody reads any more.
  bool write() {
    std::fwrite(out_.data(), 1, out_.size(), stdout);
    out_.clear();
    return flush_output();
  }

 private:
  std::string topic_, format_;
  bool json_;
  std::string out_;
};

// Reads until the end as it was at the start, or for ever with --follow.
class Reading {
 public:
  Reading(blocking::Client& client, blocking::Consumer& consumer, const TopicDescription& topic,
          const ConsumeArguments& arguments, const StartFrom& start,
          std::chrono::milliseconds timeout)
      : client_(client),
        consumer_(consumer),
        arguments_(arguments),
        timeout_(timeout),
        printer_(arguments, arguments.topic) {
    for (const auto& partition : topic.partitions) {
      ends_.push_back(partition.high_watermark);
      starts_.push_back(start.kind == StartFrom::Kind::kLatest ? partition.high_watermark
                                                               : partition.log_start);
    }
  }

  int run() {
    Progress progress(stderr, !::isatty(STDOUT_FILENO) && ::isatty(STDERR_FILENO), clock_, total());
    auto result = read(progress);
    progress.clear();
    if (!result) return failed(doing_, result.error());
    return output_failed_ ? 1 : interrupted();
  }

 private:
  // Records between a position and the end as it was.
  std::int64_t left_behind(const PartitionOffset& position) const {
    const auto index = static_cast<std::size_t>(position.partition.value);
    return index < ends_.size() ? std::max<std::int64_t>(ends_[index] - position.offset, 0) : 0;
  }

  // How many records will come, where that is known: a group's members share them.
  std::optional<std::uint64_t> total() const {
    if (arguments_.count > 0) return arguments_.count;
    if (arguments_.follow || !arguments_.group.empty()) return std::nullopt;
    std::int64_t all = 0;
    for (const auto& position : consumer_.positions()) all += left_behind(position);
    return static_cast<std::uint64_t>(all);
  }

  Result<> read(Progress& shown) {
    auto progress = std::chrono::steady_clock::now();
    for (bool quiet = false;;) {
      auto done = finished(quiet);
      if (!done) return fail(done.error());
      if (*done) return {};
      auto records = consumer_.poll(kSignalSlice);
      if (!records) return fail(records.error());
      tell_skipped();
      quiet = records->empty();
      const auto now = std::chrono::steady_clock::now();
      if (!quiet)
        progress = now;
      else if (!arguments_.follow && now - progress >= timeout_)
        return fail(ErrorCode::kTimedOut, nothing_came());
      if (quiet) continue;
      const auto shown_now = print(*records);
      if (!printer_.write()) {
        output_failed_ = true;  // and has been said
        return {};
      }
      shown.records(printed_, printed_);
      if (auto ok = done_with(shown_now, records->size()); !ok) return ok;
    }
  }

  const char* nothing_came() const {
    return arguments_.sharing.leases()
               ? "records are not done, but none came: other members have them, or they wait to be "
                 "delivered again (--timeout waits longer, --follow for ever)"
               : "the broker holds more records, but none came; is it still up? "
                 "(--timeout waits longer, --follow for ever)";
  }

  void tell_skipped() {
    const std::int64_t skipped = consumer_.skipped();
    if (skipped == skipped_) return;
    std::fprintf(stderr, "leat: %lld records were gone before they were read\n",
                 static_cast<long long>(skipped - skipped_));
    skipped_ = skipped;
  }

  // Written out first, acked or committed then: what was not shown is shown again.
  Result<> done_with(std::span<const ConsumedRecord> shown, std::size_t polled) {
    if (!arguments_.sharing.leases())
      return commit(shown.back().partition, shown.back().offset + 1);
    if (arguments_.sharing.manual()) return {};
    doing_ = "ack";
    auto ok = shown.size() == polled ? consumer_.ack_all() : ack(shown);
    // Delivered again by now, to whomever.
    if (!ok && ok.error() != ErrorCode::kLeaseLost) return ok;
    doing_ = "consume";
    return {};
  }

  Result<> ack(std::span<const ConsumedRecord> shown) {
    for (const ConsumedRecord& record : shown.first(shown.size() - 1))
      if (auto ok = consumer_.ack_async(record); !ok) return ok;
    return consumer_.ack(shown.back());  // confirmed behind the others
  }

  Result<> commit(PartitionIndex partition, Offset next) {
    if (arguments_.group.empty()) return {};
    doing_ = "commit";
    auto ok = consumer_.commit({{arguments_.topic, partition, next}});
    // Another member has the partition by now, and begins where this one committed last.
    const bool lost =
        !ok && (ok.error() == ErrorCode::kStaleEpoch || ok.error() == ErrorCode::kUnknownMember ||
                ok.error() == ErrorCode::kUnknownPartition);
    if (!ok && !lost) return ok;
    doing_ = "consume";
    return {};
  }

  // One poll's records are of one partition. Returns those printed, at least one.
  std::span<const ConsumedRecord> print(std::span<const ConsumedRecord> records) {
    if (arguments_.count > 0)
      records = records.first(std::min<std::size_t>(records.size(), arguments_.count - printed_));
    for (const ConsumedRecord& record : records) printer_.add(record);
    printed_ += records.size();
    return records;
  }

  Result<bool> finished(bool quiet) const {
    if (interrupted() || (arguments_.count > 0 && printed_ >= arguments_.count)) return true;
    if (arguments_.follow) return false;
    if (arguments_.sharing.leases()) return quiet ? all_done() : Result<bool>(false);
    const auto positions = consumer_.positions();
    for (const auto& position : positions)
      if (left_behind(position) > 0) return false;
    if (arguments_.group.empty() || positions.size() == ends_.size()) return true;
    return quiet && positions.size() == consumer_.assignment().size() ? others_have_the_rest()
                                                                      : Result<bool>(false);
  }

  // By this member or others; where it acks nothing, what came once is all it shows.
  Result<bool> all_done() const {
    if (arguments_.sharing.manual() && printed_ > 0) return true;
    auto group = client_.describe_group(arguments_.group);
    if (!group) return fail(group.error());
    std::vector<Offset> done = starts_;
    for (const auto& partition : group->partitions) {
      const auto index = static_cast<std::size_t>(partition.partition.value);
      if (partition.topic == arguments_.topic && index < done.size() && partition.committed)
        done[index] = *partition.committed;
    }
    return std::ranges::equal(done, ends_, std::ranges::greater_equal());
  }

  // Of what this member does not hold, nothing is on its way to it.
  Result<bool> others_have_the_rest() const {
    auto group = client_.describe_group(arguments_.group);
    if (!group) return fail(group.error());
    return group->group.settled;
  }

  blocking::Client& client_;
  blocking::Consumer& consumer_;
  const ConsumeArguments& arguments_;
  const std::chrono::milliseconds timeout_;
  Printer printer_;
  std::vector<Offset> starts_, ends_;  // what is to be read, as it was at first
  std::uint64_t printed_ = 0;
  std::int64_t skipped_ = 0;  // as told
  const char* doing_ = "consume";
  bool output_failed_ = false;
  SystemClock clock_;
};

int consume(const Context& context, const ConsumeArguments& arguments) {
  if (auto ok = check_format(arguments.format); !ok) return usage_failed(ok.error().detail);
  auto partitions = parse_partitions(arguments.partitions);
  if (!partitions) return usage_failed(partitions.error().detail);
  auto start = arguments.since.empty()
                   ? parse_start(arguments.from, "--from")
                   : parse_since(arguments.since, "--since", SystemClock().wall_now());
  if (!start) return usage_failed(start.error().detail);
  ConsumerOptions options{.topics = {arguments.topic}, .partitions = *partitions, .start = *start};
  if (!arguments.group.empty()) options.group = Group{arguments.group};
  if (auto ok = apply(arguments.sharing, options); !ok) return usage_failed(ok.error().detail);
  auto client = context.connect();
  if (!client) return failed("consume", client.error());
  auto topic = client->describe_topic(arguments.topic, true);
  if (!topic) return failed("consume", topic.error());
  auto consumer = client->consumer(options);
  if (!consumer) return failed("consume", consumer.error());
  return Reading(*client, **consumer, *topic, arguments, *start, context.timeout).run();
}

void add_sharing(CLI::App& verb, Sharing& sharing) {
  verb.add_flag(
      "--shared", sharing.shared,
      "with --group: its members share the records, whichever partition they are in; each "
      "is with one member until it is acked");
  verb.add_flag("--key-shared", sharing.key_shared,
                "the same, but the records of one key go to one member at a time, in order");
  verb.add_option(
          "--ack", sharing.ack,
          "of shared records. auto: once written out (default); manual: never, so that they "
          "come again after --ack-timeout")
      ->check(CLI::IsMember({"auto", "manual"}));
  verb.add_option("--ack-timeout", sharing.ack_timeout,
                  "of shared records: not acked for so long, they come again (default: 30s)");
  verb.add_option(
      "--max-deliveries", sharing.max_deliveries,
      "for the group: delivered so often in vain, a record goes to the dead letter topic");
  verb.add_option("--dead-letter", sharing.dead_letter,
                  "for the group: the topic for what is given up (default: TOPIC.dlq)");
  verb.add_flag("--dead-letter-expired", sharing.dead_letter_expired,
                "for the group: records that expire go there, too");
  verb.add_option("--backoff", sharing.backoff,
                  "for the group: wait before a record comes again, 1s, or doubling 1s..1m");
}

}  // namespace

void add_consume(CLI::App& app, Context& context, Run& run) {
  auto* verb = app.add_subcommand("consume", "read records, until the end unless --follow");
  auto arguments = std::make_shared<ConsumeArguments>();
  verb->add_option("TOPIC", arguments->topic)->required();
  verb->add_option("-g,--group", arguments->group,
                   "join it: its members share the partitions and go on where it committed; "
                   "commit what was written out");
  verb->add_option("--partitions", arguments->partitions,
                   "0-3 or 0,2, whatever a group's members read (default: all)");
  auto* from = verb->add_option(
      "--from", arguments->from,
      "earliest, latest, OFFSET, -N (the last N of each partition) or a time; with a group: where "
      "it has not committed");
  verb->add_option("--since", arguments->since, "the same as a time, or so long ago: 90s, 10m, 2h")
      ->excludes(from);
  verb->add_flag("--follow", arguments->follow, "go on waiting at the end");
  verb->add_option("-n,--count", arguments->count, "stop after so many records");
  verb->add_option("--format", arguments->format,
                   "%t topic %p partition %o offset %k key %v value %h headers %T timestamp %a "
                   "attempt (default: '%v\\n')");
  add_sharing(*verb, arguments->sharing);
  verb->add_option("-o,--output", arguments->output,
                   "json: an object a line; raw: the values and nothing between")
      ->check(CLI::IsMember({"json", "raw"}));
  verb->callback(
      [&, arguments] { run = [&context, arguments] { return consume(context, *arguments); }; });
}

}  // namespace leat::tool
