#!/usr/bin/env bash
# The shipped checkpoint at a million samples of context: it goes on learning there, and both are scored under growing contexts.
#
#   bash runs/million.sh FOLDER [RUNS]
#
# FOLDER holds recordings with train.txt, valid.txt and test.txt, of more than 62.5 s each; RUNS is where datasets and runs go
# (default: runs/million). Arithmetic, on 2 cores at about 110 GFLOP/s: a step sees a million targets x 6 x 4 MMAC = 24 TFLOP,
# 4 minutes; 4 steps. The curves: the targets from 62.5 s to 72.5 s of each test piece, 10 and 5 minutes. A run that was stopped goes on.
# Writes docs/results/context.{json,svg} (shipped) and docs/results/context-million.{json,svg} (fine-tuned).
set -euo pipefail
folder=${1:?usage: bash runs/million.sh FOLDER [RUNS]}
runs=${2:-runs/million}
root=$(dirname "$0")/..
longwave() { node "$root/dist/cli/main.js" "$@"; }

longwave prepare "$folder" --out "$runs/data"
if [ -e "$runs/run/run.json" ]; then
  longwave train --resume --out "$runs/run"
else
  longwave train --out "$runs/run" --data "$runs/data" --init "$root/checkpoints/piano" \
    --preset longwave --set tokens=64 \
    --curriculum 1000000:4e6 --targets-per-step 1000000 --lr 2e-4 --rate encoder=0.1 \
    --warmup 1e6 --schedule cosine:0.1 --eval-every 1e12 --save-every 1
fi
results="$root/docs/results"
score() {
  longwave eval --checkpoint "$1" --data "$runs/data" --split test --limit 72.5 --common --context "$2" \
    --no-reference --plot "$results/$3.svg" --json > "$results/$3.json"
}
score "$root/checkpoints/piano" 2000,8000,32000,128000,512000,1000000 context
score "$runs/run" 128000,1000000 context-million
