/* Leat from C, and from whatever calls C: a durable log with consumer groups, in your process or
 * over a connection. C99; every function may also be called from C++.
 *
 *   leat_error error;
 *   leat_server* server;
 *   leat_client* client;
 *   leat_server_options options = LEAT_SERVER_OPTIONS;
 *   options.data_dir = leat_text("/var/lib/collector");
 *   if (leat_open(&options, &server, &error) != 0) die(error.text);
 *   if (leat_connect_local(server, &client, &error) != 0) die(error.text);
 *
 * Bytes. What goes in is copied before the call returns. What comes out says how long it lives.
 * Strings have a length and need no terminator; those that come out have none, but for leat_error.
 *
 * Errors. A call that can fail returns 0 or the number of an error (LEAT_ERROR_...), and tells more
 * in `error`, which may be NULL. Results are written only when 0 is returned.
 *
 * Threads. Every function may be called on any thread, also with the same server or client on
 * several at once; a consumer takes one call at a time. What closes a handle does so once, while no
 * other call on it is under way, and none may follow. Servers, clients and consumers may be closed
 * in any order; NULL is fine.
 *
 * Leat installs no signal handlers, blocks signals in its own threads and never ends the process.
 * In a child after fork(), calls on the parent's handles fail with LEAT_ERROR_NOT_ALLOWED.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LEAT_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* ---- bytes ---- */

/* `data` NULL: absent, which is not the same as empty. */
typedef struct leat_bytes {
  const void* data;
  size_t size;
} leat_bytes;

/* Borrows a terminated string. */
static inline leat_bytes leat_text(const char* text) {
  leat_bytes bytes;
  bytes.data = text;
  bytes.size = text ? strlen(text) : 0;
  return bytes;
}

/* ---- errors ---- */

/* Those a caller may want to tell apart; leat_error_name() knows all. Numbers never change. */
enum {
  LEAT_OK = 0,
  LEAT_ERROR_INTERNAL = 1,
  LEAT_ERROR_INVALID_REQUEST = 6,
  LEAT_ERROR_BATCH_TOO_LARGE = 9,
  LEAT_ERROR_UNKNOWN_TOPIC = 11,
  LEAT_ERROR_UNKNOWN_PARTITION = 12,
  LEAT_ERROR_TOPIC_EXISTS = 13,
  LEAT_ERROR_INVALID_TOPIC_NAME = 14,
  LEAT_ERROR_OFFSET_OUT_OF_RANGE = 16,
  LEAT_ERROR_TIMED_OUT = 20,
  LEAT_ERROR_UNREACHABLE = 21,
  LEAT_ERROR_DISCONNECTED = 22,
  LEAT_ERROR_SHUTTING_DOWN = 23,
  LEAT_ERROR_OUTCOME_UNKNOWN = 24,
  LEAT_ERROR_STORAGE_FAILED = 25,
  LEAT_ERROR_NO_SPACE = 26,
  LEAT_ERROR_DATA_DIR_LOCKED = 31,
  LEAT_ERROR_INVALID_ADDRESS = 35,
  LEAT_ERROR_NOT_ALLOWED = 36,
  LEAT_ERROR_USAGE = 39, /* a NULL or an option that makes no sense */
  LEAT_ERROR_UNKNOWN_MEMBER = 45,
  LEAT_ERROR_STALE_EPOCH = 46
};

typedef struct leat_error {
  int32_t code;
  char text[508]; /* what was tried, found, and to do; terminated, cut where it is longer */
} leat_error;

/* "UnknownTopic"; lives for ever. "Internal" for a number this version does not know.
 */
LEAT_API const char* leat_error_name(int32_t code);
/* 1: the same call may succeed later, unchanged. */
LEAT_API int leat_error_retryable(int32_t code);
/* "0.1.0"; lives for ever. */
LEAT_API const char* leat_version(void);

/* ---- a broker in this process ---- */

typedef struct leat_server leat_server;

typedef enum leat_log_level {
  LEAT_LOG_DEBUG,
  LEAT_LOG_INFO,
  LEAT_LOG_WARNING,
  LEAT_LOG_ERROR
} leat_log_level;

/* Begin with LEAT_SERVER_OPTIONS; later versions add fields at the end. */
typedef struct leat_server_options {
  size_t struct_size;
  leat_bytes data_dir;       /* where records are kept; its last component is made if missing */
  leat_bytes listen;         /* leat://HOST:PORT or unix:///PATH; absent: no socket at all */
  uint64_t memory_bytes;     /* 0: 384 MiB */
  uint64_t max_stored_bytes; /* of records; beyond it they are refused with NO_SPACE; 0: no limit */
  /* Called on the server's threads, must not block nor call Leat; `line` lives during the call. */
  void (*log)(void* context, leat_log_level level, leat_bytes line);
  void* log_context;
  /* What a bug in Leat does, on any thread and for the whole process; must not return. NULL: as
   * before, which is one line on stderr and abort(). */
  void (*on_assert)(const char* expression, const char* file, int line);
} leat_server_options;

#define LEAT_SERVER_OPTIONS \
  { sizeof(leat_server_options), {0, 0}, {0, 0}, 0, 0, 0, 0, 0 }

/* Opens the directory, replays what a crash left, and listens. `*server` lives until leat_close();
 * several may live in one process, each on its directory.
 * Errors: DATA_DIR_LOCKED, INVALID_ADDRESS, NOT_ALLOWED (to listen beyond loopback), USAGE,
 * STORAGE_FAILED, NO_SPACE, and others of storage, each with what to do. */
LEAT_API int32_t leat_open(const leat_server_options* options, leat_server** server,
                           leat_error* error);
/* The URL it listens on, with the port that was bound; absent without one. Lives until
 * leat_close(). */
LEAT_API leat_bytes leat_listener(const leat_server* server);
/* Answers what is pending, within five seconds, closes the files and frees the handle. Clients of
 * the server get SHUTTING_DOWN or DISCONNECTED from then on; they still want closing. */
LEAT_API void leat_close(leat_server* server);

/* ---- clients ---- */

typedef struct leat_client leat_client;

/* By way of memory; opens no socket. `*client` lives until leat_disconnect(), be it before or after
 * the server's end. Error: SHUTTING_DOWN. */
LEAT_API int32_t leat_connect_local(leat_server* server, leat_client** client, leat_error* error);
/* leat://HOST:PORT or unix:///PATH. A lost connection is made again by itself. `*client` lives
 * until leat_disconnect(). Errors: INVALID_ADDRESS, UNREACHABLE (within five seconds). */
LEAT_API int32_t leat_connect(leat_bytes url, leat_client** client, leat_error* error);
/* Frees the handle; consumers made with it go on. */
LEAT_API void leat_disconnect(leat_client* client);

/* Waits until the topic is durable. `if_not_exists` 1: fine when it is there already, with whatever
 * partitions. Errors: TOPIC_EXISTS, INVALID_TOPIC_NAME, TIMED_OUT; DISCONNECTED: it may or may not
 * have been done. */
LEAT_API int32_t leat_create_topic(leat_client* client, leat_bytes topic, int32_t partitions,
                                   int if_not_exists, leat_error* error);

/* ---- records ---- */

typedef struct leat_header {
  leat_bytes name;
  leat_bytes value;
} leat_header;

#define LEAT_ANY_PARTITION (-1)

typedef struct leat_record {
  leat_bytes key; /* decides the partition, unless that is given */
  leat_bytes value;
  const leat_header* headers; /* `header_count` of them */
  size_t header_count;
  int32_t partition;    /* to produce: LEAT_ANY_PARTITION, or which */
  int64_t offset;       /* to produce: not looked at */
  int64_t timestamp_ms; /* since 1970; to produce: 0 is now */
} leat_record;

#define LEAT_RECORD \
  { {0, 0}, {0, 0}, 0, 0, LEAT_ANY_PARTITION, 0, 0 }

typedef struct leat_ack {
  int32_t partition;
  int64_t offset;
} leat_ack;

/* Stores one record, once, and waits until it is as durable as its topic asks, by default on stable
 * storage. `ack` may be NULL. Sends of several threads share batches and syncs.
 * Errors: UNKNOWN_TOPIC, UNKNOWN_PARTITION, BATCH_TOO_LARGE, NO_SPACE, STORAGE_FAILED; TIMED_OUT
 * and OUTCOME_UNKNOWN: it may or may not be there. */
LEAT_API int32_t leat_produce(leat_client* client, leat_bytes topic, const leat_record* record,
                              leat_ack* ack, leat_error* error);

/* ---- consumers ---- */

typedef struct leat_consumer leat_consumer;

typedef enum leat_start { LEAT_EARLIEST, LEAT_LATEST } leat_start;

/* With a group: a member of it, which resumes from and commits to its offsets. Without one: reads
 * all partitions and has nothing to commit to. `start`: where nothing is committed. `*consumer`
 * lives until leat_unsubscribe(), the client's end notwithstanding.
 * Errors: UNKNOWN_TOPIC (without a group; a member waits for the topic), TIMED_OUT. */
LEAT_API int32_t leat_subscribe(leat_client* client, leat_bytes topic, leat_bytes group,
                                leat_start start, leat_consumer** consumer, leat_error* error);
/* Waits for records, at most `timeout_ms`; `*count` 0 when none came. `*records` and all they point
 * to live until the next leat_poll() or leat_unsubscribe() of this consumer.
 * Errors: UNKNOWN_TOPIC (deleted meanwhile), OFFSET_OUT_OF_RANGE: told once, the other partitions
 * go on. */
LEAT_API int32_t leat_poll(leat_consumer* consumer, int32_t timeout_ms, const leat_record** records,
                           size_t* count, leat_error* error);
/* Commits, for the group, the positions behind all that leat_poll() returned; durable on return.
 * Errors: INVALID_REQUEST (no group), UNKNOWN_MEMBER and STALE_EPOCH (others have the partitions by
 * now), TIMED_OUT. */
LEAT_API int32_t leat_commit(leat_consumer* consumer, leat_error* error);
/* Leaves the group and frees the handle. Does not commit. */
LEAT_API void leat_unsubscribe(leat_consumer* consumer);

#ifdef __cplusplus
}
#endif
