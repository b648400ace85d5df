#!/usr/bin/env bash
# leatd and leat as people use them: output, errors, exit codes. Usage: cli_test.sh BIN_DIR README
set -uo pipefail
bin="$1" readme="$2"
directory="$(mktemp -d)"
export PATH="$bin:$PATH" LEAT_BROKER="unix://$directory/socket"
broker=""
cleanup() { [ -z "$broker" ] || kill -9 "$broker" 2>/dev/null; rm -rf "$directory"; }
trap cleanup EXIT
failures=0

# start [OPTION...]: a broker, ready when its line is there.
start() {
  mkfifo "$directory/ready"
  leatd --listen "$LEAT_BROKER" "$@" >"$directory/ready" 2>>"$directory/log" &
  broker=$!
  read -r ready <"$directory/ready"
  rm "$directory/ready"
}
check() {  # check WHAT EXPECTED ACTUAL
  [ "$2" = "$3" ] && return
  printf 'FAILED %s\n  expected: %s\n  actual:   %s\n' "$1" "$2" "$3"
  failures=$((failures + 1))
}
exits() {  # exits STATUS TEXT COMMAND...: fails so, saying so
  local status="$1" text="$2" output actual
  shift 2
  output="$("$@" 2>&1 >/dev/null </dev/null)"
  actual=$?
  check "exit status of: $*" "$status" "$actual"
  case "$output" in *"$text"*) ;; *) check "message of: $*" "*$text*" "$output" ;; esac
}

# ---- a broker that does not start says why ----
exits 2 "--bogus" leatd --bogus
exits 2 "--data-dir" leatd
exits 2 "not both" leatd --dev --data-dir x
exits 4 "mkdir -p" leatd --data-dir "$directory/no/such"
mkdir "$directory/foreign"; touch "$directory/foreign/photo.jpg"
exits 7 "photo.jpg" leatd --data-dir "$directory/foreign"
exits 5 "--insecure" leatd --data-dir "$directory/x" --listen leat://0.0.0.0:0
exits 2 "leat://HOST:PORT" leatd --data-dir "$directory/x" --listen http://x
mkdir "$directory/old"; echo "leat-data 99" >"$directory/old/FORMAT"
exits 7 "data format 99" leatd --data-dir "$directory/old"
exits 5 "write access" leatd --data-dir /sys/leat  # root cannot write there either
if [ "$(id -u)" -ne 0 ]; then
  mkdir "$directory/readonly"; chmod 500 "$directory/readonly"
  exits 5 "write access" leatd --data-dir "$directory/readonly"
fi
exits 4 "none.toml" leatd --config "$directory/none.toml"
printf 'data_dir = "%s/configured"\nlisten = ["leat://127.0.0.1:0"]\n\n[limits]\ntopcs = 1\n' \
  "$directory" >"$directory/leat.toml"
exits 2 "leat.toml:5:1: unknown key 'limits.topcs'; did you mean 'limits.topics'?" \
  leatd --config "$directory/leat.toml"
exits 2 "did you mean --data-dir?" leatd --data-dri x
exits 2 "limits.batch_bytes" leatd --dev --limits-frame-bytes 1MiB
exits 2 "reactor" leatd --dev --reactor select
exits 3 "is leatd running there" leat ping
exits 2 "leat topic has no 'delete'; leat topic takes one of: create, ls, info, edit, trim, purge, rm" \
  leat topic delete x
exits 2 "leat takes one of: topic, produce, consume" leat

# ---- by hand ----
start --data-dir "$directory/data"
case "$ready" in
  '{"pid":'$broker',"listeners":["'$LEAT_BROKER'"],"reactor":"'*'","version":"'*'}') ;;
  *) check "the ready line" "JSON" "$ready" ;;
esac
exits 7 "in use" leatd --data-dir "$directory/data" --listen leat://127.0.0.1:0
exits 7 "in use" leatd --data-dir "$directory/y" --listen "$LEAT_BROKER"
leat ping >/dev/null || check "ping" 0 $?
leat topic create orders --partitions 4 >/dev/null
exits 7 "'orders'" leat topic create orders
exits 4 "leat topic create nope" leat produce nope x
exits 4 "'nope'" leat consume nope
exits 2 "'a b'" leat topic create 'a b'
exits 2 "1 to 1024" leat topic create many --partitions 99999
exits 4 "0 to 3" leat produce orders x --partition 9
exits 4 "0 to 3" leat consume orders --partitions 3-4
exits 1 "holds 0 to 0" leat consume orders --from 7
exits 2 "%q" leat consume orders --format %q
exits 2 "--from" leat consume orders --from yesterday
exits 2 "" leat consume orders -o yaml
exits 2 "--shared needs a group" leat consume orders --shared
exits 2 "--ack goes with --shared" leat consume orders -g g --ack manual
exits 2 "--ack-timeout takes" leat consume orders -g g --shared --ack-timeout 5
exits 2 "" leat frobnicate
exits 2 "KEY=VALUE" leat produce orders x --header nonsense
exits 2 "needs {n}" leat produce orders x y --id same
exits 2 "needs {n}" leat produce orders --id same
exits 1 "use 1 to 255" leat produce orders x --id "$(printf '%0256d' 0)"
exits 2 "a duration up to 3650d" leat produce orders x --ttl soon
exits 2 "a duration up to 3650d" leat produce orders x --delay 3651d
exits 4 "cannot read" leat produce orders --file "$directory/none"

exits 2 "--compression" leat produce orders x --compression brotli
exits 2 "a duration up to 24h, such as 500ms" leat ping --timeout 5
exits 2 "a size up to 64MiB" leat produce orders x --batch-bytes 1GiB
exits 2 "sometimes" leat ping --color sometimes
leat topic create squeezed >/dev/null
for codec in none gzip snappy lz4 zstd; do
  yes "$codec" | head -n 500 | leat produce squeezed --compression "$codec" 2>/dev/null
done
check "compressed records" "2500 none gzip snappy lz4 zstd" \
  "$(leat consume squeezed | wc -l) $(leat consume squeezed | uniq | xargs)"

check "json of a topic" '{"version":1,"topic":{"name":"orders","id":"ID","created_ms":T,"durability":"sync","cleanup":"delete","retention_ms":null,"retention_bytes":null,"retention_records":null,"on_full":"reject","ttl_ms":null,"dedup_window_ms":600000,"dedup_ids":1000000,"timestamps":"create","max_batch_bytes":null,"records":0,"partitions":[{"partition":0,"log_start":0,"high_watermark":0},' \
  "$(leat topic info orders --json | sed -E 's/"id":"[0-9a-f-]*"/"id":"ID"/; s/"created_ms":[0-9]*/"created_ms":T/; s/\{"partition":1.*//')"
check "json of all topics" '{"version":1,"topics":[{"name":"orders","records":0},{"name":"squeezed","records":2500}]}' \
  "$(leat topic ls --json | sed -E 's/"id":"[^{]*"max_batch_bytes":null,//g; s/,"partitions":\[[^]]*\]//g')"
check "no colour in a pipe" $'orders\t4 partitions\t0 records' "$(leat topic ls | head -n 1)"
check "colour that is asked for" $'\033[1morders\033[0m\t4 partitions\t0 records' \
  "$(leat topic ls --color always | head -n 1)"

leat topic create named >/dev/null
seq 1 3 | leat produce named --id '{n}/{n}' --ttl 1h 2>/dev/null
leat produce named 4 --id 'of one' --delay 0ms 2>/dev/null
check "ids and times are headers" "1 leat-id=1/1 2 leat-id=2/2 3 leat-id=3/3 4 leat-id=of one" \
  "$(leat consume named --format '%v %h\n' | sed -E 's/ ?leat-(deliver|expires)-at=[0-9]{13}//; s/,$//' | xargs)"
leat topic rm named --yes >/dev/null

# ---- settings, and records that go ----
exits 2 "a duration such as 500ms, 12h or 7d, or forever; not '7x'" leat topic create x --retention 7x
exits 2 "a size such as 64MiB or 1GiB, or unlimited" leat topic create x --retention-bytes -1
exits 2 "a number of records, or unlimited" leat topic create x --retention-records 1k
exits 2 "delete, compact or compact,delete" leat topic create x --cleanup none
exits 2 "reject or drop-oldest" leat topic create x --on-full block
exits 2 "1ms to 1h" leat topic create x --durability interval=2h
exits 1 "use cleanup 1 or 3" leat topic create x --cleanup compact --on-full drop-oldest
exits 2 "create or append" leat topic create x --timestamps now
exits 2 "or broker; not '0'" leat topic create x --max-batch-bytes 0
exits 1 "this broker takes at most" leat topic create x --max-batch-bytes 1TiB
exits 2 "a setting to change" leat topic edit orders
leat topic create growing --partitions 2 >/dev/null
exits 2 "can only get more" leat topic edit growing --partitions 1
check "more partitions" $'timestamps\tcreate -> append\npartitions\t2 -> 5' \
  "$(leat topic edit growing --timestamps append --partitions 5 2>/dev/null)"
check "as many partitions as there are" "" "$(leat topic edit growing --partitions 5)"
leat topic rm growing --yes >/dev/null
exits 2 "forever" leat topic edit orders --retention soon
exits 4 "'nope'" leat topic edit nope --retention 7d
exits 2 "or forever; not '5'" leat topic create x --ttl 5
exits 2 "or off; not 'on'" leat topic create x --dedup-window on
exits 2 "1 to 12000000" leat topic create x --dedup-ids 0
check "the settings of a topic" "sync forever unlimited unlimited delete reject forever 10m 1000000" \
  "$(leat topic info orders | sed -n '4,12p' | cut -f 2 | xargs)"
exits 2 "--before" leat topic trim squeezed
exits 2 "so long ago" leat topic trim squeezed --before soon
exits 4 "0 to 0" leat topic trim squeezed --before 5 --partition 3
exits 1 "holds 0 to 2500" leat topic trim squeezed --before 2501
exits 4 "'nope'" leat topic purge nope --yes
check "what a trim would take" $'squeezed 0\t0 -> 2000\t2000 records\t(dry run)' \
  "$(leat topic trim squeezed --before 2000 --dry-run)"
check "all but the last" $'squeezed 0\t0 -> 2490\t2490 records\t(dry run)' \
  "$(leat topic trim squeezed --before -10 --dry-run)"
check "by age" $'squeezed 0\t0 -> 0\t0 records\t(dry run)' \
  "$(leat topic trim squeezed --before 1h --dry-run)"
check "what a purge would take" $'squeezed 0\t0 -> 2500\t2500 records\t(dry run)' \
  "$(leat topic purge squeezed --dry-run)"

check "a trim" $'squeezed 0\t0 -> 2000\t2000 records' "$(leat topic trim squeezed --before 2000)"
check "once more" $'squeezed 0\t2000 -> 2000\t0 records' "$(leat topic trim squeezed --before 2000)"
check "what is left" "500 zstd" "$(leat consume squeezed | wc -l) $(leat consume squeezed | uniq)"
check "the log start" $'partition 0\toffsets 2000 to 2500' "$(leat topic info squeezed | tail -n 1)"
exits 1 "holds 2000 to 2500" leat consume squeezed --from 1999
check "a purge" $'squeezed 0\t2000 -> 2500\t500 records' "$(leat topic purge squeezed --yes)"
check "nothing is left" 0 "$(leat consume squeezed | wc -l)"
check "an edit" $'retention\tforever -> 7d\nretention-bytes\tunlimited -> 1GiB\non-full\treject -> drop-oldest' \
  "$(leat topic edit squeezed --retention 168h --retention-bytes 1024MiB --on-full drop-oldest)"
check "what is not given stays" $'retention\t7d -> forever' \
  "$(leat topic edit squeezed --retention forever --cleanup delete)"
check "what is delivered, and known" $'ttl\tforever -> 1h\ndedup-window\t10m -> off\ndedup-ids\t1000000 -> 5' \
  "$(leat topic edit squeezed --ttl 60m --dedup-window off --dedup-ids 5)"
check "nothing to change" "" "$(leat topic edit squeezed --on-full drop-oldest)"
leat topic create late >/dev/null
seq 1 100 | leat produce late 2>/dev/null
leat consume late -g slow -n 10 >/dev/null
leat topic trim late --before 50 >/dev/null
check "a group that comes too late" 50 "$(leat consume late -g slow 2>"$directory/late" | wc -l)"
check "what it is told" "leat: 40 records were gone before they were read" "$(cat "$directory/late")"
leat group rm slow --yes
leat topic create latest --cleanup compact >/dev/null
exits 1 "has no key" leat produce latest x

# ---- completion, as bash asks for it ----
# shellcheck disable=SC1090

# ---- a disk with less free than is to stay free ----
mkfifo "$directory/reserved"
leatd --dev --disk-reserve 1TiB --listen "unix://$directory/low" >"$directory/reserved" 2>"$directory/low.log" &
low=$!
read -r ready <"$directory/reserved"
check "a topic while space is low" 0 "$(leat --broker "unix://$directory/low" topic create t >/dev/null; echo $?)"
exits 1 "make room" leat --broker "unix://$directory/low" produce t x
case "$(cat "$directory/low.log")" in *event=space_low*"make room"*) ;; *) check "the log of low space" event=space_low missing ;; esac
kill "$low"; wait "$low"

# ---- snapshots ----
exits 4 "mkdir -p" leat snapshot create "$directory/no/such"
check "a snapshot" "$directory/copy" "$(leat snapshot create "$directory/copy")"
exits 7 "choose another directory" leat snapshot create "$directory/copy"
check "a snapshot in the data directory" 0 "$(leatd --check --data-dir "$(leat snapshot create)" >/dev/null; echo $?)"
mkfifo "$directory/relative"
mkdir "$directory/home"
(cd "$directory/home" && exec leatd --data-dir data --listen "unix://$directory/near") >"$directory/relative" 2>>"$directory/log" &
near=$!
read -r ready <"$directory/relative"
check "a snapshot of a broker that was started elsewhere" "$directory/far" \
  "$(leat --broker "unix://$directory/near" snapshot create "$directory/far")"
kill "$near"; wait "$near"
elsewhere="$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)"
check "a snapshot on another file system" "$elsewhere/copy" "$(leat snapshot create "$elsewhere/copy")"
for copy in "$directory/copy" "$elsewhere/copy"; do
  mkfifo "$directory/forked"
  leatd --data-dir "$copy" --listen "unix://$directory/fork" >"$directory/forked" 2>>"$directory/log" &
  fork=$!
  read -r ready <"$directory/forked"
  rm "$directory/forked"
  check "topics of a fork" "$(leat topic ls)" "$(leat --broker "unix://$directory/fork" topic ls)"
  kill "$fork"; wait "$fork"
done
rm -rf "$elsewhere"

source <(leat completion bash)
completes() {  # completes EXPECTED WORD...: the last word is what stands before the cursor
  local expected="$1"
  shift
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _leat
  check "completion of: $*" "$expected" "${COMPREPLY[*]}"
}
completes "topic" leat to
completes "ls info seek reset rm" leat group ""
completes "create ls info edit trim purge rm" leat topic ""
completes "ls show redrive" leat dlq ""
completes "create" leat snapshot ""
completes "--retention --retention-bytes --retention-records" leat topic edit --ret
completes "--partitions" leat topic create --part
completes "--broker" leat --color never topic ls --b
completes "consume completion" leat --broker x co
for shell in bash zsh fish; do
  case "$(leat completion "$shell")" in *--if-not-exists*|*"'if-not-exists'"*) ;; *) check "$shell" complete missing ;; esac
done
exits 2 "tcsh" leat completion tcsh

leat produce orders one two --key k --header a=1 --header b=2 2>/dev/null
check "format" $'orders 0 k one a=1,b=2\norders 1 k two a=1,b=2' \
  "$(leat consume orders --format '%t %o %k %v %h\n')"
check "json" '"key":"k","value":"one","headers":[["a","1"],["b","2"]]}' \
  "$(leat consume orders -n 1 -o json | sed 's/.*"key"/"key"/')"
leat topic create lines >/dev/null
seq 1 5000 | leat produce lines 2>/dev/null
check "standard input, in order" "$(seq 1 5000 | md5sum)" "$(leat consume lines | md5sum)"
check "the last two" $'4999\n5000' "$(leat consume lines --from -2)"
check "from an offset" 5000 "$(leat consume lines --from 4999)"
check "count for a group" $'1\n2\n3' "$(leat consume lines -g g -n 3)"
check "the group goes on" 4 "$(leat consume lines -g g -n 1)"
check "since a time" 5000 "$(leat consume lines --since 1h | wc -l)"

# ---- groups ----
check "its lag" $'lines 0\tcommitted 4\tend 5000\tlag 4996\t-' "$(leat group info g | tail -n 1)"
check "groups" $'g\tnone\t0 members' "$(leat group ls)"
check "groups as json" '{"version":1,"groups":[{"name":"g","kind":"none","epoch":E,"members":0,"settled":true,"redelivered":0,"dead":0}]}' \
  "$(leat group ls --json | sed -E 's/"epoch":[0-9]+/"epoch":E/')"
check "a dry run" $'lines 0\t4 -> 2\t(dry run)' "$(leat group seek g lines --to 2 --dry-run)"
check "after a dry run" 5 "$(leat consume lines -g g -n 1)"
check "seek" $'lines 0\t5 -> 2' "$(leat group seek g lines --to 2)"
check "after seek" 3 "$(leat consume lines -g g -n 1)"
check "reset" $'lines 0\t3 -> 5000' "$(leat group reset g lines --to end)"
check "after reset" "" "$(leat consume lines -g g)"
leat group reset g lines --since 1h >/dev/null
check "after reset to a time" 1 "$(leat consume lines -g g -n 1)"
leat group seek g lines --to 4 >/dev/null
exits 1 "holds 0 to 5000" leat group seek g lines --to 9999
exits 4 "has partitions 0 to 0" leat group seek g lines --to 1 --partitions 3
exits 4 "'none'" leat group info none
exits 4 "'none'" leat group rm none --yes
exits 2 "middle" leat group reset g lines --to middle
exits 2 "" leat group seek g lines
exits 2 "1w" leat consume lines --since 1w
check "seek to a time" $'lines 0\t4 -> 0\t(dry run)' "$(leat group seek g lines --since 1h --dry-run)"
check "reset without a word" $'lines 0\t4 -> 0\t(dry run)' "$(leat group reset g lines --dry-run)"
check "from a time to come" "" "$(leat consume lines --from 2999-01-01T00:00:00Z)"
leat topic create shared --partitions 2 >/dev/null
for i in 1 2 3 4 5 6 7 8; do leat produce shared "$i" --key "$i" 2>/dev/null; done
coproc MEMBER { exec leat consume shared -g team --follow 2>/dev/null; }
member=$MEMBER_PID
exec {membership}<&"${MEMBER[0]}"
for i in 1 2 3 4 5 6 7 8; do read -r _ <&"$membership"; done
case "$(leat group info team)" in *"partitioned"*"shared 1"*"lag 0"*) ;; *) check "a member's group" "lag 0" "$(leat group info team)" ;; esac
exits 7 "stop" leat group rm team --yes
exits 7 "stop" leat group seek team shared --to 0
kill -TERM "$member"; wait "$member" 2>/dev/null
check "a member that left" $'team\tnone\t0 members' "$(leat group ls | grep team)"
leat group rm team --yes
check "a group that is gone" "" "$(leat group ls | grep team)"

# ---- durability ----
leat topic create quick --durability interval=50ms >/dev/null
check "durability" $'durability\tinterval=50ms' "$(leat topic info quick | grep durability)"
exits 2 "interval=100ms" leat topic create x --durability sometimes
printf 'a:1\nb:2\n' >"$directory/file"
leat topic create keyed >/dev/null
leat produce keyed --file "$directory/file" --key-delimiter : 2>/dev/null
check "keys" $'a=1\nb=2' "$(leat consume keyed --format '%k=%v\n')"
head -c 1000 /dev/urandom | tr -d '\n' >"$directory/binary"
leat topic create binary >/dev/null
leat produce binary --file "$directory/binary" 2>/dev/null
check "raw bytes" "$(md5sum <"$directory/binary")" "$(leat consume binary -o raw | md5sum)"
leat consume lines 2>"$directory/full" >/dev/full
check "a full standard output" 1 $?
case "$(cat "$directory/full")" in *"No space left"*) ;; *) check "its message" "*No space left*" "$(cat "$directory/full")" ;; esac
leat topic ls >/dev/full 2>&1
check "a full standard output for a list" 1 $?
leat consume lines | head -n 1 >/dev/null  # a closed pipe is no crash

# ---- a reader that follows, through a SIGKILL of the broker ----
coproc FOLLOW { exec leat consume lines --follow 2>/dev/null; }
follower=$FOLLOW_PID
exec {followed}<&"${FOLLOW[0]}"
read -r first <&"$followed"
check "the follower's first record" 1 "$first"
kill -9 "$broker"; wait "$broker" 2>/dev/null
start --data-dir "$directory/data"
check "records after SIGKILL" 5000 "$(leat consume lines | wc -l)"
check "the group after SIGKILL" 5 "$(leat consume lines -g g -n 1)"
leat produce lines after 2>/dev/null
check "the follower goes on" after "$(timeout 60 grep -m 1 after <&"$followed")"
kill -TERM "$follower"
leat topic rm lines --yes
exits 4 "'lines'" leat topic info lines

# ---- a configuration file, and a flag that goes before it ----
kill -TERM "$broker"; wait "$broker"
sed -i s/topcs/topics/ "$directory/leat.toml"
start --config "$directory/leat.toml"
case "$ready" in *'"listeners":["'$LEAT_BROKER'"]'*"configured"*) ;; *) check "the flag's listener" "$LEAT_BROKER" "$ready" ;; esac
leat topic create first >/dev/null || check "a topic within the limit" 0 $?
exits 1 "1 topics" leat topic create second
check "the printed configuration" "topics = 1" \
  "$(leatd --config "$directory/leat.toml" --print-config | grep '^topics =')"

# ---- inside a process ----
check "the embedded example" $'stored 200 readings: yes\nforwarded 200\nstored 2000 more: yes\nforwarded N more, N had made room\nstored 2000 alarms: no, it is full\nforwarded N alarms' \
  "$(embedded "$directory/embedded" | sed -E '4,6s/forwarded [0-9]+/forwarded N/; s/, [0-9]+ had/, N had/')"

# ---- stopping ----
kill -TERM "$broker"; wait "$broker"
check "SIGTERM" 0 $?
broker=""
start --dev
temporary="$(printf '%s' "$ready" | sed 's/.*"data_dir":"\([^"]*\)".*/\1/')"
leat produce fresh hello 2>/dev/null || check "auto-created topic" 0 $?
check "auto-created" hello "$(leat consume fresh)"
kill -TERM "$broker"; wait "$broker"
broker=""
[ ! -e "$temporary" ] || check "--dev directory" removed "$temporary is left"

# ---- a broker for tests: declared topics, and back to them ----
start --dev --topic declared:3 --listen 'kafka://127.0.0.1:0?advertised=leat.example:29092'
check "declared topic" "declared	3 partitions	0 records" "$(leat topic ls)"
kafka="${ready#*kafka://}" kafka="${kafka%%\"*}"
case "$(kcat -L -b "$kafka" 2>/dev/null)" in
  *"broker 1 at leat.example:29092"*"topic \"declared\" with 3 partitions"*) ;;
  *) check "what Kafka clients are told" leat.example:29092 "$(kcat -L -b "$kafka" 2>&1)" ;;
esac
leat produce declared one && leat produce other two
leat reset --yes || check "leat reset" 0 $?
check "after leat reset" "declared	3 partitions	0 records" "$(leat topic ls)"
kill -9 "$broker"; wait "$broker" 2>/dev/null
start --data-dir "$directory/kept"
leat topic create kept
exits 5 "--dev or allow_reset" leat reset --yes
check "after a reset that is refused" "kept	1 partitions	0 records" "$(leat topic ls)"
kill -9 "$broker"; wait "$broker" 2>/dev/null
exits 2 "NAME:PARTITIONS" leatd --dev --topic a:b

# ---- the README, as it is written ----
start --dev --listen kafka://127.0.0.1:0
sed -n '/<!-- run: shell -->/,/^```$/p' "$readme" | sed '1,2d;$d' >"$directory/readme.sh"
[ -s "$directory/readme.sh" ] || check "README snippet" found none
output="$(cd "$directory" && bash -e -o pipefail "$directory/readme.sh" 2>&1)" || check "README snippet" 0 "$output"
case "$output" in *1000*) ;; *) check "README output" "*1000*" "$output" ;; esac

kafka="${ready#*kafka://}" kafka="${kafka%%\"*}"
sed -n '/<!-- run: kcat -->/,/^```$/p' "$readme" | sed '1,2d;$d' | sed "s/127.0.0.1:9092/$kafka/" >"$directory/kcat.sh"
[ -s "$directory/kcat.sh" ] || check "README snippet for kcat" found none
output="$(cd "$directory" && bash -e "$directory/kcat.sh" 2>/dev/null)" || check "README snippet for kcat" 0 "$output"
case "$output" in *" 43 third order"*) ;; *) check "README output of kcat" "* 43 third order*" "$output" ;; esac
check "lines of the README's kcat" 2 "$(wc -l <<<"$output")"

kill -9 "$broker"; wait "$broker" 2>/dev/null
start --dev
check "README C++" "1 handled" "$(readme_snippet 2>/dev/null)"

[ "$failures" -eq 0 ] && echo "ok" || { echo "$failures failed"; cat "$directory/log"; exit 1; }
