#!/usr/bin/env bash
# The edge collector ($1) stores and forwards; when it is full old readings go, and alarms are refused.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
said=$("$1" "$directory/data")
printf '%s\n' "$said"
grep -qx 'stored 200 readings: yes' <<<"$said"
grep -qx 'forwarded 200' <<<"$said"
grep -qx 'stored 2000 more: yes' <<<"$said"
[[ $said =~ forwarded\ ([1-9][0-9]*)\ more,\ ([1-9][0-9]*)\ had\ made\ room ]]
[ $((BASH_REMATCH[1] + BASH_REMATCH[2])) -eq 2000 ]  # each reading went one way or the other
grep -qx 'stored 2000 alarms: no, it is full' <<<"$said"
grep -qE '^forwarded [1-9][0-9]* alarms$' <<<"$said"
