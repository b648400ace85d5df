#include "server/broker/delivery/loans.h"

#include <algorithm>
#include <utility>

namespace leat::broker {

std::uint32_t Loans::lend(const MemberKey& member, std::uint64_t delivery, MonotonicTime deadline) {
  const std::uint32_t at =
      loans_.add({.member = member, .delivery = delivery, .deadline = deadline});
  deliveries_[{member, delivery}].loans.push_back(at);
  deadlines_.emplace(deadline, at);
  return at;
}

std::uint32_t Loans::keep(const MemberKey& member) {
  return loans_.add({.member = member, .parked = true});
}

void Loans::remove(std::uint32_t at) {
  const Loan& loan = loans_[at];
  if (!loan.parked) {
    deadlines_.erase({loan.deadline, at});
    const auto delivery = deliveries_.find({loan.member, loan.delivery});
    std::erase(delivery->second.loans, at);
    if (delivery->second.loans.empty()) deliveries_.erase(delivery);
  }
  loans_.remove(at);
}

const Loans::Delivery* Loans::find(const MemberKey& member, std::uint64_t delivery) const {
  const auto it = deliveries_.find({member, delivery});
  return it == deliveries_.end() ? nullptr : &it->second;
}

void Loans::lose(std::uint32_t at, Offset offset) {
  deliveries_.at({loans_[at].member, loans_[at].delivery}).lost.push_back(offset);
}

std::vector<Offset> Loans::take_lost(const MemberKey& member, std::uint64_t delivery) {
  const auto it = deliveries_.find({member, delivery});
  if (it == deliveries_.end()) return {};
  auto lost = std::exchange(it->second.lost, {});
  std::ranges::sort(lost);
  return lost;
}

std::optional<std::pair<MonotonicTime, std::uint32_t>> Loans::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return *deadlines_.begin();
}

void Loans::shift(Duration gap) {
  std::set<std::pair<MonotonicTime, std::uint32_t>> deadlines;
  for (const auto& [deadline, at] : deadlines_) {
    loans_[at].deadline += gap;
    deadlines.emplace(deadline + gap, at);
  }
  deadlines_ = std::move(deadlines);
}

}  // namespace leat::broker
