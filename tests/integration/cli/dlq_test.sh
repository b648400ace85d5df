#!/usr/bin/env bash
# Dead letters by hand: made by a group, listed, shown, sent back. Usage: dlq_test.sh BIN_DIR
set -uo pipefail
bin="$1"
directory="$(mktemp -d)"
export PATH="$bin:$PATH" LEAT_BROKER="unix://$directory/socket"
broker=""
cleanup() { [ -z "$broker" ] || kill -9 "$broker" 2>/dev/null; rm -rf "$directory"; }
trap cleanup EXIT
failures=0

start() {
  mkfifo "$directory/ready"
  leatd --data-dir "$directory/data" --listen "$LEAT_BROKER" >"$directory/ready" 2>>"$directory/log" &
  broker=$!
  read -r _ <"$directory/ready"
  rm "$directory/ready"
}
check() {  # check WHAT EXPECTED ACTUAL
  [ "$2" = "$3" ] && return
  printf 'FAILED %s\n  expected: %s\n  actual:   %s\n' "$1" "$2" "$3"
  failures=$((failures + 1))
}
exits() {  # exits STATUS TEXT COMMAND...: ends so, saying so
  local status="$1" text="$2" output actual
  shift 2
  output="$("$@" 2>&1 >/dev/null </dev/null)"
  actual=$?
  check "exit status of: $*" "$status" "$actual"
  case "$output" in *"$text"*) ;; *) check "message of: $*" "*$text*" "$output" ;; esac
}
waiting() { leat dlq ls | grep "^$1" | cut -f 2; }

start
leat topic create orders --partitions 2 >/dev/null
leat topic create doomed >/dev/null
for i in 1 2 3; do leat produce orders "value $i" --key "$i" --header "a=$i" 2>/dev/null; done
leat produce doomed 'of no topic' 2>/dev/null
leat consume orders --format '%p %k %v %h %T\n' | sort >"$directory/before"

# ---- nothing is dead ----
check "no topics of dead letters" "" "$(leat dlq ls)"
check "the same for scripts" '{"version":1,"dead_letters":[]}' "$(leat dlq ls --json)"
exits 4 "'orders.dlq'" leat dlq show orders.dlq
exits 4 "'orders.dlq'" leat dlq redrive orders.dlq --yes
exits 4 "'nope'" leat dlq ls --topic nope
exits 2 "PARTITION/OFFSET" leat dlq redrive orders.dlq --offset 7
exits 2 "records a second" leat dlq redrive orders.dlq --rate fast
exits 2 "%q" leat dlq show orders.dlq --format %q
exits 2 "ls, show, redrive" leat dlq

# ---- a group that acks nothing, and one that comes to nothing else ----
gives_up() {  # gives_up TOPIC GROUP: until all that the topic holds is dead
  leat consume "$1" -g "$2" --shared --ack manual --max-deliveries 1 --ack-timeout 100ms \
    --dead-letter orders.dlq --follow >/dev/null 2>&1 &
  local member=$!
  until leat group info "$2" 2>/dev/null | grep -q "^lag.0$"; do sleep 0.05; done
  leat group info "$2" >"$directory/$2"
  leat group info "$2" --json >"$directory/$2.json"
  kill -9 "$member"; wait "$member" 2>/dev/null
}
gives_up orders billing
gives_up doomed mail
check "the group" "kind shared redelivered 0 dead 3" \
  "$(grep -E '^(kind|redelivered|dead)' "$directory/billing" | xargs)"
check "its partitions" "lag 0 leased 0 waiting 0 done 0" \
  "$(grep '^orders 0' "$directory/billing" | cut -f 4-7 | xargs)"
case "$(cat "$directory/billing.json")" in
  *'"kind":"shared"'*'"redelivered":0,"dead":3'*'"lag":0,"leased":0,"waiting":0,"done":0}'*) ;;
  *) check "the group for scripts" "dead 3" "$(cat "$directory/billing.json")" ;;
esac
leat topic rm doomed --yes

# ---- what is there ----
check "the list" $'orders.dlq\t4 records\n  doomed\tmail\tmax_deliveries\t1 records\n  orders\tbilling\tmax_deliveries\t3 records' \
  "$(leat dlq ls)"
check "for scripts" '{"version":1,"dead_letters":[{"topic":"orders.dlq","records":4,"looked_at":4,"by":[{"reason":"max_deliveries","group":"mail","source":"doomed","records":1},{"reason":"max_deliveries","group":"billing","source":"orders","records":3}]}]}' \
  "$(leat dlq ls --json)"
check "what is shown" "billing 1 attempts max_deliveries 2 value 2" \
  "$(leat dlq show orders.dlq --key 2 | cut -f 4- | xargs)"
check "of one topic" "of no topic" "$(leat dlq show orders.dlq --source doomed --format '%v\n' | cut -f 7)"
check "of one group" 3 "$(leat dlq show orders.dlq -g billing | wc -l)"
check "of another reason" "" "$(leat dlq show orders.dlq --reason other)"
check "so many" 2 "$(leat dlq show orders.dlq --reason deliver -n 2 | wc -l)"
check "json" '"reason":"max_deliveries","group":"billing","topic":"orders","attempts":1,"key":"2","value":"value 2"' \
  "$(leat dlq show orders.dlq --key 2 -o json |
    sed -E 's/.*("reason":.*"topic":"orders").*("attempts":1).*("key":.*"value 2").*/\1,\2,\3/')"
check "looking changes nothing" "" "$(leat group ls | grep redrive)"

# ---- back ----
check "a dry run" 3 "$(leat dlq redrive orders.dlq --source orders --dry-run 2>/dev/null | grep -c 'dry run')"
check "after a dry run" "4 records" "$(waiting orders.dlq)"
check "one by its key" 1 "$(leat dlq redrive orders.dlq --key 2 --yes 2>/dev/null | wc -l)"
check "what is left" "1 3" "$(leat dlq show orders.dlq -g billing --format '%k\n' | cut -f 7 | sort | xargs)"
check "all that there ever was" 4 "$(leat dlq show orders.dlq --all | wc -l)"
kill -9 "$broker"; wait "$broker" 2>/dev/null
start
check "after a SIGKILL of the broker" "3 records" "$(waiting orders.dlq)"
place="$(leat dlq show orders.dlq --key 3 | cut -f 1)"
exits 0 "1 redriven" leat dlq redrive orders.dlq --offset "$place" --rate 100/s
exits 4 "topic 'doomed' is gone: 1 records" leat dlq redrive orders.dlq
check "what stays" "of no topic" "$(leat dlq show orders.dlq --format '%v\n' | cut -f 7)"
exits 0 "0 redriven" leat dlq redrive orders.dlq --source orders
check "twice each, as they were" "$(sort "$directory/before" "$directory/before")" \
  "$(leat consume orders --format '%p %k %v %h %T\n' | sort)"
leat topic create doomed >/dev/null
exits 0 "1 redriven" leat dlq redrive orders.dlq
check "the last" "of no topic" "$(leat consume doomed)"
check "nothing is left" "0 records" "$(waiting orders.dlq)"

# ---- broken off in between: twice at worst, never lost ----
leat topic create spare.dlq >/dev/null
leat topic create spare >/dev/null
for i in 1 2 3 4 5; do
  leat produce spare.dlq "$i" --header leat-dead-topic=spare 2>/dev/null
done
coproc REDRIVE { exec leat dlq redrive spare.dlq --rate 1/s 2>/dev/null </dev/null; }
redrive=$REDRIVE_PID
exec {told}<&"${REDRIVE[0]}"
read -r first <&"$told"
kill -9 "$redrive"; wait "$redrive" 2>/dev/null
check "its first" "spare.dlq 0/0 -> spare 0/0" "$first"
leat dlq redrive spare.dlq >/dev/null 2>&1 </dev/null || check "the rest" 0 $?
check "all are there" "1 2 3 4 5" "$(leat consume spare | sort -u | xargs)"
check "none is left" "0 records" "$(waiting spare.dlq)"

[ "$failures" -eq 0 ] && echo "ok" || { echo "$failures failed"; cat "$directory/log"; exit 1; }
