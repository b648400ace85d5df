#include "server/local_pipe.h"

#include <asio/post.hpp>

namespace leat {
namespace {

// As much as a socket's buffers would hold. One frame or slice passes whatever its size.
constexpr std::size_t kQueueBytes = 1 << 20;

}  // namespace

// ---- the door ----

bool LocalDoor::knock(std::shared_ptr<LocalPipe> pipe) {
  const std::lock_guard lock(mutex_);
  if (refuses_) return false;
  add(std::move(pipe));
  return true;
}

void LocalDoor::tell(std::shared_ptr<LocalPipe> pipe) {
  const std::lock_guard lock(mutex_);
  if (!closed_) add(std::move(pipe));
}

void LocalDoor::add(std::shared_ptr<LocalPipe> pipe) {
  if (std::exchange(pipe->told, true)) return;
  ready_.push_back(std::move(pipe));
  if (ready_.size() == 1) wake_();
}

std::vector<std::shared_ptr<LocalPipe>> LocalDoor::take() {
  const std::lock_guard lock(mutex_);
  for (const auto& pipe : ready_) pipe->told = false;
  return std::exchange(ready_, {});
}

void LocalDoor::refuse() {
  const std::lock_guard lock(mutex_);
  refuses_ = true;
}

std::vector<std::shared_ptr<LocalPipe>> LocalDoor::close() {
  const std::lock_guard lock(mutex_);
  refuses_ = closed_ = true;
  return std::exchange(ready_, {});
}

// ---- the client's thread ----

void LocalPipe::connect() {
  const bool answered = door_->knock(shared_from_this());
  if (!answered) hang_up({ErrorCode::kShuttingDown, "the server in this process is closed"}, true);
  asio::post(io_, [self = shared_from_this(), answered] {
    if (self->open_ && answered) self->events_.on_connected();
  });
}

void LocalPipe::send(std::vector<std::vector<std::byte>> frames) {
  for (auto& frame : frames) unsent_.push_back(std::move(frame));
  sending_ = true;
  push();
}

void LocalPipe::push() {
  bool pushed = false;
  {
    const std::lock_guard lock(mutex_);
    while (!unsent_.empty() && request_bytes_ < kQueueBytes) {
      request_bytes_ += unsent_.front().size();
      requests_.push_back(std::move(unsent_.front()));
      unsent_.pop_front();
      pushed = true;
    }
    client_waits_ = !unsent_.empty();
  }
  if (pushed) door_->tell(shared_from_this());
  if (!sending_ || !unsent_.empty()) return;
  sending_ = false;
  asio::post(io_, [self = shared_from_this()] {
    if (self->open_) self->events_.on_sent();
  });
}

void LocalPipe::close() {
  if (!std::exchange(open_, false)) return;
  {
    const std::lock_guard lock(mutex_);
    client_gone_ = true;
    requests_.clear();
    replies_.clear();
  }
  unsent_.clear();
  door_->tell(shared_from_this());
}

void LocalPipe::deliver() {
  std::vector<reactor::Slice> replies;
  bool room = false, end = false;
  {
    const std::lock_guard lock(mutex_);
    delivery_posted_ = false;
    replies.swap(replies_);
    reply_bytes_ = 0;
    room = std::exchange(shard_waits_, false);
    end = hung_up_.has_value();
  }
  if (room) door_->tell(shared_from_this());
  for (const auto& reply : replies)
    if (open_) events_.on_received(reply.bytes);
  if (open_ && !unsent_.empty()) push();
  if (open_ && end) tell_end();
}

// hung_up_ and ended_ no longer change.
void LocalPipe::tell_end() {
  close();
  if (ended_) return events_.on_ended(*hung_up_);
  events_.on_closed(*hung_up_);
}

// ---- the shard's thread ----

// Under the lock: a client that is gone has no thread to post to.
void LocalPipe::wake_client() {
  if (client_gone_ || std::exchange(delivery_posted_, true)) return;
  asio::post(io_, [self = shared_from_this()] { self->deliver(); });
}

void LocalPipe::take(std::deque<std::vector<std::byte>>& frames) {
  const std::lock_guard lock(mutex_);
  for (auto& frame : requests_) frames.push_back(std::move(frame));
  requests_.clear();
}

void LocalPipe::done_with(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  request_bytes_ -= bytes;
  if (client_waits_ && request_bytes_ < kQueueBytes) wake_client();
}

std::size_t LocalPipe::put(std::deque<reactor::Slice>& slices) {
  const std::lock_guard lock(mutex_);
  if (client_gone_) return 0;
  std::size_t bytes = 0;
  while (!slices.empty() && reply_bytes_ < kQueueBytes) {
    bytes += slices.front().bytes.size();
    reply_bytes_ += slices.front().bytes.size();
    replies_.push_back(std::move(slices.front()));
    slices.pop_front();
  }
  shard_waits_ = !slices.empty();
  if (bytes > 0) wake_client();
  return bytes;
}

bool LocalPipe::client_gone() const {
  const std::lock_guard lock(mutex_);
  return client_gone_;
}

void LocalPipe::hang_up(Error why, bool ended) {
  const std::lock_guard lock(mutex_);
  if (hung_up_) return;
  hung_up_ = std::move(why);
  ended_ = ended;
  wake_client();
}

// ---- connectors ----

namespace {

class LocalConnector final : public Connector {
 public:
  explicit LocalConnector(std::shared_ptr<LocalDoor> door) : door_(std::move(door)) {}
  std::string name() const override { return "the server in this process"; }
  std::shared_ptr<Transport> open(asio::io_context& io, TransportEvents& events) override {
    return std::make_shared<LocalPipe>(door_, io, events);
  }

 private:
  std::shared_ptr<LocalDoor> door_;
};

}  // namespace

std::unique_ptr<Connector> local_connector(std::shared_ptr<LocalDoor> door) {
  return std::make_unique<LocalConnector>(std::move(door));
}

}  // namespace leat
