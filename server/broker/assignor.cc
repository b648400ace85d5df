#include "server/broker/assignor.h"

#include <algorithm>

namespace leat::broker {
namespace {

class Assignor {
 public:
  explicit Assignor(const AssignorInput& input) : input_(input) {
    for (const auto& topic : input.topics)
      for (const std::string& member : topic.members) held_.try_emplace(member);
  }

  Target run() {
    keep();
    fill();
    while (balance_once()) {
    }
    return std::move(target_);
  }

 private:
  struct Held {
    std::size_t count = 0;
    std::vector<std::vector<storage::TopicPartition>> by_topic;  // index = the topic's
  };

  void give(std::size_t topic, const storage::TopicPartition& partition,
            const std::string& member) {
    Held& held = held_.at(member);
    held.by_topic.resize(input_.topics.size());
    held.by_topic[topic].push_back(partition);
    ++held.count;
    target_[partition] = member;
  }

  void keep() {
    for (std::size_t t = 0; t < input_.topics.size(); ++t)
      for (const auto& partition : input_.topics[t].partitions) {
        const auto owner = input_.owners.find(partition);
        if (owner != input_.owners.end() && input_.topics[t].members.contains(owner->second))
          give(t, partition, owner->second);
      }
  }

  const std::string& least_loaded(const AssignorInput::Topic& topic) const {
    return *std::ranges::min_element(
        topic.members, {}, [this](const std::string& member) { return held_.at(member).count; });
  }

  void fill() {
    for (std::size_t t = 0; t < input_.topics.size(); ++t) {
      if (input_.topics[t].members.empty()) continue;
      for (const auto& partition : input_.topics[t].partitions)
        if (!target_.contains(partition)) give(t, partition, least_loaded(input_.topics[t]));
    }
  }

  // Moves one partition from a member to one that has at least two fewer. Each move lowers the sum
  // of squares, so this comes to an end.
  bool balance_once() {
    std::vector<const std::string*> heaviest;
    for (const auto& [member, held] : held_) heaviest.push_back(&member);
    std::ranges::stable_sort(heaviest, std::greater(),
                             [this](const std::string* member) { return held_.at(*member).count; });
    return std::ranges::any_of(heaviest, [this](const std::string* from) { return shed(*from); });
  }

  bool shed(const std::string& from) {
    Held& held = held_.at(from);
    for (std::size_t t = 0; t < held.by_topic.size(); ++t) {
      if (held.by_topic[t].empty()) continue;
      const std::string to = least_loaded(input_.topics[t]);
      if (held_.at(to).count + 2 > held.count) continue;
      const storage::TopicPartition partition = held.by_topic[t].back();
      held.by_topic[t].pop_back();
      --held.count;
      give(t, partition, to);
      return true;
    }
    return false;
  }

  const AssignorInput& input_;
  std::map<std::string, Held> held_;
  Target target_;
};

}  // namespace

Target assign(const AssignorInput& input) {
  return Assignor(input).run();
}

}  // namespace leat::broker
