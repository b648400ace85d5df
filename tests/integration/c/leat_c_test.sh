#!/usr/bin/env bash
# Runs the C program ($1) on a directory of its own.
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
"$1" "$directory/data"
