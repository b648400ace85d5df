#include "server/options.h"

#include <algorithm>

#include "protocol/base/assert.h"

// A row's field: LEAT_FIELD(server.limits.broker.topics).
#define LEAT_FIELD(member) [](DaemonOptions& options) -> OptionField { return &options.member; }

namespace leat {
namespace {

constexpr std::int64_t kKiB = 1 << 10, kMiB = 1 << 20, kGiB = 1 << 30;
constexpr std::int64_t kSecond = 1'000, kHour = 3'600 * kSecond;
constexpr std::int64_t kMostParts = 1'000'000;
// A list of all topics, with all their partitions, fits into what a client takes for an envelope.
constexpr std::int64_t kMostTopics = 100'000;
constexpr std::int64_t kMostListed = 10'000;  // a request's list (protocol/native/decode.cc)

// Grouped as the file is: first what stands above any [table], then each table together.
constexpr Option kTable[] = {
    {.key = "data_dir",
     .type = OptionType::kText,
     .help = "where records are kept; made if missing",
     .field = LEAT_FIELD(server.data_dir),
     .kafka = "log.dirs"},
    {.key = "listen",
     .type = OptionType::kList,
     .help = "leat://HOST:PORT (port 0: any free one) or unix:///PATH",
     .field = LEAT_FIELD(server.listen),
     .kafka = "listeners"},
    {.key = "dev",
     .type = OptionType::kFlag,
     .help = "a temporary directory, removed at exit; topics are created on first use",
     .field = LEAT_FIELD(dev)},
    {.key = "insecure",
     .type = OptionType::kFlag,
     .help = "allow addresses other than loopback without authentication",
     .field = LEAT_FIELD(server.insecure)},
    {.key = "log_level",
     .type = OptionType::kChoice,
     .help = "the least that is logged, on stderr",
     .field = LEAT_FIELD(log_level),
     .choices = "debug|info|warning|error"},
    {.key = "reactor",
     .type = OptionType::kChoice,
     .help = "auto takes io_uring where the kernel allows it, else epoll",
     .field = LEAT_FIELD(server.reactor),
     .choices = "auto|uring|epoll"},
    {.key = "journal",
     .type = OptionType::kChoice,
     .help = "auto writes through io_uring where the kernel allows it, else by threads",
     .field = LEAT_FIELD(server.journal),
     .choices = "auto|uring|thread"},
    {.key = "profile",
     .type = OptionType::kChoice,
     .help = "other defaults, for a small machine",
     .field = LEAT_FIELD(profile),
     .choices = "default|edge"},
    {.key = "memory",
     .type = OptionType::kSize,
     .help = "budget for what is held on behalf of clients, shared out as below",
     .field = LEAT_FIELD(server.memory_bytes),
     .least = 8 * kMiB,
     .most = 1'024 * kGiB,
     .edge = "16MiB"},
    {.key = "auto_create_topics",
     .type = OptionType::kFlag,
     .help = "create a topic when it is first used",
     .field = LEAT_FIELD(server.limits.broker.auto_create_topics),
     .kafka = "auto.create.topics.enable"},
    {.key = "auto_create_partitions",
     .type = OptionType::kCount,
     .help = "partitions of a topic that is created so",
     .field = LEAT_FIELD(server.limits.broker.auto_create_partitions),
     .least = 1,
     .most = kMostParts,
     .kafka = "num.partitions"},

    {.key = "retention.interval",
     .type = OptionType::kDuration,
     .help = "between looks for records that are too old, while there are topics that let them go",
     .field = LEAT_FIELD(server.limits.broker.retention_interval),
     .least = 100,
     .most = kHour,
     .kafka = "log.retention.check.interval.ms"},

    {.key = "disk.reserve",
     .type = OptionType::kSize,
     .help = "kept free for commits and deletions; with less, records are refused; 0: enough",
     .field = LEAT_FIELD(server.limits.disk_reserve),
     .most = 1024 * kGiB},
    {.key = "scrub.rate",
     .type = OptionType::kSize,
     .help = "a second, of what is stored: read in the background and verified; 0: never",
     .field = LEAT_FIELD(server.limits.scrub.rate),
     .most = kGiB,
     .edge = "1MiB"},
    {.key = "scrub.interval",
     .type = OptionType::kDuration,
     .help = "from one look through all that is stored to the next",
     .field = LEAT_FIELD(server.limits.scrub.interval),
     .least = 1'000,
     .most = 10'000 * kHour},

    {.key = "limits.connections",
     .type = OptionType::kCount,
     .help = "open at once; a further one is told so and closed",
     .field = LEAT_FIELD(server.limits.reactor.connections),
     .least = 1,
     .most = kMostParts,
     .edge = "256",
     .kafka = "max.connections"},
    {.key = "limits.topics",
     .type = OptionType::kCount,
     .help = "topics in all",
     .field = LEAT_FIELD(server.limits.broker.topics),
     .least = 1,
     .most = kMostTopics,
     .edge = "1000"},
    {.key = "limits.partitions_per_topic",
     .type = OptionType::kCount,
     .help = "partitions of one topic",
     .field = LEAT_FIELD(server.limits.broker.partitions_per_topic),
     .least = 1,
     .most = kMostParts,
     .edge = "64"},
    {.key = "limits.partitions",
     .type = OptionType::kCount,
     .help = "partitions of all topics",
     .field = LEAT_FIELD(server.limits.broker.partitions),
     .least = 1,
     .most = kMostParts,
     .edge = "2000"},
    {.key = "limits.groups",
     .type = OptionType::kCount,
     .help = "groups that have members or committed offsets",
     .field = LEAT_FIELD(server.limits.broker.groups),
     .least = 1,
     .most = kMostParts,
     .edge = "1000"},
    {.key = "limits.members_per_group",
     .type = OptionType::kCount,
     .help = "members of one group",
     .field = LEAT_FIELD(server.limits.broker.members_per_group),
     .least = 1,
     .most = kMostParts,
     .edge = "100",
     .kafka = "group.max.size"},
    {.key = "limits.topics_per_member",
     .type = OptionType::kCount,
     .help = "topics that one member of a group reads",
     .field = LEAT_FIELD(server.limits.broker.topics_per_member),
     .least = 1,
     .most = 10'000},
    {.key = "limits.producers",
     .type = OptionType::kCount,
     .help = "producers, times the partitions they write to, whose newest batches are remembered",
     .field = LEAT_FIELD(server.limits.producers),
     .least = 1,
     .most = kMostParts,
     .edge = "1000"},
    {.key = "limits.dedup_ids",
     .type = OptionType::kCount,
     .help = "message ids known in all, five bytes each; 0: as many as memory has times 32 bytes",
     .field = LEAT_FIELD(server.limits.dedup_ids),
     .most = 1'000'000'000},
    {.key = "limits.snapshots",
     .type = OptionType::kCount,
     .help = "in the data directory at once: each keeps files that could be deleted",
     .field = LEAT_FIELD(server.limits.snapshots),
     .least = 1,
     .most = 10'000},
    {.key = "limits.subscriptions",
     .type = OptionType::kCount,
     .help = "push subscriptions of one connection",
     .field = LEAT_FIELD(server.limits.broker.subscriptions_per_connection),
     .least = 1,
     .most = kMostParts,
     .edge = "64"},
    {.key = "limits.stored_bytes",
     .type = OptionType::kSize,
     .help = "records kept, the journal aside; beyond it new ones are refused, or old ones go (a "
             "topic's "
             "on_full); 0: as the disk has",
     .field = LEAT_FIELD(server.limits.broker.max_stored_bytes),
     .most = 1'024 * kGiB * 1'024},
    {.key = "limits.batch_bytes",
     .type = OptionType::kSize,
     .help = "a record batch as it is sent",
     .field = LEAT_FIELD(server.limits.broker.batch_bytes),
     .least = kKiB,
     .most = 64 * kMiB,
     .edge = "1MiB",
     .kafka = "message.max.bytes"},
    {.key = "limits.decompressed_bytes",
     .type = OptionType::kSize,
     .help = "a record batch once decompressed",
     .field = LEAT_FIELD(server.limits.broker.decompressed_bytes),
     .least = kKiB,
     .most = kMaxStoredDecompressedBytes,
     .edge = "4MiB"},
    {.key = "limits.checking_bytes",
     .type = OptionType::kSize,
     .help = "batches that wait to be checked, or for their ids; then their sockets are not read",
     .field = LEAT_FIELD(server.limits.broker.checking_bytes),
     .least = kKiB,
     .most = kGiB,
     .edge = "1MiB"},
    {.key = "limits.frame_bytes",
     .type = OptionType::kSize,
     .help = "what a request carries beside its envelope",
     .field = LEAT_FIELD(server.limits.session.limits.payload_bytes),
     .least = kKiB,
     .most = 64 * kMiB,
     .edge = "2MiB",
     .kafka = "socket.request.max.bytes"},
    {.key = "limits.fetch_bytes",
     .type = OptionType::kSize,
     .help = "what a fetch brings, but at least one batch",
     .field = LEAT_FIELD(server.limits.broker.fetch_bytes),
     .least = kKiB,
     .most = 64 * kMiB,
     .edge = "1MiB",
     .kafka = "fetch.max.bytes"},
    {.key = "limits.fetch_wait",
     .type = OptionType::kDuration,
     .help = "how long a fetch waits for data at the most",
     .field = LEAT_FIELD(server.limits.broker.fetch_wait),
     .most = kHour},
    {.key = "limits.waiting_fetches",
     .type = OptionType::kCount,
     .help = "fetches of one connection that wait for data",
     .field = LEAT_FIELD(server.limits.broker.waiting_fetches_per_connection),
     .least = 1,
     .most = kMostParts},
    {.key = "limits.commits_per_request",
     .type = OptionType::kCount,
     .help = "offsets committed at once",
     .field = LEAT_FIELD(server.limits.broker.commits_per_request),
     .least = 1,
     .most = kMostListed},
    {.key = "limits.leases_per_member",
     .type = OptionType::kCount,
     .help = "records that one member of a shared group may have un-acked",
     .field = LEAT_FIELD(server.limits.broker.leases_per_member),
     .least = 1,
     .most = 10'000'000,
     .edge = "10000"},
    {.key = "limits.held_per_partition",
     .type = OptionType::kCount,
     .help = "records of a partition that wait for another try, by key for others; then none comes",
     .field = LEAT_FIELD(server.limits.broker.held_per_partition),
     .least = 1,
     .most = 10'000'000,
     .edge = "10000"},
    {.key = "limits.parked_bytes",
     .type = OptionType::kSize,
     .help = "of a partition, kept by a key_shared group for members that may not take more now",
     .field = LEAT_FIELD(server.limits.broker.parked_bytes),
     .least = 1 << 10,
     .most = 1 << 30,
     .edge = "64KiB"},
    {.key = "limits.delayed_in_memory",
     .type = OptionType::kCount,
     .help =
         "delayed records of a partition that a group knows, 16 bytes each; others are read again",
     .field = LEAT_FIELD(server.limits.broker.delayed_in_memory),
     .least = 1'000,
     .most = 100'000'000,
     .edge = "50000"},
    {.key = "limits.read_ahead_bytes",
     .type = OptionType::kSize,
     .help = "of delayed records, read up to 2 s before they are due; of all groups; 0: none",
     .field = LEAT_FIELD(server.limits.broker.read_ahead_bytes),
     .most = kGiB,
     .edge = "512KiB"},
    {.key = "limits.metadata_bytes",
     .type = OptionType::kSize,
     .help = "the text beside a committed offset",
     .field = LEAT_FIELD(server.limits.broker.metadata_bytes),
     .most = kMiB,
     .kafka = "offset.metadata.max.bytes"},
    {.key = "limits.requests_in_flight",
     .type = OptionType::kCount,
     .help = "unanswered requests of one connection; then its socket is not read",
     .field = LEAT_FIELD(server.limits.session.requests_in_flight),
     .least = 1,
     .most = kMostParts,
     .edge = "256"},
    {.key = "limits.output_bytes",
     .type = OptionType::kSize,
     .help = "replies of one connection that wait to leave; then its socket is not read",
     .field = LEAT_FIELD(server.limits.session.output_bytes),
     .least = 64 * kKiB,
     .most = kGiB,
     .edge = "2MiB"},
    {.key = "limits.receive_bytes",
     .type = OptionType::kSize,
     .help = "of the buffers that sockets are read into, in all",
     .field = LEAT_FIELD(server.limits.reactor.receive_bytes),
     .least = 256 * kKiB,
     .most = 64 * kMiB,
     .edge = "512KiB"},
    {.key = "limits.push_bytes",
     .type = OptionType::kSize,
     .help = "output of one connection that waits to leave; then its pushes wait",
     .field = LEAT_FIELD(server.limits.session.push_bytes),
     .least = kKiB,
     .most = kGiB,
     .edge = "64KiB"},
    {.key = "limits.frame_deadline",
     .type = OptionType::kDuration,
     .help = "for a peer to complete a frame that it began, and for its Hello",
     .field = LEAT_FIELD(server.limits.session.frame_deadline),
     .least = 1,
     .most = kHour},
    {.key = "limits.write_deadline",
     .type = OptionType::kDuration,
     .help = "without progress on replies, until the connection is closed",
     .field = LEAT_FIELD(server.limits.reactor.write_deadline),
     .least = 1,
     .most = kHour},
    {.key = "limits.unpersisted_bytes",
     .type = OptionType::kSize,
     .help = "of the journal, what a restart may have to replay",
     .field = LEAT_FIELD(server.limits.replay.unpersisted_bytes),
     .least = 2 * kMiB,
     .most = 1'024 * kGiB,
     .edge = "16MiB"},
    {.key = "limits.unpersisted_entries",
     .type = OptionType::kCount,
     .help = "of the journal, how many entries a restart may have to replay",
     .field = LEAT_FIELD(server.limits.replay.unpersisted_entries),
     .least = 1'000,
     .most = 100 * kMostParts,
     .edge = "50000"},
    {.key = "limits.journal_segment_bytes",
     .type = OptionType::kSize,
     .help = "a segment of the journal",
     .field = LEAT_FIELD(server.limits.replay.journal_segment_bytes),
     .least = kMiB,
     .most = 4 * kGiB,
     .edge = "8MiB"},
};

template <class... Case>
struct Overloaded : Case... {
  using Case::operator()...;
};
template <class... Case>
Overloaded(Case...) -> Overloaded<Case...>;

}  // namespace

std::span<const Option> option_table() {
  return kTable;
}

const Option* find_option(std::string_view key) {
  const auto* const found = std::ranges::find(kTable, key, &Option::key);
  return found == std::end(kTable) ? nullptr : found;
}

std::string flag_of(const Option& option) {
  std::string flag = "--" + std::string(option.key);
  std::ranges::replace_if(
      flag, [](char c) { return c == '.' || c == '_'; }, '-');
  return flag;
}

OptionValue value_of(const Option& option, const DaemonOptions& options) {
  DaemonOptions copy = options;  // the table leads to fields that can be changed
  const OptionField field = option.field(copy);
  return std::visit(
      Overloaded{
          [](const bool* value) -> OptionValue { return *value; },
          [](const std::string* value) -> OptionValue { return *value; },
          [](const std::vector<std::string>* value) -> OptionValue { return *value; },
          [](const Duration* value) -> OptionValue {
            return std::chrono::duration_cast<std::chrono::milliseconds>(*value).count();
          },
          [](const std::chrono::milliseconds* value) -> OptionValue {
            return std::int64_t{value->count()};
          },
          [](const auto* number) -> OptionValue { return static_cast<std::int64_t>(*number); }},
      field);
}

void set_value(const Option& option, const OptionValue& value, DaemonOptions& options) {
  std::visit(Overloaded{[&](bool* field) { *field = std::get<bool>(value); },
                        [&](std::string* field) { *field = std::get<std::string>(value); },
                        [&](std::vector<std::string>* field) { *field = std::get<3>(value); },
                        [&](Duration* field) {
                          *field = std::chrono::milliseconds(std::get<std::int64_t>(value));
                        },
                        [&](std::chrono::milliseconds* field) {
                          *field = std::chrono::milliseconds(std::get<std::int64_t>(value));
                        },
                        [&](auto* number) {
                          *number = static_cast<std::remove_pointer_t<decltype(number)>>(
                              std::get<std::int64_t>(value));
                        }},
             option.field(options));
}

DaemonOptions default_options(std::string_view profile) {
  DaemonOptions options;
  options.profile = profile;
  if (profile != "edge") return options;
  for (const Option& option : kTable) {
    if (option.edge.empty()) continue;
    const auto value = parse_value(option, option.edge);
    LEAT_ASSERT(value);
    set_value(option, *value, options);
  }
  return options;
}

}  // namespace leat
