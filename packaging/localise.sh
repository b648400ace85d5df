#!/usr/bin/env bash
# Makes one object of Leat's rooms and the packages they stand on. Only Leat's own symbols stay
# visible, and those of the standard library and Asio, which are part of its face: so the host may
# have a RocksDB, a zstd … of its own, whatever the version.
#
#   localise.sh OUTPUT LD NM OBJCOPY ROOM... -- PACKAGE...
set -euo pipefail
output=$1 ld=$2 nm=$3 objcopy=$4
shift 4
rooms=()
while [ "$1" != -- ]; do rooms+=("$1") && shift; done
shift

packages='rocksdb|flatbuffers|ZSTD'  # what of them the rooms' own objects instantiate or ask for
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Ungrouped: a group is dropped where the host has one of that name, with the local symbols in it.
"$ld" -r --force-group-allocation -o "$work/all.o" --whole-archive "${rooms[@]}" \
  --no-whole-archive --start-group "$@" --end-group
"$nm" -g --defined-only -P "${rooms[@]}" | awk 'NF > 1 { print $1 }' | grep -vE "$packages" |
  sort -u >"$work/keep"
# Unique symbols cannot be localised, nor be there twice without a group: weak ones can.
"$nm" "$work/all.o" | awk '$2 == "u" { print $3 }' >"$work/unique"
# What a package can do without must not come from the host's.
"$nm" -u "$work/all.o" | awk '$1 == "w" { print $2 }' | { grep -E "$packages" || true; } |
  sed 's/.*/& leat_absent_&/' >"$work/absent"
"$objcopy" --strip-debug --weaken-symbols="$work/unique" --redefine-syms="$work/absent" "$work/all.o"
"$objcopy" --keep-global-symbols="$work/keep" "$work/all.o" "$output"
