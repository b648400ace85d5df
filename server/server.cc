#include "server/server.h"

#include "server/shard.h"

namespace leat {
namespace {

// What the application holds of a shard.
class EmbeddedServer final : public Server {
 public:
  explicit EmbeddedServer(std::unique_ptr<Shard> shard) : shard_(std::move(shard)) {}

  std::vector<std::string> listeners() const override { return shard_->listeners(); }
  std::string reactor() const override { return shard_->reactor(); }
  std::uint64_t journal_syncs() const override { return shard_->journal_syncs(); }
  Result<Client> connect_local(ClientOptions options) override {
    return Client::connect(std::move(options), shard_->connector());
  }
  void close() override { shard_->close(); }

 private:
  std::unique_ptr<Shard> shard_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::open(ServerOptions options) {
  auto shard = std::make_unique<Shard>(std::move(options));
  if (auto ok = shard->start(); !ok) return fail(ok.error());
  return std::make_unique<EmbeddedServer>(std::move(shard));
}

std::string_view version() {
  return LEAT_VERSION;
}

}  // namespace leat
