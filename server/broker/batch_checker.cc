#include "server/broker/batch_checker.h"

#include <algorithm>
#include <array>
#include <bit>

#include "protocol/record_batch.h"
#include "protocol/record_extras.h"
#include "protocol/reserved_headers.h"

namespace leat::broker {
namespace {

storage::IdHash hash_of(const TopicId& topic, const RecordExtras& extras) {
  if (!extras.redriven) return storage::hash_of(topic, *extras.id);
  // What is sent again from a dead letter topic is not its original.
  std::array<std::byte, kMaxIdBytes + 1 + kMaxRedrivenBytes> both;
  auto end = std::ranges::copy(*extras.id, both.begin()).out;
  *end++ = std::byte{0};
  end = std::ranges::copy(*extras.redriven, end).out;
  return storage::hash_of(topic, {both.begin(), end});
}

// Gathers what a batch has beside records, as its records are validated.
class ContentsGatherer {
 public:
  ContentsGatherer(const BatchRules& rules, std::size_t records)
      : rules_(rules.ids), traces_(rules.traces), most_(std::min(records, kMaxIdsInBatch)) {}

  void add(std::int32_t delta, const RecordHeaders& headers) {
    if (!ok_) return;
    RecordExtras extras;
    ok_ = read_extras(headers, extras);
    contents_.timed = contents_.timed || extras.timed();
    if (traces_) add_trace(delta, headers);
    if (ok_ && rules_ && extras.id) ok_ = add_id(delta, hash_of(rules_->topic, extras));
  }

  // Once the whole batch is known to be intact: what is wrong with that comes first.
  Result<BatchContents> take() {
    if (!ok_) return fail(ok_.error());
    return std::move(contents_);
  }

 private:
  // Strangers write them: what is malformed is none.
  void add_trace(std::int32_t delta, const RecordHeaders& headers) {
    if (contents_.traces.size() == kMostTracedInBatch) return;
    const auto header = headers.find(reserved_headers::kTraceParent);
    if (!header || !header->value) return;
    const auto sent = parse_traceparent(as_text(*header->value));
    if (sent && sent->sampled()) contents_.traces.push_back({delta, *sent});
  }

  Result<> add_id(std::int32_t delta, const storage::IdHash& id) {
    if (contents_.ids.size() + contents_.repeated.size() == most_)
      return fail(ErrorCode::kBatchTooLarge,
                  "more than " + std::to_string(most_) + " records with ids; send smaller batches");
    if (slots_.empty()) slots_.resize(std::bit_ceil(2 * most_));
    std::uint32_t& slot = slot_of(id);
    if (slot != 0) {
      contents_.repeated.push_back({delta, slot - 1});
    } else {
      contents_.ids.push_back({delta, id});
      slot = static_cast<std::uint32_t>(contents_.ids.size());
    }
    return {};
  }

  // Where it is, or the empty slot for it: at most half of them are taken.
  std::uint32_t& slot_of(const storage::IdHash& id) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = ((id.low ^ rules_->salt) * 0x9e3779b97f4a7c15) >> 32;
    while (slots_[at &= mask] != 0 && contents_.ids[slots_[at] - 1].id != id) ++at;
    return slots_[at];
  }

  const std::optional<IdRules>& rules_;
  const bool traces_;
  const std::size_t most_;
  Result<> ok_;
  BatchContents contents_;
  std::vector<std::uint32_t> slots_;  // an index of contents_.ids, from 1; 0: none
};

}  // namespace

Result<BatchContents> check_records(Bytes bytes, const BatchRules& rules) {
  auto batch = RecordBatchView::parse(bytes);
  if (!batch) return fail(batch.error());
  if (batch->bytes().size() != bytes.size())
    return fail(ErrorCode::kInvalidBatch, "more than one batch in a produce request");
  const auto records = static_cast<std::size_t>(std::max(batch->record_count(), 0));
  ContentsGatherer contents(rules, records);
  const auto visit = [&](std::int32_t delta, const RecordHeaders& headers) {
    contents.add(delta, headers);
  };
  if (auto ok = batch->validate(rules.max_decompressed_bytes, rules.keys, visit); !ok)
    return fail(ok.error());
  return contents.take();
}

Result<OwnedBatch> rewrite(Bytes bytes, const Rewriting& rewriting) {
  const auto batch = RecordBatchView::parse(bytes);
  if (!batch) return fail(batch.error());
  auto next = rewriting.without.begin();
  const auto keep = [&](const RecordView& record) {
    const bool out = next != rewriting.without.end() &&
                     record.offset - batch->base_offset() == std::int64_t{*next};
    if (out) ++next;
    return !out;
  };
  auto filtered = filter_records(*batch, keep, rewriting.max_decompressed_bytes);
  if (!filtered) return fail(filtered.error());
  return std::move(filtered->bytes);
}

}  // namespace leat::broker
