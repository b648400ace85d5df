/* The C API from C11: open, produce, consume, commit, close; a URL; errors; threads. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leat.h"

#define CHECK(condition)                                                           \
  do {                                                                             \
    if (!(condition)) {                                                            \
      fprintf(stderr, "%s:%d: %s; %s\n", __FILE__, __LINE__, #condition, g_error.text); \
      exit(1);                                                                     \
    }                                                                              \
  } while (0)

static leat_error g_error;
static _Atomic int g_lines;

static void count_line(void* context, leat_log_level level, leat_bytes line) {
  if (level >= LEAT_LOG_DEBUG && line.size > 0) ++*(_Atomic int*)context;
}

static int same(leat_bytes bytes, const char* text) {
  return bytes.data && bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

static void produce_some(leat_client* client) {
  leat_header header = {{"source", 6}, {"test", 4}};
  leat_record record = LEAT_RECORD;
  leat_ack ack;
  record.key = leat_text("42");
  record.value = leat_text("hello");
  record.headers = &header;
  record.header_count = 1;
  CHECK(leat_produce(client, leat_text("orders"), &record, &ack, &g_error) == LEAT_OK);
  CHECK(ack.partition == 0 && ack.offset == 0);
  record.key = leat_text(NULL);
  record.value = leat_text("");
  record.header_count = 0;
  record.partition = 0;
  record.timestamp_ms = 1234;
  CHECK(leat_produce(client, leat_text("orders"), &record, NULL, NULL) == LEAT_OK);
}

static void consume_some(leat_client* client) {
  leat_consumer* consumer;
  const leat_record* records;
  size_t count, seen = 0, i;
  CHECK(leat_subscribe(client, leat_text("orders"), leat_text("billing"), LEAT_EARLIEST, &consumer,
                       &g_error) == LEAT_OK);
  while (seen < 2) {
    CHECK(leat_poll(consumer, 60000, &records, &count, &g_error) == LEAT_OK && count > 0);
    for (i = 0; i < count; ++i, ++seen) {
      if (records[i].offset == 0) {
        CHECK(same(records[i].key, "42") && same(records[i].value, "hello"));
        CHECK(records[i].header_count == 1 && same(records[i].headers[0].name, "source"));
        CHECK(same(records[i].headers[0].value, "test"));
      } else {
        CHECK(!records[i].key.data && records[i].value.data && records[i].value.size == 0);
        CHECK(records[i].timestamp_ms == 1234 && records[i].header_count == 0);
      }
    }
  }
  CHECK(leat_commit(consumer, &g_error) == LEAT_OK);
  leat_unsubscribe(consumer);
}

enum { kThreads = 4, kEach = 25 };

static void* produce_in_parallel(void* client) {
  leat_error error;
  leat_record record = LEAT_RECORD;
  leat_ack ack;
  int64_t sum = 0;
  int i;
  record.value = leat_text("x");
  for (i = 0; i < kEach; ++i) {
    if (leat_produce(client, leat_text("parallel"), &record, &ack, &error) != LEAT_OK) return NULL;
    sum += ack.offset;
  }
  return (void*)(intptr_t)sum;
}

/* Whichever is first at a topic, each record gets an offset of its own. */
static void share_a_client(leat_client* client) {
  pthread_t threads[kThreads];
  const int64_t all = kThreads * kEach;
  int64_t sum = 0;
  int i;
  CHECK(leat_create_topic(client, leat_text("parallel"), 1, 0, &g_error) == LEAT_OK);
  for (i = 0; i < kThreads; ++i)
    CHECK(pthread_create(&threads[i], NULL, produce_in_parallel, client) == 0);
  for (i = 0; i < kThreads; ++i) {
    void* offsets;
    pthread_join(threads[i], &offsets);
    sum += (intptr_t)offsets;
  }
  CHECK(sum == all * (all - 1) / 2);
}

static void be_refused(leat_client* client, const char* directory) {
  leat_server_options options = LEAT_SERVER_OPTIONS;
  leat_server* server = NULL;
  leat_client* other = NULL;
  leat_consumer* consumer = NULL;
  leat_record record = LEAT_RECORD;
  options.data_dir = leat_text(directory);
  CHECK(leat_open(&options, &server, &g_error) == LEAT_ERROR_DATA_DIR_LOCKED && !server);
  CHECK(strstr(g_error.text, directory));
  CHECK(leat_open(NULL, &server, NULL) == LEAT_ERROR_USAGE);
  options.struct_size = 0;
  CHECK(leat_open(&options, &server, &g_error) == LEAT_ERROR_USAGE);
  CHECK(leat_connect(leat_text("http://x"), &other, &g_error) == LEAT_ERROR_INVALID_ADDRESS);
  CHECK(leat_connect(leat_text("unix:///nowhere"), &other, &g_error) == LEAT_ERROR_UNREACHABLE);
  CHECK(leat_produce(client, leat_text("nope"), &record, NULL, &g_error) ==
        LEAT_ERROR_UNKNOWN_TOPIC);
  CHECK(leat_produce(client, leat_text("orders"), NULL, NULL, &g_error) == LEAT_ERROR_USAGE);
  record.partition = 7;
  CHECK(leat_produce(client, leat_text("orders"), &record, NULL, &g_error) ==
        LEAT_ERROR_UNKNOWN_PARTITION);
  record.header_count = 1;
  CHECK(leat_produce(client, leat_text("orders"), &record, NULL, &g_error) == LEAT_ERROR_USAGE);
  CHECK(leat_create_topic(client, leat_text("orders"), 1, 0, &g_error) == LEAT_ERROR_TOPIC_EXISTS);
  CHECK(leat_subscribe(client, leat_text("nope"), leat_text(NULL), LEAT_LATEST, &consumer,
                       &g_error) == LEAT_ERROR_UNKNOWN_TOPIC);
  CHECK(leat_poll(NULL, 0, NULL, NULL, &g_error) == LEAT_ERROR_USAGE);
  CHECK(strcmp(leat_error_name(LEAT_ERROR_NO_SPACE), "NoSpace") == 0);
  CHECK(leat_error_retryable(LEAT_ERROR_TIMED_OUT) && !leat_error_retryable(LEAT_ERROR_USAGE));
}

int main(int argc, char** argv) {
  leat_server_options options = LEAT_SERVER_OPTIONS;
  leat_server* server;
  leat_client *local, *remote;
  char url[128];
  if (argc != 2) return 2;
  options.data_dir = leat_text(argv[1]);
  options.listen = leat_text("leat://127.0.0.1:0");
  options.memory_bytes = 16 << 20;
  options.log = count_line;
  options.log_context = &g_lines;
  CHECK(leat_open(&options, &server, &g_error) == LEAT_OK && g_error.code == 0);
  CHECK(leat_listener(server).size < sizeof url);
  memcpy(url, leat_listener(server).data, leat_listener(server).size);
  url[leat_listener(server).size] = '\0';
  CHECK(leat_connect_local(server, &local, &g_error) == LEAT_OK);
  CHECK(leat_connect(leat_text(url), &remote, &g_error) == LEAT_OK);
  CHECK(leat_create_topic(local, leat_text("orders"), 1, 0, &g_error) == LEAT_OK);
  produce_some(local);
  consume_some(remote);
  share_a_client(remote);
  be_refused(local, argv[1]);
  leat_close(server);
  CHECK(leat_create_topic(local, leat_text("late"), 1, 0, &g_error) != LEAT_OK);
  leat_disconnect(local);
  leat_disconnect(remote);
  leat_close(NULL);
  CHECK(g_lines > 0);
  printf("leat %s\n", leat_version());
  return 0;
}
