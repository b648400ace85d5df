// Leat inside your process: the composition root of the broker, and the door for embedding.
//
//   auto server = Server::open({.data_dir = "/var/lib/collector"});
//   if (!server) die(server.error().message());
//   auto client = (*server)->connect_local();   // the same client as over TCP, and no socket
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/blocking.h"
#include "client/tracing/trace_options.h"
#include "protocol/base/assert.h"
#include "protocol/base/result.h"
#include "server/broker/declared_topics.h"
#include "server/limits.h"

namespace leat {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct ServerOptions {
  std::string data_dir;
  // leat://host:port or kafka://host:port (port 0: any free one), or unix:///path. Empty: no socket
  // at all; clients of this process use connect_local().
  std::vector<std::string> listen;
  std::size_t memory_bytes = 384 << 20;  // for what lies between the journal and the disk
  ServerLimits limits;
  // Topics that are there from the start (broker/declared_topics.h), with the records they begin
  // with; one that is there already stays as it is.
  std::vector<broker::TopicDeclaration> topics;
  // Allows addresses other than loopback, although there is no authentication yet.
  bool insecure = false;
  // "auto", "uring" or "epoll": auto takes io_uring where the kernel lets it, else epoll.
  std::string reactor = "auto";
  // "auto", "uring" or "thread": auto writes the journal through io_uring where the kernel lets it.
  std::string journal = "auto";
  // Spans of records that are appended, below those that sent them; none, unless it names an
  // endpoint.
  TraceOptions trace;
  // Called on the server's threads; must not block. Empty: no log.
  std::function<void(LogLevel level, std::string_view line)> log;
  // What a failed assertion does, in the whole process (protocol/base/assert.h); it must not
  // return. Null: as before, which is one line on stderr and abort().
  AssertHandler on_assert = nullptr;
  // For tests: called at named points on storage's threads (storage/journal.h).
  std::function<void(const char* point)> at_point;
};

// A running broker. It installs no signal handlers, blocks signals in its threads, never exits the
// process; several may run in one process on different directories (rule 13).
class Server {
 public:
  // Opens the data directory, replays what a crash left, and listens.
  // Errors: kInvalidAddress, kAddressInUse, kNotAllowed, kUnsupportedRequest (io_uring was asked
  // for and is not to be had), kUsage (limits that do not go together, or no such choice), and
  // those of storage, each with what to do.
  static Result<std::unique_ptr<Server>> open(ServerOptions options);
  virtual ~Server() = default;

  // URLs with the ports that were bound, in the order of ServerOptions::listen.
  virtual std::vector<std::string> listeners() const = 0;
  virtual std::string reactor() const = 0;  // "uring" or "epoll"
  virtual std::string journal() const = 0;  // "uring" or "thread"
  virtual std::uint64_t journal_syncs() const = 0;
  virtual std::uint64_t system_calls() const = 0;  // of reactor and journal, for benchmarks

  // A client of this server by way of memory; opens no socket. `options.broker` is not used. Any
  // thread. Clients may be closed before the server or after it, on any thread: when the server
  // goes first, what they have pending and all later calls fail with kShuttingDown or
  // kDisconnected.
  // Errors: kShuttingDown, after close().
  virtual Result<blocking::Client> connect_local(ClientOptions options = {}) = 0;

  // Any thread: stops listening, answers what is pending within five seconds, closes the
  // connections and the storage. The destructor does the same.
  virtual void close() = 0;
};

// "0.1.0"
std::string_view version();

}  // namespace leat
