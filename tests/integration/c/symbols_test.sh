#!/usr/bin/env bash
# What libleat.so ($1) shows and uses (rule 13).
set -euo pipefail
fail() { printf 'symbols_test: %s\n' "$*" >&2; exit 1; }

shown=$(nm -D --defined-only "$1" | awk '$2 != "A" { print $3 }' | sed 's/@.*//')
[ "$(grep -c '^leat_' <<<"$shown")" -eq 15 ] || fail "the C API is not there: $shown"
others=$(grep -v '^leat_' <<<"$shown" || true)
[ -z "$others" ] || fail "shows more than the C API: $others"

# It neither ends the process nor touches signals or spdlog. pthread_sigmask is for its own threads.
used=$(nm -D --undefined-only -C "$1" | sed -E 's/^ *[Uwv] //; s/@.*//')
for forbidden in exit _exit quick_exit signal sigaction atexit; do
  ! grep -qx "$forbidden" <<<"$used" || fail "uses $forbidden"
done
all=$(nm -C "$1")
! grep -q 'spdlog::' <<<"$all" || fail "contains spdlog"
dynamic=$(readelf -d "$1")
grep -q 'SONAME.*\[libleat\.so\.0\]' <<<"$dynamic" || fail "has no SONAME"
# Debian's archive of RocksDB is not position-independent; and a host may have it loaded already.
grep -q 'NEEDED.*\[librocksdb\.so' <<<"$dynamic" || fail "does not use librocksdb.so"
