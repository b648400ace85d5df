// The patterns on PostgreSQL link from outside; there is no server to talk to here.
#include <cstdio>

#include <client/patterns/relay/outbox_relay.h>
#include <client/patterns/sql/postgres.h>

int main(int, char** argv) {
  const std::string address = std::string("host=") + argv[1] + " dbname=none";
  auto database = leat::patterns::PostgresDatabase::open(address);
  if (database || !(database.error() == leat::ErrorCode::kDatabaseUnreachable)) return 1;
  std::printf("%s\n", database.error().message().c_str());
}
