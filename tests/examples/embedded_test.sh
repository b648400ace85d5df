#!/usr/bin/env bash
# The edge collector ($1) stores, forwards, fills up, and hands on all it took.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
said=$("$1" "$directory/data")
printf '%s\n' "$said"
grep -qx 'stored 200 readings: yes' <<<"$said"
grep -qx 'forwarded 200' <<<"$said"
grep -qx 'stored 2000 more: no, it is full' <<<"$said"
grep -qE '^forwarded [1-9][0-9]* more$' <<<"$said"
