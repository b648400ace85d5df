#include "tests/storage/rot.h"

#include <algorithm>
#include <fstream>
#include <regex>

#include <unistd.h>

#include "protocol/base/assert.h"
#include "storage/rocks/rocks.h"

namespace leat::test {
namespace {

namespace fs = std::filesystem;
using storage::DiskStorage;

constexpr auto kHang = std::chrono::seconds(60);
constexpr std::size_t kReadBytes = 256 << 10;
constexpr std::size_t kBlock = 4096;

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string spoken(const storage::Group& group) {
  std::string text = std::to_string(group.epoch);
  for (const auto& [id, member] : group.members) text += " " + id + "/" + member.client_name;
  for (const auto& [partition, owner] : group.owners)
    text += " " + std::to_string(partition.partition.value) + "=" + owner.member;
  return text;
}

}  // namespace

// ---- a storage that is waited for ----

storage::StorageOptions OpenedStorage::options(const std::string& path) {
  return {.data_dir = path,
          .memory_bytes = 8 << 20,
          .max_unpersisted_bytes = 8 << 20,
          .max_unpersisted_entries = 400,
          .journal_segment_bytes = 256 << 10,
          .large_batch_bytes = 400,
          .reserve_bytes = 0};
}

OpenedStorage::OpenedStorage(const std::string& path) {
  auto with_points = options(path);
  with_points.at_point = [this](std::string_view point) {
    if (point != "store.persisted" && point != "cleaner.compacted") return;
    {
      const std::lock_guard lock(mutex_);
      ++(point == "store.persisted" ? rolls_ : compactions_);
    }
    wake();
  };
  auto opened =
      DiskStorage::open(std::move(with_points), storage::real_file_io(), [this] { wake(); });
  if (opened)
    storage_ = std::move(*opened);
  else
    error_ = opened.error();
}

void OpenedStorage::wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

template <class Done>
void OpenedStorage::poll_until(Done done) {
  const auto deadline = std::chrono::steady_clock::now() + kHang;
  for (;;) {
    storage_->poll(*this);
    if (done()) return;
    std::unique_lock lock(mutex_);
    const bool woken = changed_.wait_until(lock, deadline, [this] { return woken_; });
    LEAT_ASSERT(woken);
    woken_ = false;
  }
}

void OpenedStorage::settle() {
  poll_until([this] { return storage_->durable() >= storage_->last_appended(); });
}

void OpenedStorage::wait_for_room() {
  if (!storage_->has_room()) poll_until([this] { return storage_->has_room(); });
}

void OpenedStorage::compact() {
  const int before = compactions_;
  storage_->retain(WallTime());
  poll_until([&] {
    const std::lock_guard lock(mutex_);
    return compactions_ > before;
  });
}

Result<std::vector<std::byte>> OpenedStorage::read(PartitionId partition, Offset from) {
  answer_.reset();
  auto outcome = storage_->read(partition, from, kReadBytes, 1);
  if (auto* later = std::get_if<storage::ReadResult>(&outcome)) answer_ = std::move(*later);
  if (!answer_) poll_until([this] { return answer_.has_value(); });
  if (!*answer_) return fail(answer_->error());
  std::vector<std::byte> all;
  for (const auto& stored : (*answer_)->batches)
    all.insert(all.end(), stored.bytes.begin(), stored.bytes.end());
  return all;
}

// ---- content ----

Content Content::of(OpenedStorage& storage) {
  Content content;
  for (const storage::Topic* topic : storage->topics())
    for (std::size_t i = 0; i < topic->partitions.size(); ++i)
      content.take(topic->name, static_cast<std::int32_t>(i), topic->partitions[i], storage);
  for (const std::string& group : storage->groups()) {
    std::string text;
    for (const auto& [partition, committed] : storage->commits(group))
      text += " " + std::to_string(partition.partition.value) + "@" +
              std::to_string(committed.offset.value) + std::string(committed.metadata);
    content.commits_[group] = text;
    if (const auto* found = storage->find_group(group)) content.groups_[group] = spoken(*found);
  }
  return content;
}

void Content::take(const std::string& topic, std::int32_t index, PartitionId id,
                   OpenedStorage& storage) {
  Partition& partition = partitions_[{topic, index}];
  partition.bounds = storage->bounds(id);
  const std::string where = topic + "/" + std::to_string(index);
  for (Offset from = partition.bounds.log_start; from < partition.bounds.high_watermark;) {
    const auto read = storage.read(id, from);
    if (!read) {
      static const std::regex range("topic '(.*)' partition (\\d+), offsets (\\d+) to (\\d+)");
      std::smatch match;
      const std::string text = read.error().message();
      const bool found = std::regex_search(text, match, range);
      if (!found || match[1] != topic || std::stoi(match[2]) != index ||
          Offset(std::stoll(match[4])) < from) {
        wrong_.push_back(where + " at " + std::to_string(from.value) + " answers: " + text);
        return;
      }
      gaps_.push_back({topic, index, from, Offset(std::stoll(match[4]) + 1)});
      from = gaps_.back().next;
      continue;
    }
    const Offset before = from;
    for (Bytes rest = *read; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      if (!batch || !batch->check()) {
        wrong_.push_back(where + " serves what is no batch");
        return;
      }
      partition.batches[batch->base_offset()].assign(batch->bytes().begin(), batch->bytes().end());
      from = batch->last_offset() + 1;
      rest = rest.subspan(batch->bytes().size());
    }
    if (from > before) continue;
    wrong_.push_back(where + " serves nothing at " + std::to_string(from.value));
    return;
  }
}

bool Content::in_gap(const std::string& topic, std::int32_t partition, Offset offset) const {
  return std::ranges::any_of(gaps_, [&](const Gap& gap) {
    return gap.topic == topic && gap.partition == partition && offset >= gap.first &&
           offset < gap.next;
  });
}

std::string Content::differs_from(const Content& whole) const {
  if (!wrong_.empty()) return wrong_.front();
  if (partitions_.size() != whole.partitions_.size()) return "other topics";
  if (commits_ != whole.commits_) return "other commits";
  if (groups_ != whole.groups_) return "other groups";
  for (const auto& [at, was] : whole.partitions_) {
    const std::string where = at.first + "/" + std::to_string(at.second);
    const auto found = partitions_.find(at);
    if (found == partitions_.end()) return where + " is missing";
    const Partition& is = found->second;
    if (is.bounds.log_start != was.bounds.log_start ||
        is.bounds.high_watermark != was.bounds.high_watermark)
      return where + " has other bounds";
    for (const auto& [base, batch] : is.batches)
      if (const auto it = was.batches.find(base); it == was.batches.end() || it->second != batch)
        return where + " serves another batch at " + std::to_string(base.value);
    for (const auto& [base, batch] : was.batches)
      if (!is.batches.contains(base) && !in_gap(at.first, at.second, base))
        return where + " serves nothing at " + std::to_string(base.value);
  }
  return {};
}

namespace {

bool holds(const std::vector<Gap>& gaps, const std::string& topic, std::int32_t partition,
           Offset offset) {
  return std::ranges::any_of(gaps, [&](const Gap& gap) {
    return gap.topic == topic && gap.partition == partition && offset >= gap.first &&
           offset < gap.next;
  });
}

std::vector<Gap> lost_by(const std::string& report) {
  static const std::regex line(
      "done: topic '(.*)' partition (\\d+), offsets (\\d+) to (\\d+) are lost");
  std::vector<Gap> lost;
  for (std::sregex_iterator it(report.begin(), report.end(), line), end; it != end; ++it)
    lost.push_back({(*it)[1], std::stoi((*it)[2]), Offset(std::stoll((*it)[3])),
                    Offset(std::stoll((*it)[4]) + 1)});
  return lost;
}

}  // namespace

std::string Content::differs_from(const Content& whole, const std::string& report) const {
  if (!wrong_.empty()) return wrong_.front();
  if (!gaps_.empty()) return "a repaired partition has gaps";
  const bool journal = report.find("journal") != std::string::npos;
  const auto complains = [&](const char* what) {
    return journal || report.find(what) != std::string::npos;
  };
  if (partitions_.size() != whole.partitions_.size()) return "other topics";
  if (commits_ != whole.commits_ && !complains("'offsets'")) return "other commits";
  if (groups_ != whole.groups_ && !complains("'offsets'")) return "other groups";
  for (const auto& [at, was] : whole.partitions_)
    if (auto wrong = partition_differs(at, partitions_.at(at), was, lost_by(report), journal);
        !wrong.empty())
      return at.first + "/" + std::to_string(at.second) + " " + wrong;
  return {};
}

std::string Content::partition_differs(const Place& at, const Partition& is, const Partition& was,
                                       const std::vector<Gap>& lost, bool journal_lost) {
  const auto lost_at = [&](Offset offset) { return holds(lost, at.first, at.second, offset); };
  if (is.bounds.log_start != was.bounds.log_start && !journal_lost) return "starts elsewhere";
  if (is.bounds.high_watermark != was.bounds.high_watermark && !journal_lost)
    return "ends elsewhere";
  for (const auto& [base, batch] : is.batches) {
    const auto it = was.batches.find(base);
    if (it != was.batches.end() && it->second == batch) continue;
    if (RecordBatchView::parse(batch)->record_count() > 0 || !lost_at(base))
      return "serves another batch at " + std::to_string(base.value);
  }
  for (const auto& [base, batch] : was.batches)
    if (!lost_at(base) && base < is.bounds.high_watermark && !is.batches.contains(base))
      return "serves nothing at " + std::to_string(base.value);
  return {};
}

// ---- a directory ----

namespace {

// Fills a directory, and knows what it gave.
class Filler {
 public:
  explicit Filler(const std::string& path) : path_(path) {}

  void first_life() {
    OpenedStorage storage(path_);
    LEAT_ASSERT(storage.open());
    create(storage, "orders", 3);
    create(storage, "once", 2);
    create(storage, "trimmed", 1);
    create(storage, "keys", 1, {.cleanup = Cleanup::kCompact});
    create(storage, "gone", 1);
    for (int i = 0; i < 300; ++i) append(storage, {"orders", "once", "trimmed", "keys", "gone"});
    for (int i = 0; i < 10; ++i) commit(storage);
    join(storage);
    storage.settle();
    const auto* trimmed = storage->find_topic("trimmed");
    const PartitionId id = trimmed->partitions.front();
    LEAT_ASSERT(storage->move_log_start(id, Offset(storage->bounds(id).high_watermark.value / 2)));
    LEAT_ASSERT(storage->delete_topic(storage->find_topic("gone")->id));
    for (int i = 0; i < 800; ++i) append(storage, {"orders", "trimmed", "keys"});
    storage.settle();
    storage.compact();
  }
  // So many rolls that RocksDB's MANIFEST has more than one block.
  void long_life() {
    OpenedStorage storage(path_);
    LEAT_ASSERT(storage.open());
    for (int i = 0; i < 5'000; ++i) append(storage, {"orders", "trimmed", "keys"});
    for (int i = 0; i < 50; ++i) commit(storage);
    storage.settle();
    storage.compact();
  }
  // Of which part is in the journal alone.
  void last_life() {
    OpenedStorage storage(path_);
    LEAT_ASSERT(storage.open());
    for (int i = 0; i < 60; ++i) append(storage, {"orders", "keys"});
    for (int i = 0; i < 5; ++i) commit(storage);
    join(storage);
    storage.settle();
  }

 private:
  void create(OpenedStorage& storage, const std::string& name, int partitions,
              TopicConfig config = {}) {
    LEAT_ASSERT(storage->create_topic(random_.topic_id(), name, partitions, config, WallTime()));
  }
  void append(OpenedStorage& storage, const std::vector<std::string>& names) {
    storage.wait_for_room();
    const auto* topic = storage->find_topic(names[random_.below(names.size())]);
    const auto index = random_.below(topic->partitions.size());
    const std::size_t bytes = random_.below(40) == 0 ? 30'000 : random_.below(600);
    const std::string value(bytes, static_cast<char>('a' + random_.below(26)));
    RecordBatchBuilder builder;
    for (std::uint64_t i = 0; i <= random_.below(3); ++i) {
      const std::string key = "k" + std::to_string(random_.below(200));
      builder.append({.key = as_bytes(key), .value = as_bytes(value)}, 1);
    }
    LEAT_ASSERT(storage->append(topic->partitions[index], topic->config, builder.finish()));
  }
  void commit(OpenedStorage& storage) {
    storage.wait_for_room();
    const auto* topic = storage->find_topic("orders");
    const storage::OffsetCommit commit{
        topic->id, PartitionIndex(static_cast<std::int32_t>(random_.below(3))),
        Offset(static_cast<std::int64_t>(random_.below(100))), "metadata"};
    LEAT_ASSERT(storage->commit_offsets("group-" + std::to_string(random_.below(5)), {&commit, 1}));
  }
  void join(OpenedStorage& storage) {
    storage::GroupChange change{.group = "members", .kind = GroupKind::kPartitioned};
    change.joined = storage::GroupMember{.id = "member-" + std::to_string(random_.below(100)),
                                         .client_name = "client",
                                         .topics = {"orders"},
                                         .session_timeout = std::chrono::milliseconds(10),
                                         .rebalance_timeout = std::chrono::milliseconds(20)};
    LEAT_ASSERT(storage->change_group(change));
  }

  const std::string path_;
  Random random_{7};
};

}  // namespace

void fill_directory(const std::string& path) {
  Filler filler(path);
  filler.first_life();
  filler.long_life();
  filler.last_life();
}

// ---- damage ----

void RotCase::copy(const std::string& from, const std::string& to) {
  fs::remove_all(to);
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    const fs::path target = fs::path(to) / fs::relative(entry.path(), from);
    if (entry.is_directory()) {
      fs::create_directories(target);
      continue;
    }
    fs::create_directories(target.parent_path());
    if (entry.path().extension() == ".sst")
      fs::create_hard_link(entry.path(), target);
    else
      fs::copy_file(entry.path(), target);
  }
}

std::map<std::string, std::vector<std::string>> RotCase::kinds(const std::string& path) {
  std::map<std::string, std::vector<std::string>> kinds;
  std::map<std::string, std::string> families;
  auto rocks = storage::Rocks::open({.directory = path + "/rocksdb", .read_only = true});
  LEAT_ASSERT(rocks);
  for (const auto& file : (*rocks)->files())
    families[fs::path(file.path).filename().string()] = file.family;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (!entry.is_regular_file()) continue;
    const std::string file = fs::relative(entry.path(), path).string();
    const std::string name = entry.path().filename().string();
    std::string kind = file;
    if (const auto family = families.find(name); family != families.end()) kind = family->second;
    if (name.ends_with(".seg")) kind = "segment";
    if (file.starts_with("rocksdb/MANIFEST")) kind = "rocksdb/MANIFEST";
    if (file.starts_with("rocksdb/OPTIONS") || file.starts_with("rocksdb/LOG") ||
        name.ends_with(".log") || name == "LOCK" || name == "IDENTITY")
      kind = "other";
    kinds[kind].push_back(file);
  }
  for (auto& [kind, files] : kinds) std::ranges::sort(files);
  return kinds;
}

RotCase::RotCase(const std::map<std::string, std::vector<std::string>>& kinds,
                 const std::string& path, std::uint64_t seed) {
  Random random(seed);
  // Those of which most may go wrong have more turns.
  std::vector<std::string> turns;
  for (const auto& [kind, files] : kinds)
    turns.insert(turns.end(),
                 kind == "records" || kind == "segment" || kind == "rocksdb/MANIFEST" ? 4 : 1,
                 kind);
  kind_ = turns[seed % turns.size()];
  const auto& files = kinds.at(kind_);
  file_ = files[random.below(files.size())];
  rot_ = static_cast<Rot>(random.below(4));
  const std::string bytes = slurp(fs::path(path) / file_);
  if (bytes.empty()) rot_ = Rot::kDelete;
  if (rot_ == Rot::kDelete) return;
  // Where there is something: most of a segment is zeros.
  const std::size_t used = bytes.find_last_not_of('\0') + 1;
  at_ = random.below(random.below(8) == 0 ? bytes.size() : std::max<std::size_t>(used, 1));
  bit_ = static_cast<unsigned>(random.below(8));
  if (rot_ == Rot::kZero) at_ = at_ / kBlock * kBlock;
}

void RotCase::apply(const std::string& path) const {
  const fs::path file = fs::path(path) / file_;
  std::string bytes = slurp(file);
  fs::remove(file);  // it may be shared
  if (rot_ == Rot::kDelete) return;
  const auto at = static_cast<std::size_t>(at_);
  if (rot_ == Rot::kFlip) bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit_));
  if (rot_ == Rot::kZero)
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                std::min(kBlock, bytes.size() - at), '\0');
  if (rot_ == Rot::kTruncate) bytes.resize(at);
  std::ofstream(file, std::ios::binary) << bytes;
}

std::string RotCase::text() const {
  constexpr const char* names[] = {"flip", "zero", "truncate", "delete"};
  return std::string(names[static_cast<int>(rot_)]) + " " + file_ + " (" + kind_ + ") at " +
         std::to_string(at_);
}

std::map<std::string, std::string> bytes_of(const std::string& path) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(path))
    all[fs::relative(entry.path(), path).string()] =
        entry.is_regular_file() ? slurp(entry.path()) : "";
  return all;
}

}  // namespace leat::test
