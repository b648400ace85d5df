// A host with a RocksDB and codecs of its own, of other versions than Leat's: it links, and neither
// gets into the other's.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "client/blocking.h"
#include "server/server.h"

namespace rocksdb {
class Status {
 public:
  std::string ToString() const;
};
std::string Status::ToString() const {
  return "the host's";
}
struct DB {
  virtual ~DB();
};
DB::~DB() = default;
}  // namespace rocksdb

extern "C" {
const char* ZSTD_versionString() {
  return "the host's";
}
// Whoever calls these was promised another function.
#define NOT_FOR_LEAT(name) \
  void name() {            \
    std::abort();          \
  }
NOT_FOR_LEAT(ZSTD_compressStream2)
NOT_FOR_LEAT(ZSTD_decompressStream)
NOT_FOR_LEAT(ZSTD_createCCtx)
NOT_FOR_LEAT(LZ4F_compressFrame)
NOT_FOR_LEAT(ZSTD_trace_compress_begin)
NOT_FOR_LEAT(rocksdb_write_prepared_TEST_ShouldClearCommitCache)
NOT_FOR_LEAT(io_uring_submit)
NOT_FOR_LEAT(inflate)
}

namespace {
void must(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "own_packages: %s\n", what);
  std::exit(1);
}
}  // namespace

int main(int, char** argv) {
  using namespace std::chrono_literals;
  for (const int stored : {0, 1}) {  // the second time what the first stored is replayed
    auto server = leat::Server::open({.data_dir = argv[1], .memory_bytes = 16 << 20});
    must(server.has_value(), "open");
    auto client = (*server)->connect_local();
    must(client && client->create_topic("t", 1, true), "create a topic");
    auto producer = client->producer(leat::Topic{"t"}, {.compression = leat::Compression::kZstd});
    must(producer && (*producer)->send_and_wait({.value = leat::as_bytes("hello")}), "produce");
    auto consumer = client->consumer({.topics = {"t"}});
    must(consumer.has_value(), "consume");
    for (int seen = 0; seen <= stored;) {
      const auto records = (*consumer)->poll(60s);
      must(records && !records->empty(), "poll");
      seen += static_cast<int>(records->size());
    }
  }
  must(rocksdb::Status().ToString() == "the host's", "the host's own RocksDB");
  must(std::string_view(ZSTD_versionString()) == "the host's", "the host's own zstd");
  std::puts("both go their own ways");
  return 0;
}
