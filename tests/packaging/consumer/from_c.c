/* The C API, from an install tree. */
#include <stdio.h>

#include "leat.h"

int main(int argc, char** argv) {
  leat_error error;
  leat_server* server;
  leat_client* client;
  leat_server_options options = LEAT_SERVER_OPTIONS;
  leat_record record = LEAT_RECORD;
  if (argc != 2) return 2;
  options.data_dir = leat_text(argv[1]);
  options.memory_bytes = 16 << 20;
  record.value = leat_text("hello");
  if (leat_open(&options, &server, &error) != 0 ||
      leat_connect_local(server, &client, &error) != 0 ||
      leat_create_topic(client, leat_text("t"), 1, 0, &error) != 0 ||
      leat_produce(client, leat_text("t"), &record, NULL, &error) != 0) {
    fprintf(stderr, "%s\n", error.text);
    return 1;
  }
  leat_disconnect(client);
  leat_close(server);
  printf("leat %s from C\n", leat_version());
  return 0;
}
