#!/usr/bin/env bash
# The second run, for the tables only: the bundled weights go on learning from real and rendered piano together.
#
#   bash runs/piano-and-rendered.sh FOLDER [RUNS]
#
# FOLDER holds both sets with train.txt, valid.txt and test.txt over all of them (we took 103 minutes of training audio).
# 1.6M targets x 6 x 2.6 MMAC = 25 TFLOP: about 5 minutes on 2 cores. Expected: 2.03 bits/sample on held-out segments.
set -euo pipefail
folder=${1:?usage: bash runs/piano-and-rendered.sh FOLDER [RUNS]}
runs=${2:-runs/both}
root=$(dirname "$0")/..
longwave() { node "$root/dist/cli/main.js" "$@"; }

longwave prepare "$folder" --out "$runs/data"
if [ -e "$runs/both/run.json" ]; then
  longwave train --resume --out "$runs/both"
else
  longwave train --out "$runs/both" --data "$runs/data" --init "$root/checkpoints/piano" \
    --preset longwave --set tokens=64 \
    --curriculum 8000:1.6e6 --targets-per-step 8000 --lr 7e-4 --rate encoder=0.1 \
    --warmup 100e3 --schedule cosine:0.05 --eval-every 0.8e6 --eval-targets 128e3
fi
longwave eval --checkpoint "$runs/both" --data "$runs/data" --split test --limit 10 --context 8000
