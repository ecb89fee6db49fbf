#!/usr/bin/env bash
# What context is worth: bits/sample of the same targets, from 62.5 s to 72.5 s of each test piece, under contexts up to a million samples.
#
#   bash runs/context.sh FOLDER [RUNS] [CHECKPOINT]
#
# FOLDER holds recordings with train.txt, valid.txt and test.txt; test pieces need more than 72.5 s. RUNS is where the dataset goes
# (default: runs/context); CHECKPOINT is the shipped one by default. 2.9M targets and what lies before them: 10 minutes on 2
# cores. Writes docs/results/context.{json,svg}.
set -euo pipefail
folder=${1:?usage: bash runs/context.sh FOLDER [RUNS] [CHECKPOINT]}
runs=${2:-runs/context}
root=$(dirname "$0")/..
checkpoint=${3:-$root/checkpoints/piano}
longwave() { node "$root/dist/cli/main.js" "$@"; }

longwave prepare "$folder" --out "$runs/data"
longwave eval --checkpoint "$checkpoint" --data "$runs/data" --split test --limit 72.5 --common \
  --context 2000,8000,32000,128000,512000,1000000 --no-reference \
  --plot "$root/docs/results/context.svg" --json > "$root/docs/results/context.json"
