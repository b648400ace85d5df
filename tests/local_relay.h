// Carries the bytes of Unix sockets to a server in this process by way of memory, so that tests
// that speak in raw bytes speak to connect_local()'s side of the server too. A thread for each
// connection: one that does not read holds up nobody else.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>

#include <asio.hpp>

#include "client/transport.h"

namespace leat::test {

class LocalRelay {
 public:
  // `connector()` is called for each connection.
  template <class MakeConnector>
  LocalRelay(const std::string& path, MakeConnector connector)
      : acceptor_(io_, asio::local::stream_protocol::endpoint(path)), thread_([this, connector] {
          std::vector<std::thread> relays;
          for (;;) {
            std::error_code closed;
            auto socket = acceptor_.accept(closed);
            if (closed) break;
            relays.emplace_back([connector, fd = socket.release()] { Relay(fd, connector()); });
          }
          for (auto& relay : relays) relay.join();
        }) {}
  ~LocalRelay() {
    ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
    thread_.join();
  }
  LocalRelay(const LocalRelay&) = delete;
  LocalRelay& operator=(const LocalRelay&) = delete;

 private:
  class Relay final : public TransportEvents {
   public:
    Relay(int fd, std::unique_ptr<Connector> connector)
        : socket_(io_, asio::local::stream_protocol(), fd) {
      transport_ = connector->open(io_, *this);
      transport_->connect();
      io_.run();
    }
    void on_connected() override { read(); }
    void on_sent() override { read(); }
    void on_received(Bytes bytes) override {
      std::error_code ignored;  // reading will show it
      asio::write(socket_, asio::buffer(bytes.data(), bytes.size()), ignored);
    }
    void on_closed(const Error&) override { end(); }
    void on_ended(const Error&) override { end(); }

   private:
    void read() {
      socket_.async_read_some(asio::buffer(bytes_), [this](std::error_code error, std::size_t n) {
        if (error) return end();
        const auto* begin = bytes_.data();
        transport_->send({std::vector<std::byte>(begin, begin + n)});
      });
    }
    void end() {
      std::error_code ignored;
      transport_->close();
      socket_.close(ignored);
      work_.reset();
    }

    asio::io_context io_;
    asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
    asio::local::stream_protocol::socket socket_;
    std::shared_ptr<Transport> transport_;
    std::vector<std::byte> bytes_ = std::vector<std::byte>(64 << 10);
  };

  asio::io_context io_;
  asio::local::stream_protocol::acceptor acceptor_;
  std::thread thread_;
};

}  // namespace leat::test
