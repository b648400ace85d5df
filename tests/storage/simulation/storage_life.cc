#include "tests/storage/simulation/storage_life.h"

#include <chrono>
#include <set>

#include "protocol/record_batch.h"

namespace leat::test {
namespace {
constexpr const char* kSnapshots = "/data/snapshots";
constexpr std::size_t kMostSnapshots = 4;

using storage::DiskStorage;

constexpr auto kHang = std::chrono::seconds(60);
// What storage that refuses for want of room may wait for a disk that has failed.
constexpr auto kPatience = std::chrono::milliseconds(50);
constexpr std::size_t kMostTopics = 6, kMostPartitions = 5;
constexpr storage::IdWindow kAllIds{std::chrono::hours(1), ModelState::kIds};

std::string text(JournalPosition position) {
  return std::to_string(position.value);
}

// Small, so that a short history sees segments end and come back, memtables and families flushed
// for several reasons, and files moved.
storage::StorageOptions small_options() {
  return {.data_dir = "/data",
          .memory_bytes = 8 << 20,
          .max_unpersisted_bytes = 1 << 20,
          .max_unpersisted_entries = 240,
          .journal_segment_bytes = 64 << 10,
          .large_batch_bytes = 1'000};
}

}  // namespace

StorageLife::StorageLife(SimulatedDisk& disk, StorageModel& model, Promise before,
                         std::uint64_t seed)
    : disk_(disk),
      model_(model),
      before_(before),
      random_(seed),
      told_(before.told.value),
      sent_(before.sent.value),
      epoch_(before.epoch.value),
      snapshots_(before.snapshots) {}

StorageLife::~StorageLife() = default;

Promise StorageLife::promised() const {
  // Told first: what is told meanwhile was sent before.
  Promise promise{.snapshots = snapshots_, .opened = opened_};
  promise.epoch = LeaderEpoch(epoch_);
  promise.told = JournalPosition(told_);
  promise.sent = JournalPosition(sent_);
  return promise;
}

std::string StorageLife::open() {
  auto opened = DiskStorage::open(small_options(), disk_, [this] {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  });
  if (!opened) {
    failed_ = opened.error();
    if (disk_.failures() > 0) return {};
    return "does not open: " + opened.error().message();
  }
  storage_ = std::move(*opened);
  found_ = storage_->durable();
  const std::string range = text(before_.told) + " to " + text(before_.sent);
  if (found_ < before_.told || found_ > before_.sent)
    return "found entries up to " + text(found_) + ", not to one of " + range;
  if (storage_->leader_epoch() <= before_.epoch) return "the leader epoch did not rise";
  model_.truncate(found_);
  told_ = sent_ = found_.value;
  epoch_ = storage_->leader_epoch().value;
  opened_ = true;
  if (auto differs = check(); !differs.empty())
    return "of entries up to " + text(found_) + " of " + range + ": " + differs;
  return check_snapshots();
}

// Each is named after what was told durable when it was asked for.
std::string StorageLife::check_snapshots() {
  const auto names = disk_.list(kSnapshots).value_or(std::vector<std::string>());
  std::vector<std::string> whole;
  for (const std::string& name : names)
    if (name.front() != '.') whole.push_back(name);
  if (whole.size() < before_.snapshots)
    return "has " + std::to_string(whole.size()) + " snapshots of " +
           std::to_string(before_.snapshots);
  if (whole.empty() || disk_.failures() > 0) return {};
  const std::string& name = whole[random_.below(whole.size())];
  const auto copy = disk_.copy();  // a start changes it
  auto options = small_options();
  options.data_dir = std::string(kSnapshots) + "/" + name;
  auto opened = DiskStorage::open(std::move(options), *copy, [this] {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  });
  if (!opened) return "snapshot " + name + " does not open: " + opened.error().message();
  std::swap(storage_, *opened);
  const JournalPosition found = storage_->durable();
  StorageModel then = model_;
  then.truncate(found);
  auto wrong = differs(then.state());
  std::swap(storage_, *opened);
  opened->reset();
  poll();
  if (found < JournalPosition(std::stoull(name.substr(1))) || found > found_)
    return "snapshot " + name + " has entries up to " + text(found) + " of " + text(found_);
  return wrong.empty() ? "" : "snapshot " + name + ": " + wrong;
}

std::string StorageLife::snapshot() {
  if (!snapshot_failed_.empty()) return std::exchange(snapshot_failed_, {});
  const std::string name = "s" + text(storage_->durable());
  const bool there = disk_.exists(std::string(kSnapshots) + "/" + name).value_or(true);
  const auto others = disk_.list(kSnapshots).value_or(std::vector<std::string>());
  if (snapshot_runs_ || there || others.size() >= kMostSnapshots) return {};
  const auto begun = storage_->snapshot(name);
  snapshot_runs_ = begun.has_value();
  if (begun || begun.error() == ErrorCode::kQueueFull || failed_ || disk_.failures() > 0) return {};
  return "refuses a snapshot: " + begun.error().message();
}

void StorageLife::on_snapshot(Result<std::string> path) {
  snapshot_runs_ = false;
  if (path)
    ++snapshots_;
  else if (!failed_ && disk_.failures() == 0)
    snapshot_failed_ = "a snapshot fails: " + path.error().message();
}

std::string StorageLife::check() {
  if (auto hangs = settle(); !hangs.empty() || !running()) return hangs;
  auto wrong = differs(model_.state());
  return running() ? wrong : "";  // a read it was waiting for when storage failed
}

std::string StorageLife::differs(const ModelState& state) {
  return difference(
      state, *storage_,
      [this](PartitionId partition, Offset from, Offset to) { return read(partition, from, to); },
      [this](PartitionId partition, std::span<const storage::IdHash> ids) {
        return find(partition, ids);
      });
}

std::string StorageLife::run(std::size_t steps) {
  for (std::size_t i = 0; i < steps && running(); ++i)
    if (auto wrong = step(); !wrong.empty()) return wrong;
  return {};
}

void StorageLife::close() {
  storage_.reset();
}

// ---- waiting ----

void StorageLife::poll() {
  storage_->poll(*this);
  told_ = storage_->durable().value;
}

template <class Done>
std::string StorageLife::poll_until(const char* what, Done done) {
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    poll();
    if (done() || failed_) return {};
    const bool disk_failed = disk_.failures() > 0;
    std::unique_lock lock(mutex_);
    const auto deadline = start + (disk_failed ? kPatience : kHang);
    if (!changed_.wait_until(lock, deadline, [this] { return woken_; })) {
      if (!disk_failed && disk_.failures() > 0) continue;
      stalled_ = true;
      return disk_failed ? "" : std::string("hangs while it waits for ") + what;
    }
    woken_ = false;
  }
}

std::string StorageLife::settle() {
  return poll_until("durability",
                    [this] { return storage_->durable() >= storage_->reply_position(); });
}

Result<std::vector<std::byte>> StorageLife::read(PartitionId partition, Offset from, Offset to) {
  std::vector<std::byte> all;
  while (from < to) {
    auto outcome = storage_->read(partition, from, 32 << 10, ++token_);
    if (std::holds_alternative<storage::ReadLater>(outcome)) {
      if (auto hangs = poll_until("a read", [this] { return reads_.contains(token_); });
          !reads_.contains(token_))
        return fail(ErrorCode::kTimedOut, hangs + (failed_ ? failed_->message() : ""));
      auto result = std::move(reads_.extract(token_).mapped());
      if (!result) return fail(result.error());
      outcome = std::move(*result);
    }
    const Offset before = from;
    for (const auto& stored : std::get<storage::ReadResult>(outcome).batches) {
      for (Bytes rest = stored.bytes; !rest.empty();) {
        const auto batch = RecordBatchView::parse(rest);
        if (!batch) return fail(batch.error());
        if (auto ok = batch->check(); !ok) return fail(ok.error());
        from = batch->last_offset() + 1;
        rest = rest.subspan(batch->bytes().size());
      }
      all.insert(all.end(), stored.bytes.begin(), stored.bytes.end());
    }
    if (from == before) return fail(ErrorCode::kCorruptStorage, "nothing where something must be");
  }
  return all;
}

Result<storage::KnownIds> StorageLife::find(PartitionId partition,
                                            std::span<const storage::IdHash> ids) {
  auto outcome = storage_->find_ids(partition, kAllIds, ids, WallTime(), ++token_);
  if (auto* known = std::get_if<storage::KnownIds>(&outcome)) return std::move(*known);
  if (auto hangs = poll_until("ids", [this] { return found_ids_.contains(token_); });
      !found_ids_.contains(token_))
    return fail(ErrorCode::kTimedOut, hangs + (failed_ ? failed_->message() : ""));
  return std::move(found_ids_.extract(token_).mapped());
}

// ---- the workload ----

std::string StorageLife::step() {
  const std::uint64_t kind = random_.below(100);
  if (!storage_->has_room()) {
    if (auto hangs = poll_until("room", [this] { return storage_->has_room(); });
        !hangs.empty() || !running())
      return hangs;
  }
  if (random_.below(4) != 0) poll();
  if (kind < 52) return append();
  if (kind < 55) return retry();
  if (kind < 57) return trim();
  if (kind < 60) return retain();
  if (kind < 61) return configure_topic();
  if (kind < 62) return add_partitions();
  if (kind < 66) return commit();
  if (kind < 67) return remove_offsets();
  if (kind < 75) return change_acks();
  if (kind < 82) return change_group();
  if (kind < 86) return init_producer();
  if (kind < 90) return create_topic();
  if (kind < 92) return delete_topic();
  if (kind < 93) return delete_group();
  if (kind < 97) return settle();
  if (kind < 99) return snapshot();
  return check();
}

// The model has it before storage does: it may be on the disk before the call returns.
template <class Call>
std::string StorageLife::send(ModelEntry entry, Call call) {
  model_.append(std::move(entry));
  sent_ = model_.last().value;
  const auto result = call();
  if (result && storage_->last_appended() == model_.last()) return {};
  if (result)
    return "entry " + text(model_.last()) + " got position " + text(storage_->last_appended());
  model_.take_back();
  if (result.error() == ErrorCode::kQueueFull || failed_ || disk_.failures() > 0) return {};
  return "refused: " + result.error().message();
}

std::optional<storage::TopicPartition> StorageLife::random_partition() {
  const auto& topics = model_.state().topics;
  if (topics.empty()) return std::nullopt;
  const auto topic =
      std::next(topics.begin(), static_cast<std::ptrdiff_t>(random_.below(topics.size())));
  const auto index = random_.below(topic->second.partitions.size());
  return storage::TopicPartition{topic->second.id,
                                 PartitionIndex(static_cast<std::int32_t>(index))};
}

// Some of the batch's records have one that the partition does not know.
std::vector<storage::RecordId> StorageLife::random_ids(PartitionId partition, std::size_t records) {
  std::set<storage::IdHash> taken;
  for (const auto& [id, offset] : model_.state().partitions.at(partition).ids) taken.insert(id);
  std::vector<storage::RecordId> ids;
  for (std::size_t i = 0; i < records; ++i) {
    const auto id = ModelState::id(random_.below(ModelState::kIds));
    if (random_.below(10) != 0 && taken.insert(id).second)
      ids.push_back({static_cast<std::int32_t>(i), id});
  }
  return ids;
}

std::string StorageLife::append() {
  const auto& state = model_.state();
  const auto at = random_partition();
  if (!at) return create_topic();
  const storage::Topic* topic = storage_->find_topic(at->topic);
  if (!topic) return "a topic is missing";
  const PartitionId partition = topic->partitions[static_cast<std::size_t>(at->partition.value)];

  const std::uint64_t large = random_.below(100);
  const std::size_t bytes = large == 0   ? 60'000 + random_.below(100'000)
                            : large < 10 ? 3'000 + random_.below(20'000)
                                         : random_.below(400);
  RecordBatchBuilder builder;
  std::string value(bytes, static_cast<char>('a' + random_.below(26)));
  value += std::to_string(random_.next());  // no two are the same
  const bool keys = compacts(topic->config.cleanup) || random_.below(4) == 0;
  const bool many = random_.below(12) == 0;
  if (many) value.resize(std::min<std::size_t>(value.size(), 10));
  const std::uint64_t records = many ? random_.below(300) + 1 : random_.below(3) + 1;
  for (std::uint64_t i = records; i > 0; --i) {
    const std::string key = "key " + std::to_string(random_.below(12));
    RecordData record{.key = {}, .value = as_bytes(value)};
    if (keys) record.key = as_bytes(key);
    if (keys && random_.below(8) == 0) record.value.reset();
    builder.append(record, 1);
  }
  if (!state.producers.empty() && random_.below(2) == 0) {
    const auto producer =
        std::next(state.producers.begin(),
                  static_cast<std::ptrdiff_t>(random_.below(state.producers.size())));
    const ProducerIdentity identity{producer->first, producer->second};
    builder.set_producer(identity, state.next_sequence(partition, identity));
  }
  auto batch = std::make_shared<std::vector<std::byte>>(builder.take());
  const auto view = RecordBatchView::parse(*batch);
  if (view->producer_id() >= 0)
    if (const auto next = storage_->check_sequence(partition, *view); !next || *next)
      return "the next batch of a producer is not taken: " +
             (next ? "known" : next.error().message());
  const Offset base = state.partitions.at(partition).next;
  assign_offset(*batch, base, storage_->leader_epoch());
  Offset given = base;
  ModelRecords entry{partition, batch};
  if (random_.below(2) == 0) entry.ids = random_ids(partition, records);
  constexpr std::uint64_t kWindows[] = {50, 600, 2'500};
  if (!entry.ids.empty())
    entry.window = {kAllIds.time, kWindows[random_.below(std::size(kWindows))]};
  else if (random_.below(20) == 0)
    entry.window = storage::IdWindow();
  // It stays where it is or is copied.
  storage::NewBatch added = *batch;
  if (random_.below(2) == 0) {
    auto own = std::make_shared<std::vector<std::byte>>(*batch);
    added = {MutableBytes(*own), std::move(own)};
  }
  std::optional<SourceStep> step;
  if (random_.below(3) == 0) {
    entry.source = ModelState::kSources[random_.below(std::size(ModelState::kSources))];
    const auto& sources = state.partitions.at(partition).sources;
    const auto known = sources.find(entry.source);
    step = {entry.source, known == sources.end() ? SourcePosition() : known->second, {}};
    step->to = entry.to = {step->from.high + random_.below(2), step->from.low + 1};
    if (const auto next = storage_->check_source(partition, *step); !next || !*next)
      return "the next batch of a source is not taken";
  }
  auto wrong = send(entry, [&]() -> Result<> {
    auto appended = storage_->append(partition, topic->config, added,
                                     {entry.ids, WallTime(), entry.window}, step);
    if (!appended) return fail(appended.error());
    given = appended->base;
    return {};
  });
  if (wrong.empty() && given != base) return "offset " + std::to_string(given.value) + " given";
  return wrong;
}

// Of the newest batch of a partition: it is known.
std::string StorageLife::retry() {
  for (const auto& [id, partition] : model_.state().partitions) {
    if (partition.batches.empty()) continue;
    const auto batch = RecordBatchView::parse(*partition.batches.back());
    const auto epoch = model_.state().producers.find(batch->producer_id());
    if (batch->producer_id() < 0 || epoch->second != batch->producer_epoch()) continue;
    const auto known = storage_->check_sequence(id, *batch);
    if (!known || *known != std::optional(batch->base_offset())) return "a retry is not known";
  }
  return {};
}

std::string StorageLife::create_topic() {
  const auto& state = model_.state();
  if (state.topics.size() >= kMostTopics) return {};
  std::string name = "topic-" + std::to_string(random_.below(2 * kMostTopics));
  if (state.topics.contains(name)) return {};
  ModelTopic topic{.id = random_.topic_id()};
  const auto partitions = static_cast<std::int32_t>(random_.below(3) + 1);
  for (std::int32_t i = 0; i < partitions; ++i)
    topic.partitions.push_back(state.next_partition + static_cast<std::uint32_t>(i));
  topic.config = random_config();
  return send(ModelTopicCreated{name, topic}, [&] {
    return storage_->create_topic(topic.id, name, partitions, topic.config, WallTime());
  });
}

std::string StorageLife::delete_topic() {
  const auto at = random_partition();
  if (!at || model_.state().topics.size() < 2) return {};
  return send(ModelTopicDeleted{storage_->find_topic(at->topic)->name},
              [&] { return storage_->delete_topic(at->topic); });
}

std::string StorageLife::add_partitions() {
  const auto at = random_partition();
  if (!at) return {};
  const auto& state = model_.state();
  ModelPartitionsAdded added{.name = storage_->find_topic(at->topic)->name, .partitions = {}};
  if (state.topics.at(added.name).partitions.size() >= kMostPartitions) return {};
  const auto count = static_cast<std::uint32_t>(random_.below(2) + 1);
  for (std::uint32_t i = 0; i < count; ++i) added.partitions.push_back(state.next_partition + i);
  return send(added, [&] { return storage_->add_partitions(at->topic, count); });
}

TopicConfig StorageLife::random_config() {
  TopicConfig config;
  const std::uint64_t kind = random_.below(6);
  if (kind == 0) config = {Durability::kInterval, std::chrono::milliseconds(2)};
  if (kind == 1) config.durability = Durability::kMemory;
  const std::uint64_t old = random_.below(8);
  if (old < 2) config.cleanup = old == 0 ? Cleanup::kCompact : Cleanup::kCompactDelete;
  if (old == 2) config.retention.bytes = static_cast<std::int64_t>(random_.below(100'000));
  if (old == 1 || old == 3) config.retention.records = static_cast<std::int64_t>(random_.below(60));
  if (old == 4) config.on_full = OnFull::kDropOldest;
  if (random_.below(4) == 0) config.timestamps = TimestampType::kAppendTime;
  config.max_batch_bytes = static_cast<std::int64_t>(random_.below(3)) << 20;
  return config;
}

std::string StorageLife::configure_topic() {
  const auto at = random_partition();
  if (!at) return {};
  const TopicConfig config = random_config();
  return send(ModelTopicConfigured{storage_->find_topic(at->topic)->name, config},
              [&] { return storage_->configure_topic(at->topic, config); });
}

std::string StorageLife::trim() {
  const auto at = random_partition();
  if (!at) return {};
  const storage::Topic* topic = storage_->find_topic(at->topic);
  const PartitionId id = topic->partitions[static_cast<std::size_t>(at->partition.value)];
  const auto [start, end] = storage_->bounds(id);
  if (start == end) return {};
  const std::uint64_t held = static_cast<std::uint64_t>(end.value - start.value);
  const Offset to = start + static_cast<std::int64_t>(random_.below(held) + 1);
  return send(ModelLogStartsMoved{{{id, to}}}, [&] { return storage_->move_log_start(id, to); });
}

// Storage decides what goes, so the model learns of it afterwards; crashes are looked at later
// still. Deletions of keys stay: it is the first of January 1970.
std::string StorageLife::retain() {
  sent_ = model_.last().value + 1;
  if (random_.below(3) == 0)
    storage_->drop_oldest(random_.below(200'000));
  else
    storage_->retain(WallTime());
  ModelLogStartsMoved moved;
  for (const auto& [id, partition] : model_.state().partitions)
    if (const Offset start = storage_->bounds(id).log_start; start > partition.log_start)
      moved.starts[id] = start;
  if (!moved.starts.empty()) model_.append(std::move(moved));
  sent_ = model_.last().value;
  if (storage_->last_appended() == model_.last()) return {};
  return "retention made entry " + text(storage_->last_appended()) + ", not " + text(model_.last());
}

std::string StorageLife::commit() {
  ModelCommits commits{.group = random_group()};
  for (std::uint64_t i = random_.below(3) + 1; i > 0; --i) {
    const auto at = random_partition();
    if (!at) return {};
    const std::size_t metadata = random_.below(10) == 0 ? 3'000 : random_.below(100);
    commits.commits[*at] = {Offset(static_cast<std::int64_t>(random_.below(1000))),
                            std::string(metadata, static_cast<char>('a' + random_.below(26))),
                            LeaderEpoch(static_cast<std::int32_t>(random_.below(9)) - 1)};
  }
  std::vector<storage::OffsetCommit> offsets;
  for (const auto& [at, commit] : commits.commits)
    offsets.push_back({at.topic, at.partition, commit.offset, commit.metadata, commit.epoch});
  return send(commits, [&] { return storage_->commit_offsets(commits.group, offsets); });
}

// A few, around where chunks of acks meet, too.
storage::OffsetRange StorageLife::random_range() {
  const std::uint64_t near = random_.below(4) == 0 ? storage::AckChunk::kOffsets - 20 : 0;
  const Offset first(static_cast<std::int64_t>(near + random_.below(40)));
  return {first, first + static_cast<std::int64_t>(random_.below(12))};
}

std::string StorageLife::change_acks() {
  const auto at = random_partition();
  if (!at) return {};
  ModelAcks entry{.group = random_group(), .change = {.partition = *at}};
  for (std::uint64_t i = random_.below(4); i > 0; --i) entry.change.done.push_back(random_range());
  for (std::uint64_t i = random_.below(3); i > 0; --i)
    entry.change.retries.push_back(
        {random_range(), {static_cast<std::uint32_t>(random_.below(3)), 1'000}});
  if (random_.below(3) == 0) return dead_letter(std::move(entry));
  auto change = entry.change;
  change.group = entry.group;
  return send(entry, [&] { return storage_->change_acks(change); });
}

std::string StorageLife::dead_letter(ModelAcks entry) {
  const auto to = random_partition();
  const storage::Topic* topic = storage_->find_topic(to->topic);
  const PartitionId partition = topic->partitions[static_cast<std::size_t>(to->partition.value)];
  RecordBatchBuilder builder;
  std::string value(random_.below(3) == 0 ? 3'000 : 100, 'd');
  value += std::to_string(random_.next());
  builder.append({.key = as_bytes(value), .value = as_bytes(value)}, 1);
  auto batch = std::make_shared<std::vector<std::byte>>(builder.take());
  const Offset base = model_.state().partitions.at(partition).next;
  assign_offset(*batch, base, storage_->leader_epoch());
  entry.letter = ModelRecords{partition, batch};
  auto change = entry.change;
  change.group = entry.group;
  Offset given = base;
  auto wrong = send(entry, [&]() -> Result<> {
    auto appended = storage_->dead_letter(partition, topic->config, *batch, change);
    if (!appended) return fail(appended.error());
    given = appended->base;
    return {};
  });
  if (wrong.empty() && given != base) return "offset " + std::to_string(given.value) + " given";
  return wrong;
}

std::string StorageLife::init_producer() {
  const auto& producers = model_.state().producers;
  std::optional<std::int64_t> id;
  ProducerIdentity expected{producers.empty() ? 0 : producers.rbegin()->first + 1, 0};
  if (!producers.empty() && random_.below(3) == 0) {
    const auto it =
        std::next(producers.begin(), static_cast<std::ptrdiff_t>(random_.below(producers.size())));
    id = it->first;
    expected = {it->first, static_cast<std::int16_t>(it->second + 1)};
  }
  ProducerIdentity given = expected;
  const auto epoch = static_cast<std::int16_t>(id ? expected.epoch - 1 : 0);
  auto wrong = send(ModelProducer{expected}, [&]() -> Result<> {
    auto issued = storage_->init_producer(id, epoch);
    if (!issued) return fail(issued.error());
    given = {issued->id, issued->epoch};
    return {};
  });
  if (wrong.empty() && given != expected)
    return "producer " + std::to_string(given.id) + " issued instead of " +
           std::to_string(expected.id);
  return wrong;
}

std::string StorageLife::change_group() {
  const std::string name = random_group();
  const auto& groups = model_.state().groups;
  const auto group = groups.find(name);
  storage::GroupChange change{.group = name, .kind = GroupKind::kPartitioned};
  const std::string member = "member-" + std::to_string(random_.below(4));
  const bool there = group != groups.end() && group->second.members.contains(member);
  if (there && random_.below(2) == 0) {
    change.left.push_back(member);
    for (const auto& [partition, owner] : group->second.owners)
      if (owner.member == member) change.moved.emplace_back(partition, "");
    if (group->second.members.size() == 1) change.kind = GroupKind::kNone;
  } else {
    change.joined = storage::GroupMember{.id = member,
                                         .client_name = std::to_string(random_.below(1000)),
                                         .topics = {"topic-1"},
                                         .session_timeout = std::chrono::milliseconds(10),
                                         .rebalance_timeout = std::chrono::milliseconds(20)};
    if (const auto at = random_partition()) change.moved.emplace_back(*at, member);
  }
  return send(ModelGroupChange{name, change}, [&] { return storage_->change_group(change); });
}

std::string StorageLife::delete_group() {
  const std::string name = random_group();
  if (!storage_->has_group(name)) return {};
  return send(ModelGroupDeleted{name}, [&] { return storage_->delete_group(name); });
}

std::string StorageLife::remove_offsets() {
  ModelOffsetsRemoved removed{.group = random_group(), .partitions = {}};
  for (const auto& [partition, committed] : storage_->commits(removed.group))
    if (random_.below(2) == 0) removed.partitions.push_back(partition);
  if (removed.partitions.empty()) return {};
  return send(removed, [&] { return storage_->remove_offsets(removed.group, removed.partitions); });
}

}  // namespace leat::test
