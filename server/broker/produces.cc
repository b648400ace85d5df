#include "server/broker/produces.h"

#include <algorithm>
#include <set>

#include "protocol/base/assert.h"
#include "protocol/record_batch.h"
#include "protocol/record_extras.h"
#include "protocol/reserved_headers.h"
#include "server/broker/duplicates.h"

namespace leat::broker {
namespace {

constexpr std::size_t kWaitingBytes = 512;  // what a batch costs beside its own bytes
constexpr std::size_t kIdBytes = sizeof(storage::RecordId) + sizeof(std::optional<Offset>);
constexpr std::uint64_t kSlack = 64;  // so that not every batch makes room anew: 1/64
constexpr storage::ReadToken kTokenBit = storage::ReadToken{1} << 61;  // as opposed to reads'

bool is_compressed(Bytes bytes) {
  const auto batch = RecordBatchView::parse(bytes);
  return batch && batch->compression() != Compression::kNone;
}

// Whether a batch that is not compressed has records with ids; it may seem so where none has.
bool may_have_ids(Bytes bytes) {
  return as_text(bytes).find(reserved_headers::kId) != std::string_view::npos;
}

std::size_t charge_of(Bytes bytes, std::size_t ids) {
  return bytes.size() + kWaitingBytes + ids * kIdBytes;
}
std::size_t charge_of(Bytes bytes, const Result<BatchContents>& checked) {
  if (!checked) return charge_of(bytes, 0);
  return charge_of(bytes, checked->ids.size() + checked->repeated.size()) +
         checked->traces.size() * sizeof(TracedRecord);
}
// What a batch that is not checked may cost: it has no more records than its header says.
std::size_t most_charge_of(Bytes bytes, const BatchRules& rules) {
  const auto batch = RecordBatchView::parse(bytes);
  if (!batch || batch->record_count() < 0) return charge_of(bytes, 0);
  const auto records = static_cast<std::size_t>(batch->record_count());
  return charge_of(bytes, rules.ids ? std::min(records, kMaxIdsInBatch) : 0) +
         (rules.traces ? std::min(records, kMostTracedInBatch) * sizeof(TracedRecord) : 0);
}

storage::IdWindow window_of(const TopicConfig& config) {
  return {config.dedup.time, static_cast<std::uint64_t>(config.dedup.ids)};
}

}  // namespace

// ---- in ----

bool Produces::takes(const TopicId& topic, PartitionIndex partition, Bytes batch) {
  if (waiting_bytes_ == 0) return true;
  const auto found = find_partition(storage_, topic, partition);
  if (!found) return true;
  const BatchRules rules = rules_for(*found->topic);
  if (waiting_bytes_ + most_charge_of(batch, rules) <= options_.checking_bytes) return true;
  const bool may_wait =
      partitions_.contains(found->id) || is_compressed(batch) || (rules.ids && may_have_ids(batch));
  if (may_wait) refused_ = true;
  return !may_wait;
}

void Produces::produce(const RequestId& id, const TopicId& topic, PartitionIndex partition,
                       const storage::NewBatch& added, Now now,
                       const std::optional<SourceStep>& source) {
  const auto found = find_partition(storage_, topic, partition);
  if (!found) return answer(id, found.error());
  Batch batch{.topic = topic, .index = partition, .rules = rules_for(*found->topic)};
  if (source) {
    if (auto ok = check_named(*source, added.bytes()); !ok) return answer(id, ok.error());
    batch.source = {std::string(source->source), source->from, source->to};
  }
  batch.came = clock_.look(now);
  batch.stamp = now.wall;
  batch.received = now.monotonic;
  batch.checked = check_in_place(added.bytes(), batch.rules);
  if (batch.checked && !*batch.checked) return answer(id, batch.checked->error());
  if (batch.checked && !partitions_.contains(found->id)) {
    if (auto outcome = append(batch, added)) {
      answer(id, std::move(outcome->reply));
      if (outcome->visible) visible_(found->id);
      return;
    }
  }
  wait(id, found->id, std::move(batch), added.bytes());
}

BatchRules Produces::rules_for(const storage::Topic& topic) const {
  BatchRules rules{.max_bytes = options_.batch_bytes,
                   .max_decompressed_bytes = options_.decompressed_bytes,
                   .keys = compacts(topic.config.cleanup),
                   .traces = traces_};
  const auto most = static_cast<std::size_t>(topic.config.max_batch_bytes);
  if (most > 0) rules.max_bytes = std::min(rules.max_bytes, most);
  if (!window_of(topic.config).off()) rules.ids = {topic.id, salt_};
  return rules;
}

// None: that would take too long here. What a header declares counts only where it is too much;
// what comes out is counted.
std::optional<Result<BatchContents>> Produces::check_in_place(Bytes batch,
                                                              const BatchRules& rules) const {
  if (batch.size() > rules.max_bytes)
    return fail(ErrorCode::kBatchTooLarge,
                std::to_string(batch.size()) + " bytes; at most " +
                    std::to_string(rules.max_bytes) +
                    (rules.max_bytes < options_.batch_bytes ? " in this topic" : ""));
  if (!is_compressed(batch)) return check_records(batch, rules);
  if (batch.size() > kCheckedInPlaceBytes) return std::nullopt;
  BatchRules in_place = rules;
  in_place.max_decompressed_bytes =
      std::min(kCheckedInPlaceDecompressedBytes, rules.max_decompressed_bytes);
  auto checked = check_records(batch, in_place);
  const bool too_much = !checked && checked.error().code == ErrorCode::kBatchTooLarge;
  if (too_much && in_place.max_decompressed_bytes < rules.max_decompressed_bytes)
    return std::nullopt;
  return checked;
}

void Produces::wait(const RequestId& id, PartitionId partition, Batch batch, Bytes bytes) {
  const auto waiting = std::make_shared<Waiting>();
  static_cast<Batch&>(*waiting) = std::move(batch);
  waiting->bytes = std::make_shared<OwnedBatch>(bytes.begin(), bytes.end());
  waiting->partition = partition;
  waiting->connection = id.connection;
  auto& slots = connections_[id.connection];
  waiting->slot = slots.insert(slots.end(), {id, std::nullopt, waiting});
  partitions_[partition].push_back(waiting);
  if (!waiting->checked) {
    waiting->asked = Asked::kCheck;
    waiting->elsewhere = true;
  }
  charge(*waiting, waiting->checked ? charge_of(bytes, *waiting->checked)
                                    : most_charge_of(bytes, waiting->rules));
  ask(waiting);
}

void Produces::ask(const SharedWaiting& waiting) {
  if (waiting->asked == Asked::kIds) looking_.emplace(waiting->token, waiting);
  if (waiting->asked != Asked::kCheck && waiting->asked != Asked::kRewriting) return;
  checking_.emplace(++last_ticket_, waiting);
  if (waiting->asked == Asked::kCheck) {
    checker_.check(last_ticket_, waiting->bytes, waiting->rules);
  } else {
    charge(*waiting, waiting->charge + waiting->bytes->size());
    checker_.rewrite(last_ticket_, waiting->bytes,
                     {options_.decompressed_bytes, std::move(waiting->without)});
  }
}

// ---- out ----

std::optional<Produces::Outcome> Produces::append(Batch& batch, const storage::NewBatch& added) {
  if (!*batch.checked) return Outcome{batch.checked->error()};
  const auto found = find_partition(storage_, batch.topic, batch.index);
  if (!found) return Outcome{found.error()};  // deleted while the batch waited
  // By the rules of the topic as it is now: it may have been configured meanwhile.
  const BatchRules rules = rules_for(*found->topic);
  if ((rules.keys && !batch.rules.keys) || (rules.ids && !batch.rules.ids)) {
    batch.rules = rules;
    batch.checked = check_records(added.bytes(), rules);
    if (!*batch.checked) return Outcome{batch.checked->error()};
  }
  if (auto reply = check_source(storage_, *found, batch.source)) return Outcome{std::move(*reply)};
  const BatchContents& contents = **batch.checked;
  if (rules.ids && !contents.ids.empty()) return append_known(*found, batch, added);
  if (auto reply = check_sequence(*found, added.bytes())) return Outcome{std::move(*reply)};
  return store(*found, batch, added, {});
}

std::optional<Produces::Outcome> Produces::append_known(const FoundPartition& found, Batch& batch,
                                                        const storage::NewBatch& added) {
  if (!batch.known && !find_ids(found, batch)) return std::nullopt;
  if (!*batch.known) return Outcome{batch.known->error()};
  const BatchContents& contents = **batch.checked;
  const storage::KnownIds& known = **batch.known;
  LEAT_ASSERT(known.size() == contents.ids.size());
  if (auto reply = check_sequence(found, added.bytes())) {
    // It says what the first one said, as long as the ids are known.
    if (auto* stored = std::get_if<Produced>(&*reply))
      stored->known =
          originals(contents, known_before(contents, known, stored->base), stored->base);
    return Outcome{std::move(*reply)};
  }
  const TopicConfig& config = found.topic->config;
  auto without = duplicates(contents, known);
  if (without.empty())
    return store(found, batch, added, {contents.ids, batch.came, window_of(config)});
  const auto view = RecordBatchView::parse(added.bytes());
  const bool all = without.size() == static_cast<std::size_t>(view->record_count());
  if (all && view->producer_id() < 0 && !batch.source) {
    auto everywhere = originals(contents, known, Offset(0));
    const Offset first = everywhere.front().offset;
    return Outcome{Produced{first, config.durability, true, std::move(everywhere)}};
  }
  if (!batch.rewritten && !rewrite(batch, added.bytes(), std::move(without))) return std::nullopt;
  if (!*batch.rewritten) return Outcome{batch.rewritten->error()};
  // Where all are known, too: the producer's sequence goes on.
  const auto ids = new_ids(contents, known);
  Outcome outcome = store(found, batch, **batch.rewritten, {ids, batch.came, window_of(config)});
  if (auto* stored = std::get_if<Produced>(&outcome.reply))
    stored->known = originals(contents, known, stored->base);
  return outcome;
}

// False: storage will tell.
bool Produces::find_ids(const FoundPartition& found, Batch& batch) {
  std::vector<storage::IdHash> hashes;
  hashes.reserve((*batch.checked)->ids.size());
  for (const storage::RecordId& id : (*batch.checked)->ids) hashes.push_back(id.id);
  batch.token = ++last_token_ | kTokenBit;
  auto outcome =
      storage_.find_ids(found.id, window_of(found.topic->config), hashes, batch.came, batch.token);
  auto* known = std::get_if<storage::KnownIds>(&outcome);
  if (known)
    batch.known = std::move(*known);
  else
    batch.asked = Asked::kIds;
  return known != nullptr;
}

// False: that would take too long here.
bool Produces::rewrite(Batch& batch, Bytes bytes, std::vector<std::int32_t> without) {
  if (batch.elsewhere) {
    batch.asked = Asked::kRewriting;
    batch.without = std::move(without);
    return false;
  }
  batch.rewritten = broker::rewrite(bytes, {options_.decompressed_bytes, std::move(without)});
  return true;
}

// What there is to say of a batch that is not its producer's next one.
std::optional<Reply> Produces::check_sequence(const FoundPartition& found, Bytes bytes) const {
  const auto batch = RecordBatchView::parse(bytes);
  if (batch->producer_id() < 0) return std::nullopt;
  const auto stored = storage_.check_sequence(found.id, *batch);
  if (!stored) return stored.error();
  if (!*stored) return std::nullopt;
  // A retry waits for the original as every reply does (rule 2).
  return Produced{**stored, found.topic->config.durability, true, {}};
}

Produces::Outcome Produces::store(const FoundPartition& found, const Batch& batch,
                                  storage::NewBatch added, const storage::NewIds& ids) {
  const TopicConfig& config = found.topic->config;
  if (auto ok = make_room(config, added.bytes().size()); !ok) return {ok.error()};
  if (auto ok = note_timed(*found.topic, **batch.checked); !ok) return {ok.error()};
  Produced produced{.base = {}, .durability = config.durability};
  if (config.timestamps == TimestampType::kAppendTime) {
    produced.append_time_ms = batch.stamp.time_since_epoch().count();
    auto stamped = std::make_shared<OwnedBatch>(added.bytes().begin(), added.bytes().end());
    assign_append_time(*stamped, produced.append_time_ms);
    added = {MutableBytes(*stamped), std::move(stamped)};
  }
  std::optional<SourceStep> step;
  if (batch.source) step = batch.source->step();
  const auto appended = storage_.append(found.id, config, added, ids, step);
  if (!appended) return {appended.error()};
  produced.base = appended->base;
  if (const auto& all = (*batch.checked)->traces; !all.empty())
    produced.traces = std::make_shared<AppendTraces>(
        AppendTraces{found.topic->name, batch.index, batch.received, all});
  return {std::move(produced), config.durability != Durability::kSync};
}

// Once in the life of a topic, and in the journal before the record.
Result<> Produces::note_timed(const storage::Topic& topic, const BatchContents& contents) {
  if (!contents.timed || topic.config.timed_records) return {};
  TopicConfig config = topic.config;
  config.timed_records = true;
  const auto position = storage_.configure_topic(topic.id, config);
  if (!position) return fail(position.error());
  return {};
}

// What is stored already needs no room, so this comes behind check_sequence().
Result<> Produces::make_room(const TopicConfig& config, std::size_t bytes) {
  const std::uint64_t most = options_.max_stored_bytes, stored = storage_.stored_bytes();
  if (most == 0 || stored + bytes <= most) return {};
  if (config.on_full == OnFull::kDropOldest && bytes <= most) {
    const std::uint64_t least = stored + bytes - most;
    const std::uint64_t wanted = std::max({least, most / kSlack, std::uint64_t{bytes}});
    if (storage_.drop_oldest(wanted) || storage_.drop_oldest(least)) return {};
  }
  return fail(ErrorCode::kNoSpace, std::to_string(stored) + " of " + std::to_string(most) +
                                       " bytes are in use; records are refused until some go");
}

void Produces::answer(const RequestId& id, Reply reply) {
  const auto it = connections_.find(id.connection);
  if (it == connections_.end()) return replies_.reply(id, std::move(reply));
  it->second.push_back({id, std::move(reply), nullptr});
}

// What may goes in, up to the first that waits for something. Without room in storage it stays
// here.
void Produces::advance(PartitionId partition) {
  const auto it = partitions_.find(partition);
  if (it == partitions_.end()) return;
  auto& queue = it->second;
  while (!queue.empty()) {
    const SharedWaiting first = queue.front();
    // Nothing else with ids is appended while storage looks, whoever still wants to know.
    if (first->asked == Asked::kIds) return;
    std::optional<Outcome> outcome;
    if (!first->dropped) {
      if (first->asked != Asked::kNothing || !storage_.has_room()) return;
      outcome = append(*first, {MutableBytes(*first->bytes), first->bytes});
      if (!outcome) return ask(first);
    }
    queue.pop_front();
    if (!outcome) continue;
    decide(*first, std::move(outcome->reply));
    if (outcome->visible) visible_(partition);
  }
  partitions_.erase(it);
}

void Produces::decide(Waiting& waiting, Reply reply) {
  const auto it = connections_.find(waiting.connection);
  auto& slots = it->second;
  waiting.slot->reply = std::move(reply);
  waiting.slot->waiting.reset();
  charge(waiting, 0);
  while (!slots.empty() && slots.front().reply) {
    Slot ready = std::move(slots.front());
    slots.pop_front();
    replies_.reply(ready.request, std::move(*ready.reply));
  }
  if (slots.empty()) connections_.erase(it);
}

// ---- events ----

template <class Key>
Produces::SharedWaiting Produces::told(std::unordered_map<Key, SharedWaiting>& asked, Key key) {
  auto node = asked.extract(key);
  LEAT_ASSERT(!node.empty());
  SharedWaiting waiting = std::move(node.mapped());
  waiting->asked = Asked::kNothing;
  if (waiting->dropped) charge(*waiting, 0);
  return waiting;
}

void Produces::on_checked(CheckTicket ticket, Result<BatchContents> result) {
  const SharedWaiting waiting = told(checking_, ticket);
  if (!waiting->dropped) charge(*waiting, charge_of(*waiting->bytes, result));
  waiting->checked = std::move(result);
  advance(waiting->partition);
  tell_room();
}

void Produces::on_rewritten(CheckTicket ticket, Result<OwnedBatch> result) {
  const SharedWaiting waiting = told(checking_, ticket);
  if (result && result->size() > options_.batch_bytes)
    result = fail(ErrorCode::kBatchTooLarge,
                  std::to_string(result->size()) +
                      " bytes without the records that are known; at most " +
                      std::to_string(options_.batch_bytes) + ", send smaller batches");
  waiting->rewritten = std::move(result);
  advance(waiting->partition);
  tell_room();
}

void Produces::on_known_ids(storage::ReadToken token, Result<storage::KnownIds> known) {
  const SharedWaiting waiting = told(looking_, token);
  waiting->known = std::move(known);
  advance(waiting->partition);
  tell_room();
}

void Produces::on_room() {
  std::vector<PartitionId> partitions;
  for (const auto& [id, queue] : partitions_) partitions.push_back(id);
  for (const PartitionId id : partitions) advance(id);
  tell_room();
}

void Produces::on_connection_closed(ConnectionId connection) {
  const auto node = connections_.extract(connection);
  if (node.empty()) return;
  std::set<PartitionId> partitions;
  for (Slot& slot : node.mapped()) {
    if (!slot.waiting) continue;
    slot.waiting->dropped = true;
    slot.waiting->bytes.reset();
    // A checker may hold the bytes until it has told.
    if (slot.waiting->asked == Asked::kNothing) charge(*slot.waiting, 0);
    partitions.insert(slot.waiting->partition);
  }
  for (const PartitionId partition : partitions) advance(partition);
  tell_room();
}

// Rule 2: what was stored and not told by now may be lost.
void Produces::on_failed(const Error& error) {
  for (auto& [id, slots] : connections_)
    for (Slot& slot : slots)
      if (slot.reply && std::holds_alternative<Produced>(*slot.reply))
        slot.reply = Error(ErrorCode::kOutcomeUnknown, error.detail);
}

void Produces::charge(Waiting& waiting, std::size_t bytes) {
  waiting_bytes_ += bytes - waiting.charge;
  waiting.charge = bytes;
}

// Not for every batch that goes: each time all that is held back is looked at again.
void Produces::tell_room() {
  if (!refused_ || waiting_bytes_ > options_.checking_bytes / 2) return;
  refused_ = false;
  sink_.on_room();
}

}  // namespace leat::broker
