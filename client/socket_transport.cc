#include "client/socket_transport.h"

#include <cerrno>

#include <sys/socket.h>
#include <unistd.h>

#include <asio.hpp>

namespace leat {
namespace {

constexpr std::size_t kReadBytes = 256 << 10;
constexpr std::size_t kUnixPathBytes = 108;

class SocketTransport final : public Transport,
                              public std::enable_shared_from_this<SocketTransport> {
 public:
  SocketTransport(asio::io_context& io, TransportEvents& events, BrokerAddress address,
                  std::string name)
      : events_(events),
        address_(std::move(address)),
        name_(std::move(name)),
        resolver_(io),
        socket_(io),
        read_buffer_(kReadBytes) {}

  void connect() override {
    if (!address_.unix_path.empty()) return connect_unix();
    resolver_.async_resolve(
        address_.host, address_.port,
        [self = shared_from_this()](std::error_code error, const auto& results) {
          if (self->closed_) return;
          if (error) return self->unreachable(error.message());
          for (const auto& result : results) self->endpoints_.emplace_back(result.endpoint());
          self->connect_next();
        });
  }

  void send(std::vector<std::vector<std::byte>> frames) override {
    std::vector<asio::const_buffer> buffers;
    buffers.reserve(frames.size());
    for (const auto& frame : frames) buffers.push_back(asio::buffer(frame));
    asio::async_write(
        socket_, buffers,
        [self = shared_from_this(), frames = std::move(frames)](std::error_code error,
                                                                std::size_t) {
          if (self->closed_) return;
          // What the peer said before it went is still to be read, and then its end.
          if (error == asio::error::broken_pipe || error == asio::error::connection_reset) return;
          if (error) return self->lost({ErrorCode::kDisconnected, error.message()});
          self->events_.on_sent();
        });
  }

  void close() override {
    closed_ = true;
    std::error_code ignored;
    socket_.close(ignored);
    resolver_.cancel();
  }

 private:
  using Socket = asio::generic::stream_protocol::socket;
  using Endpoint = asio::generic::stream_protocol::endpoint;

  void connect_unix() {
    if (address_.unix_path.size() < kUnixPathBytes) {
      endpoints_.emplace_back(asio::local::stream_protocol::endpoint(address_.unix_path));
      return connect_next();
    }
    later({ErrorCode::kInvalidAddress, address_.unix_path + ": path too long"});
  }

  void connect_next() {
    const Endpoint endpoint = endpoints_[next_endpoint_++];
    std::error_code ignored;
    socket_.close(ignored);
    // Asio opens its sockets inheritable (rule 13).
    const int fd = ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return unreachable(std::generic_category().message(errno));
    std::error_code refused;
    socket_.assign(endpoint.protocol(), fd, refused);
    if (refused) {
      ::close(fd);
      return unreachable(refused.message());
    }
    socket_.async_connect(endpoint, [self = shared_from_this()](std::error_code error) {
      if (self->closed_) return;
      if (error && self->next_endpoint_ < self->endpoints_.size()) return self->connect_next();
      if (error) return self->unreachable(error.message() + "; is leatd running there?");
      self->connected();
    });
  }

  void connected() {
    std::error_code ignored;
    if (address_.unix_path.empty()) socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    events_.on_connected();
    if (!closed_) read();
  }

  void read() {
    socket_.async_read_some(asio::buffer(read_buffer_),
                            [self = shared_from_this()](std::error_code error, std::size_t n) {
                              if (self->closed_) return;
                              if (error)
                                return self->lost({ErrorCode::kDisconnected, error.message()});
                              self->events_.on_received(Bytes(self->read_buffer_).first(n));
                              if (!self->closed_) self->read();
                            });
  }

  void unreachable(const std::string& why) { later({ErrorCode::kUnreachable, name_ + ": " + why}); }
  // Not from within connect(), whose caller does not expect to be called.
  void later(Error why) {
    asio::post(socket_.get_executor(), [self = shared_from_this(), why = std::move(why)] {
      if (!self->closed_) self->lost(why);
    });
  }
  void lost(const Error& why) {
    close();
    events_.on_closed(why);
  }

  TransportEvents& events_;
  BrokerAddress address_;
  std::string name_;
  asio::ip::tcp::resolver resolver_;
  Socket socket_;
  std::vector<Endpoint> endpoints_;
  std::size_t next_endpoint_ = 0;
  std::vector<std::byte> read_buffer_;
  bool closed_ = false;
};

class SocketConnector final : public Connector {
 public:
  SocketConnector(BrokerAddress address, std::string name)
      : address_(std::move(address)), name_(std::move(name)) {}

  std::string name() const override { return name_; }
  std::shared_ptr<Transport> open(asio::io_context& io, TransportEvents& events) override {
    return std::make_shared<SocketTransport>(io, events, address_, name_);
  }

 private:
  BrokerAddress address_;
  std::string name_;
};

}  // namespace

std::unique_ptr<Connector> socket_connector(BrokerAddress address, std::string name) {
  return std::make_unique<SocketConnector>(std::move(address), std::move(name));
}

}  // namespace leat
