// The one table of errors. Every face reads its column: the native protocol sends the code's
// number, Kafka sessions its Kafka code, the command line its exit status, people its text.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace leat {

// X(name, number, kafka code, exit status, retryable, text)
// Numbers are part of the native protocol: never reuse or renumber one.
// Exit statuses: 1 failed, 2 usage, 3 unreachable, 4 not found, 5 not allowed, 6 timeout,
// 7 conflict. Kafka codes: https://kafka.apache.org/protocol#protocol_error_codes
#define LEAT_ERRORS(X)                                                                            \
  X(kInternal, 1, -1, 1, false, "internal error")                                                 \
  X(kMalformedFrame, 2, 42, 1, false, "malformed frame")                                          \
  X(kFrameTooLarge, 3, 42, 1, false, "frame larger than the limit")                               \
  X(kUnsupportedVersion, 4, 35, 1, false, "protocol version not supported")                       \
  X(kUnsupportedRequest, 5, 35, 1, false, "request not supported")                                \
  X(kInvalidRequest, 6, 42, 1, false, "invalid request")                                          \
  X(kCorruptBatch, 7, 2, 1, false, "record batch fails its checksum")                             \
  X(kInvalidBatch, 8, 87, 1, false, "malformed record batch")                                     \
  X(kBatchTooLarge, 9, 10, 1, false, "record batch larger than the limit")                        \
  X(kUnsupportedCompression, 10, 76, 1, false, "compression type not supported")                  \
  X(kUnknownTopic, 11, 3, 4, false, "unknown topic")                                              \
  X(kUnknownPartition, 12, 3, 4, false, "partition out of range")                                 \
  X(kTopicExists, 13, 36, 7, false, "topic already exists")                                       \
  X(kInvalidTopicName, 14, 17, 2, false, "invalid topic name")                                    \
  X(kInvalidPartitionCount, 15, 37, 2, false, "invalid number of partitions")                     \
  X(kOffsetOutOfRange, 16, 1, 1, false, "offset out of range")                                    \
  X(kInvalidGroupName, 17, 24, 2, false, "invalid group name")                                    \
  X(kMetadataTooLarge, 18, 12, 1, false, "commit metadata larger than the limit")                 \
  X(kLimitReached, 19, 44, 1, false, "limit reached")                                             \
  X(kTimedOut, 20, 7, 6, true, "timed out")                                                       \
  X(kUnreachable, 21, 13, 3, true, "broker unreachable")                                          \
  X(kDisconnected, 22, 13, 3, true, "connection lost")                                            \
  X(kShuttingDown, 23, 8, 3, true, "broker is shutting down")                                     \
  X(kOutcomeUnknown, 24, 56, 1, false, "storage failed: whether it was stored is unknown")        \
  X(kStorageFailed, 25, 56, 1, false, "storage failed: the broker no longer accepts writes")      \
  X(kNoSpace, 26, 56, 1, false, "no space left on the device")                                    \
  X(kIoError, 27, 56, 1, false, "input/output error")                                             \
  X(kCorruptStorage, 28, 56, 1, false, "stored data is corrupt")                                  \
  X(kDataDirMissing, 29, -1, 4, false, "data directory cannot be created")                        \
  X(kDataDirNotWritable, 30, -1, 5, false, "data directory is not writable")                      \
  X(kDataDirLocked, 31, -1, 7, false, "data directory is in use by another process")              \
  X(kDataDirForeign, 32, -1, 7, false, "directory is not empty and not a Leat data directory")    \
  X(kFormatUnsupported, 33, -1, 7, false, "data directory has a format this version cannot read") \
  X(kAddressInUse, 34, -1, 7, false, "address already in use")                                    \
  X(kInvalidAddress, 35, -1, 2, false, "invalid address")                                         \
  X(kNotAllowed, 36, 29, 5, false, "not allowed")                                                 \
  X(kClosed, 37, -1, 1, false, "closed")                                                          \
  X(kQueueFull, 38, 89, 1, true, "queue full")                                                    \
  X(kUsage, 39, 42, 2, false, "usage error")                                                      \
  X(kNotFound, 40, -1, 4, false, "not found")                                                     \
  X(kProducerFenced, 41, 47, 7, false, "producer fenced by a newer epoch")                        \
  X(kOutOfSequence, 42, 45, 1, false, "batch out of sequence")                                    \
  X(kDuplicateSequence, 43, 46, 1, false, "batch stored before, too long ago to say where")       \
  X(kUnknownProducer, 44, 59, 1, false, "unknown producer id")                                    \
  X(kUnknownMember, 45, 25, 7, false, "not a member of the group")                                \
  X(kStaleEpoch, 46, 22, 7, false, "partition is no longer the member's")                         \
  X(kGroupNotEmpty, 47, 68, 7, false, "group has members")                                        \
  X(kUnknownGroup, 48, 69, 4, false, "unknown group")                                             \
  X(kInconsistentGroup, 49, 23, 7, false, "group is of another kind")                             \
  X(kLogTruncated, 50, 1, 1, false, "log was cut below the offset")                               \
  X(kInvalidSnapshotName, 51, 42, 2, false, "invalid snapshot name")                              \
  X(kSnapshotExists, 52, 42, 7, false, "snapshot already exists")                                 \
  X(kLeaseLost, 53, 22, 7, false, "the record is no longer this member's")                        \
  X(kInvalidConfig, 54, 40, 2, false, "invalid setting")                                          \
  X(kFencedLeaderEpoch, 55, 74, 7, false, "leader epoch is an older one")                         \
  X(kUnknownLeaderEpoch, 56, 75, 1, true, "leader epoch is not known yet")                        \
  X(kIllegalGeneration, 57, 22, 7, false, "not the group's generation")                           \
  X(kRebalanceInProgress, 58, 27, 7, false, "the group is rebalancing: join again")               \
  X(kGroupFull, 59, 81, 1, false, "group has no room for another member")                         \
  X(kFencedInstance, 60, 82, 7, false, "another member took over the instance id")                \
  X(kInvalidSessionTimeout, 61, 26, 2, false, "session timeout out of range")                     \
  X(kGroupSubscribed, 62, 86, 7, false, "group reads the topic")                                  \
  X(kUnknownTopicId, 63, 100, 4, false, "unknown topic id")                                       \
  X(kSourceConflict, 64, 47, 7, false, "the source's position is another one")                    \
  X(kDatabaseUnreachable, 65, -1, 3, true, "database unreachable")                                \
  X(kDatabaseConflict, 66, -1, 7, true, "the transaction met another one and is to be run again") \
  X(kDatabaseFailed, 67, -1, 1, false, "the database refused")                                    \
  X(kDatabaseSchema, 68, -1, 7, false, "a table is missing or has another version")

enum class ErrorCode : std::uint16_t {
  kOk = 0,
#define LEAT_ERROR_ENUM(name, number, kafka, exit_status, retryable, text) name = number,
  LEAT_ERRORS(LEAT_ERROR_ENUM)
#undef LEAT_ERROR_ENUM
};

// One row of the table.
struct ErrorInfo {
  ErrorCode code;
  std::string_view name;  // "UnknownTopic"
  std::int16_t kafka_code;
  int exit_status;
  bool retryable;  // the same request may succeed later, unchanged
  std::string_view text;
};

// The row of `code`; a number this version does not know (from a newer peer) reads as kInternal.
const ErrorInfo& error_info(ErrorCode code);

// A failure: what kind, and what was found. `detail` names the thing and what to do about it; it
// is for people, never parsed. See docs/decisions/0002-error-detail.md.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string detail;

  Error(ErrorCode c) : code(c) {}  // NOLINT: a bare code is an error
  Error(ErrorCode c, std::string d) : code(c), detail(std::move(d)) {}

  bool retryable() const { return error_info(code).retryable; }
  // "unknown topic: 'orders' (create it with: leat topic create orders)"
  std::string message() const;
  friend bool operator==(const Error& a, ErrorCode b) { return a.code == b; }
};

}  // namespace leat
