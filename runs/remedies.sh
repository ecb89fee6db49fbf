#!/usr/bin/env bash
# What could make seconds of context worth something beside the shipped local path? (bench/remedies.ts)
#
#   bash runs/remedies.sh FOLDER [RUNS] [OPTIONS]
#
# FOLDER holds real/ and rendered/, each with recordings and train.txt, valid.txt and test.txt; RUNS is where datasets and what
# is done go (default: runs/remedies). Only training and validation pieces are used. Four trainings of 1M targets at about 2.6
# MMAC: 16 TFLOP each, 4 minutes on 2 cores; with the scores about 25 minutes. Writes docs/results/remedies.{json,md}.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?usage: bash runs/remedies.sh FOLDER [RUNS]}
runs=${2:-runs/remedies}
[ -e dist/cli/main.js ] || npm run --silent build
node_modules/.bin/tsc -p bench/tsconfig.json
for set in real rendered; do node dist/cli/main.js prepare "$folder/$set" --out "$runs/data/$set"; done
exec node out/bench/remedies.js "$runs/data" "$runs" "${@:3}"
