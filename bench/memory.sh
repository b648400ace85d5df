#!/usr/bin/env bash
# What leatd holds of the machine's memory, idle and under load: bench/memory.sh BIN_DIR [OPTIONS].
# BIN_DIR has leatd and leat; OPTIONS are leatd's (default: --profile edge).
set -euo pipefail
bin="$1"
shift
[ $# -gt 0 ] || set -- --profile edge
work="$(mktemp -d)"
broker="unix://$work/leat"
trap 'kill "$leatd" 2>/dev/null || true; wait; rm -rf "$work"' EXIT

"$bin/leatd" "$@" --data-dir "$work/data" --listen "$broker" >"$work/ready" 2>"$work/log" &
leatd=$!
until [ -s "$work/ready" ]; do kill -0 "$leatd"; done

tell() {
  awk -v what="$1" '/VmHWM/{hwm=$2} /VmRSS/{rss=$2} /RssAnon/{anon=$2}
    END{printf "%-12s %6.1f %6.1f %10.1f\n", what, hwm/1e3, rss/1e3, anon/1e3}' "/proc/$leatd/status"
}
produce() {  # 1.2 million records of 100 bytes
  (set +o pipefail; yes "$(printf '%099d' 0)" | head -c 120000000) |
    "$bin/leat" produce --broker "$broker" load >/dev/null 2>&1
}
consume() {
  "$bin/leat" consume --broker "$broker" load --from earliest >/dev/null 2>&1
}
all() {  # runs the calls side by side
  local call jobs=()
  for call in "$@"; do "$call" & jobs+=($!); done
  for call in "${jobs[@]}"; do wait "$call"; done
}

printf '%-12s %6s %6s %10s  (MB)\n' '' peak now anonymous
tell idle
"$bin/leat" topic create --broker "$broker" load --partitions 4 >/dev/null
all produce produce produce
tell produce
all produce consume consume
tell mixed
