#!/usr/bin/env bash
# kcat against a fresh leatd, or the broker that LEAT_KAFKA_BOOTSTRAP names: each scenario must say "ok".
#   kcat_test.sh LEATD [SCENARIO...]
set -euo pipefail
leatd="$1"
shift
directory="$(mktemp -d)"
pids=()
stop_all() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$directory"
}
trap stop_all EXIT
failed=0

# What is read may not be there yet; only a hang takes so long.
hang=60
K() { timeout "$hang" kcat -b "$bootstrap" "$@"; }
fail() { printf '%s\n' "$*" >&2; return 1; }
same() { [ "$1" = "$2" ] || fail "expected: $1"$'\n'"found:    $2"; }
fresh() { printf '%s-%s-%s' "$1" "$$" "$RANDOM$RANDOM"; }
read_all() { K -C -t "$1" -p 0 -o beginning -e -q "${@:2}"; }

start_leatd() {
  mkfifo "$directory/out"
  "$leatd" --data-dir "$directory/data" --listen kafka://127.0.0.1:0 --auto-create-topics >"$directory/out" 2>"$directory/log" &
  pids+=($!)
  local line
  exec 3<"$directory/out"
  while read -r line <&3; do
    [[ "$line" =~ kafka://([0-9.]+:[0-9]+) ]] && { bootstrap="${BASH_REMATCH[1]}"; return; }
  done
  cat "$directory/log" >&2
  fail "leatd did not say where it serves Kafka"
}

metadata() {
  K -L -J >"$directory/metadata"
  grep -qF "\"name\":\"$bootstrap\"" "$directory/metadata" ||
    fail "no broker $bootstrap in $(cat "$directory/metadata")"
}

# Keys, headers, an empty value and none, and a value of 100 KB, through every codec.
produce_with_each_codec() {
  local codec topic expected
  head -c 75000 /dev/urandom | base64 -w0 >"$directory/large"
  for codec in none gzip snappy lz4 zstd; do
    topic="$(fresh "$codec")"
    printf 'k1|one\n|no key\nk2|\n' | K -P -t "$topic" -p 0 -z "$codec" -K '|' -Z -H a=1 -H b=
    K -P -t "$topic" -p 0 -z "$codec" -k large "$directory/large"
    expected="k1|3|one|a=1,b=
|6|no key|a=1,b=
k2|-1||a=1,b=
large|$(stat -c %s "$directory/large")|$(cat "$directory/large")|"
    same "$expected" "$(read_all "$topic" -f '%k|%S|%s|%h\n')"
  done
}

acks() {
  local level topic
  for level in 0 1 all; do
    topic="$(fresh acks)"
    seq 1 100 | K -P -t "$topic" -p 0 -X acks="$level"
    same "$(seq 1 100)" "$(read_all "$topic" -c 100)"
  done
}

idempotent() {
  local topic
  topic="$(fresh idempotent)"
  seq 1 1000 | K -P -t "$topic" -p 0 -X enable.idempotence=true -X batch.num.messages=10
  same "$(seq 1 1000)" "$(read_all "$topic")"
}

by_offset_and_timestamp() {
  local topic between
  topic="$(fresh reading)"
  seq 1 10 | K -P -t "$topic" -p 0
  sleep 0.05  # so that timestamps differ
  between="$(date +%s%3N)"
  seq 11 20 | K -P -t "$topic" -p 0
  same "$(seq 8 20)" "$(K -C -t "$topic" -p 0 -o 7 -e -q)"
  same "$(seq 18 20)" "$(K -C -t "$topic" -p 0 -o -3 -e -q)"
  same "$(seq 11 20)" "$(K -C -t "$topic" -p 0 -o "s@$between" -e -q)"
  same "$topic [0] offset 10" "$(K -Q -t "$topic:0:$between")"
}

# A group goes on behind what it has committed.
group_resumes() {
  local topic group
  topic="$(fresh resumed)" group="$(fresh group)"
  seq 1 10 | K -P -t "$topic" -p 0
  same "$(seq 1 10)" "$(K -G "$group" -e -q -X auto.offset.reset=earliest "$topic" 2>/dev/null)"
  seq 11 15 | K -P -t "$topic" -p 0
  same "$(seq 11 15)" "$(K -G "$group" -e -q -X auto.offset.reset=earliest "$topic" 2>/dev/null)"
}

wait_for_line() {  # FILE PATTERN
  local end=$((SECONDS + hang))
  until grep -qE "$2" "$1"; do
    [ "$SECONDS" -lt "$end" ] || fail "no '$2' in $1: $(cat "$1")"
    sleep 0.05
  done
}
member() {  # NAME GROUP TOPIC
  kcat -b "$bootstrap" -G "$2" -u -X auto.offset.reset=earliest -X session.timeout.ms=6000 \
    -X heartbeat.interval.ms=500 -X partition.assignment.strategy=range "$3" \
    >"$directory/$1.out" 2>"$directory/$1.err" &
  pids+=($!)
}
# Two members; the one that dies says nothing, and its partitions go to the others all the same.
member_dies() {
  local topic group
  topic="$(fresh dying)" group="$(fresh group)"
  seq 1 3 | K -P -t "$topic" -p 0  # created as the broker creates topics
  : >"$directory/second.err"
  member first "$group" "$topic"
  wait_for_line "$directory/first.out" '^3$'
  member second "$group" "$topic"
  wait_for_line "$directory/second.err" 'rebalanced'
  kill -KILL "${pids[-2]}"  # the first, which had partition 0
  seq 4 6 | K -P -t "$topic" -p 0
  wait_for_line "$directory/second.out" '^6$'
}

too_large() {
  local topic
  topic="$(fresh large)"
  head -c 9000000 /dev/zero | tr '\0' x >"$directory/too-large"
  if K -P -t "$topic" -p 0 -X message.max.bytes=20000000 "$directory/too-large" 2>"$directory/said"; then
    fail "a record of 9 MB was taken"
  fi
  grep -qi 'message size too large' "$directory/said" || fail "kcat says: $(cat "$directory/said")"
}

bootstrap="${LEAT_KAFKA_BOOTSTRAP:-}"
[ -n "$bootstrap" ] || start_leatd
scenarios=(metadata produce_with_each_codec acks idempotent by_offset_and_timestamp group_resumes
           member_dies too_large)
[ $# -eq 0 ] || scenarios=("$@")
for scenario in "${scenarios[@]}"; do
  # In the background, for in a condition nothing that goes wrong would end the scenario.
  (
    pids=()
    trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
    "$scenario"
  ) 2>"$directory/why" &
  if wait $!; then
    printf 'RESULT\t%s\tok\n' "$scenario"
  else
    printf 'RESULT\t%s\tfailed\t%s\n' "$scenario" "$(tr '\n\t' '  ' <"$directory/why" | cut -c1-600)"
    failed=1
  fi
done
exit "$failed"
