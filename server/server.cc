#include "server/server.h"

#include "protocol/base/own_process.h"
#include "server/shard.h"

namespace leat {
namespace {

// What the application holds of a shard.
class EmbeddedServer final : public Server {
 public:
  explicit EmbeddedServer(std::unique_ptr<Shard> shard) : shard_(std::move(shard)) {}
  // In a forked child the shard is left alone: its threads and its files are the parent's.
  ~EmbeddedServer() override {
    if (!process_.here()) [[maybe_unused]]
      const auto* parents = shard_.release();
  }

  std::vector<std::string> listeners() const override { return shard_->listeners(); }
  std::string reactor() const override { return shard_->reactor(); }
  std::string journal() const override { return shard_->journal(); }
  std::uint64_t system_calls() const override { return shard_->system_calls(); }
  std::uint64_t journal_syncs() const override { return shard_->journal_syncs(); }
  Result<blocking::Client> connect_local(ClientOptions options) override {
    if (auto ok = process_.check(); !ok) return fail(ok.error());
    return blocking::Client::connect(std::move(options), shard_->connector());
  }
  void close() override {
    if (process_.here()) shard_->close();
  }

 private:
  const OwnProcess process_;
  std::unique_ptr<Shard> shard_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::open(ServerOptions options) {
  if (options.on_assert) set_assert_handler(options.on_assert);
  auto shard = std::make_unique<Shard>(std::move(options));
  if (auto ok = shard->start(); !ok) return fail(ok.error());
  return std::make_unique<EmbeddedServer>(std::move(shard));
}

std::string_view version() {
  return LEAT_VERSION;
}

}  // namespace leat
