#!/usr/bin/env bash
# The second data set of the comparison: spoken digits, in the same table, to show that nothing here is tuned to piano.
#
#   bash runs/digits.sh FSDD [RUNS] [OPTIONS of runs/table1.sh]
#
# FSDD is the Free Spoken Digit Dataset (CC BY-SA 4.0; 3000 recordings of 6 speakers, 8 kHz, 21.9 minutes); RUNS is where datasets and
# runs go (default: runs/table1-digits). The recordings of one speaker and split are joined (bench/digits.ts), so that models hear
# as much at once as in music; every speaker is in every split, no recording in two.
#
# Arithmetic: as runs/table1.sh, with 4M targets: 6.4M a model with the trials, about an hour in all, and the hour of each for the second table.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?usage: bash runs/digits.sh FSDD [RUNS] [OPTIONS]}
shift
runs=runs/table1-digits
if [[ -n ${1:-} && $1 != -* ]]; then
  runs=$1
  shift
fi
[ -e dist/cli/main.js ] || npm run --silent build
node_modules/.bin/tsc -p bench/tsconfig.json
node out/bench/digits.js "$folder" "$runs/audio"
exec bash runs/table1.sh "$runs/audio" "$runs" --name digits --rate 8000 --targets 4e6 "$@"
