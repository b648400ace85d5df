#!/usr/bin/env bash
# The examples against a broker, as their first lines say. Usage: examples_test.sh BIN_DIR
set -uo pipefail
bin="$1"
directory="$(mktemp -d)"
url="unix://$directory/socket"
mkfifo "$directory/ready"
"$bin/leatd" --dev --listen "$url" >"$directory/ready" 2>"$directory/log" &
broker=$!
trap 'kill -9 $broker 2>/dev/null; rm -rf "$directory"' EXIT
read -r _ <"$directory/ready"
failures=0
check() {  # check WHAT EXPECTED ACTUAL
  [ "$2" = "$3" ] && return
  printf 'FAILED %s\n  expected: %s\n  actual:   %s\n' "$1" "$2" "$3"
  failures=$((failures + 1))
}

check "producer" "5000 stored, 0 failed" "$(seq 1 5000 | "$bin/example_producer" "$url" lines)"
# Two members of one group, told apart by nothing but who comes first.
"$bin/example_group_consumer" "$url" lines readers 2000 2>/dev/null >"$directory/first" || check "first member" 0 $?
"$bin/example_group_consumer" "$url" lines readers 3000 2>/dev/null >"$directory/second" || check "second member" 0 $?
check "each line once" "$(seq 1 5000 | md5sum)" "$(sort -n "$directory/first" "$directory/second" | md5sum)"
check "coroutine" 10 "$("$bin/example_coroutine" "$url" | grep -c 'paid: one coffee')"
for _ in 1 2; do
  check "request and reply" "tea: 3.90 coffee: 6.90 water: 5.90 " "$("$bin/example_request_reply" "$url" | tr '\n' ' ')"
done
check "without a broker" 1 "$("$bin/example_coroutine" "unix://$directory/nobody" >/dev/null 2>"$directory/error"; echo $?)"
case "$(cat "$directory/error")" in *"is leatd running there"*) ;; *) check "its message" "*is leatd running there*" "$(cat "$directory/error")" ;; esac
[ "$failures" -eq 0 ] && echo ok || exit 1
