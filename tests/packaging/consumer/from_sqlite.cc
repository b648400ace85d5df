// The patterns on SQLite, from outside: an event of a committed transaction, published by a relay
// to a broker inside the process, processed once.
#include <cstdio>

#include <client/patterns/inbox.h>
#include <client/patterns/outbox.h>
#include <client/patterns/relay/outbox_relay.h>
#include <client/patterns/sql/sqlite.h>
#include <server/server.h>

using namespace leat;
using namespace leat::patterns;

int main(int, char** argv) {
  const std::string directory = argv[1];
  auto server = Server::open({.data_dir = directory});
  auto client = (*server)->connect_local();
  auto database = SqliteDatabase::open(directory + ".db");
  if (!client || !database) return 1;
  auto outbox = Outbox::open(**database);
  auto inbox = Inbox::open(**database, {.consumer = "test"});
  if (!outbox || !inbox || !(*database)->begin()) return 2;
  if (!outbox->add({.aggregate_type = "order",
                    .aggregate_id = "1",
                    .type = "Paid",
                    .payload = bytes("hello")}))
    return 3;
  if (!(*database)->commit()) return 4;
  auto relay = OutboxRelay::open(*client, **database, wake_by_wal(directory + ".db"));
  if (!relay || *(*relay)->run_once() != 1) return 5;
  auto consumer = client->consumer({.topics = {"order"}});
  auto records = (*consumer)->poll(std::chrono::seconds(10));
  if (!records || records->size() != 1) return 6;
  if (!*inbox->begin(records->front()) || !inbox->commit()) return 7;
  if (*inbox->begin(records->front())) return 8;
  std::puts("published once, processed once");
}
