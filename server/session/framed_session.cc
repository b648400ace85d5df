#include "server/session/framed_session.h"

#include <algorithm>

namespace leat::session {
namespace {
// Less than this is sooner copied than received by itself.
constexpr std::size_t kWorthRoom = 64 << 10;
}  // namespace

void FramedSession::on_receive(Bytes bytes) {
  if (closing_) return;
  if (!received_.empty()) {
    // Of what follows a frame that was begun nothing is copied before that one is done with.
    const std::size_t missing = reserved_ > 0 ? reserved_ - received_.size() : bytes.size();
    const Bytes rest = bytes.first(std::min(missing, bytes.size()));
    received_.append(rest);
    bytes = bytes.subspan(rest.size());
    proceed();
  }
  if (!bytes.empty() && !closing_) keep(bytes);
  account();
  update_deadline();
}

// What is received behind all that waits.
void FramedSession::keep(Bytes bytes) {
  if (received_.empty()) bytes = bytes.subspan(process(bytes));
  received_.append(bytes);
}

FramedSession::Room FramedSession::room() const {
  const std::size_t missing = reserved_ > 0 && !closing_ ? reserved_ - received_.size() : 0;
  if (missing < kWorthRoom) return {};
  return {received_.owner(), received_.free().first(missing)};
}

void FramedSession::filled(std::size_t bytes) {
  if (closing_) return;
  received_.grow(bytes);
  if (received_.size() == reserved_) proceed();
  account();
  update_deadline();
}

void FramedSession::proceed() {
  if (closing_ || blocked()) return;
  const std::size_t used = process(received_.all());
  received_.drop_front(used);
  account();
  if (paused_ && !held_back_ && !closing_) {
    paused_ = false;
    output_.resume(id_);
  }
  update_deadline();
}

// Handles whole frames from the front; returns how many bytes they had. Stops, and stops reading
// from the peer, where it must.
std::size_t FramedSession::process(Bytes bytes) {
  std::size_t used = 0;
  held_back_ = false;
  while (!closing_ && used < bytes.size()) {
    if (blocked()) {
      hold_back();
      break;
    }
    const Taken taken = take_frame(bytes.subspan(used));
    if (taken.held_back) hold_back();
    if (taken.bytes == 0) break;
    used += taken.bytes;
  }
  return closing_ ? bytes.size() : used;
}

void FramedSession::hold_back() {
  held_back_ = true;
  if (!paused_) output_.pause(id_);
  paused_ = true;
}

// Has what lies in received_ counted, and room for the rest of a frame before it is read.
void FramedSession::account() {
  if (closing_) received_.clear();
  std::size_t frame = begun_frame(received_.all());
  if (frame <= received_.size()) frame = 0;
  if (reserved_ > 0 && frame == reserved_) return;
  memory_.give_back(std::exchange(held_, 0), std::exchange(reserved_, 0));
  if (frame > 0 && memory_.reserve(frame)) {
    reserved_ = frame;
    return received_.reserve(frame);
  }
  if (!memory_.hold(received_.size())) {
    received_.clear();
    return refuse({ErrorCode::kLimitReached,
                   "the memory for requests is in use (memory); try again later, or raise it"});
  }
  held_ = received_.size();
  if (frame > 0) hold_back();
}

void FramedSession::close() {
  closing_ = true;
  flush();
  output_.close_when_drained(id_);
}

void FramedSession::update_deadline() {
  const bool waits = !closing_ && (!owed().empty() || (!received_.empty() && !held_back_));
  if (!waits)
    deadline_.reset();
  else if (!deadline_)
    deadline_ = clock_.now() + options_.frame_deadline;
}

void FramedSession::on_deadline() {
  refuse({ErrorCode::kTimedOut, owed().empty() ? "a frame was begun and not completed in time"
                                               : "no " + std::string(owed()) + " arrived in time"});
  deadline_.reset();
}

}  // namespace leat::session
