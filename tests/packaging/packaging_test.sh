#!/usr/bin/env bash
# Installs the build ($1) somewhere, moves the tree, and uses it as others would: with CMake and with
# pkg-config. $2, $3: the compilers.
set -euo pipefail
build=$1 cc=$2 cxx=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
unset LD_LIBRARY_PATH
fail() { printf 'packaging_test: %s\n' "$*" >&2; exit 1; }
run() { printf '==> %s\n' "$*"; "$@"; }

cmake --install "$build" --prefix "$tree/first" >/dev/null
mv "$tree/first" "$tree/moved"
prefix=$tree/moved
config=$(dirname "$(find "$prefix" -name LeatConfig.cmake)")
lib=$(dirname "$(dirname "$config")")

found=$(grep -rlF -e "$build" -e "$here" "$prefix/include" "$config" "$lib/pkgconfig") &&
  fail "these name the place of the build: $found"

run cmake -S "$here/consumer" -B "$tree/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" >/dev/null
run cmake --build "$tree/build"
run "$tree/build/from_cpp" "$tree/a"
run "$tree/build/from_c" "$tree/b"
for database in sqlite postgres; do
  [ -x "$tree/build/from_$database" ] || fail "the patterns are not installed with $database"
  run "$tree/build/from_$database" "$tree/$database"
done

export PKG_CONFIG_PATH=$lib/pkgconfig
read -ra flags < <(pkg-config --cflags --libs leat)
run "$cc" -std=c99 -Wall -Wextra -Wpedantic -Werror -o "$tree/c" "$here/consumer/from_c.c" "${flags[@]}"
LD_LIBRARY_PATH=$lib run "$tree/c" "$tree/c.data"
read -ra flags < <(pkg-config --cflags --libs leat++)
run "$cc" -std=c99 -o "$tree/static" "$here/consumer/from_c.c" "${flags[@]}"
run "$tree/static" "$tree/static.data"
run "$cxx" -std=c++20 -o "$tree/own" "$here/consumer/own_packages.cc" "${flags[@]}"
run "$tree/own" "$tree/own.data"

# The archive: the packages are in it, and none of theirs can be seen from outside.
symbols=$(nm -C --defined-only "$lib/libleat++.a")
packages='rocksdb::|spdlog::|flatbuffers::|snappy::|ZSTD_|LZ4_|BZ2_|io_uring_|(inflate|deflate|crc32)$'
grep -qE ' t rocksdb::Status::ToString' <<<"$symbols" || fail "RocksDB is not in libleat++.a"
shown=$(grep -E ' [A-TV-Zuw] ' <<<"$symbols" | grep -E "$packages" || true)
[ -z "$shown" ] || fail "libleat++.a shows: $shown"
needs=$(nm -C --undefined-only "$lib/libleat++.a" | grep -E "$packages" | grep -v leat_absent_ || true)
[ -z "$needs" ] || fail "libleat++.a asks the host for: $needs"

run "$prefix/bin/leatd" --version
run "$prefix/bin/leat" --version
run "$prefix/bin/leat-outbox" --version
