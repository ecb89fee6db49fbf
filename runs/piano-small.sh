#!/usr/bin/env bash
# The shipped small checkpoint: `stream` with narrow layers, a local path and a forecast, 0.18M parameters, context 16,000 (1 s).
# Made to play faster than real time on one core, in a browser tab.
#
#   bash runs/piano-small.sh FOLDER [RUNS]
#
# FOLDER and RUNS as for runs/piano.sh, whose dataset is taken where it is there.
#
# Arithmetic, on 1 core at about 20 GFLOP/s (small layers are far from the machine's rate; the forecast alone takes 5 us a sample):
#   2M targets of the local path and the head at 30,000 targets/s, 2M of everything at 15,000:  about 4 minutes
# Expected: 2.14 bits/sample on held-out segments at context 16,000.
set -euo pipefail
folder=${1:?usage: bash runs/piano-small.sh FOLDER [RUNS]}
runs=${2:-runs/piano}
longwave() { node "$(dirname "$0")/../dist/cli/main.js" "$@"; }

[ -e "$runs/data/dataset.json" ] || longwave prepare "$folder" --out "$runs/data"

if [ -e "$runs/small/run.json" ]; then
  longwave train --resume --out "$runs/small"
else
  longwave train --out "$runs/small" --data "$runs/data" --preset stream --set tokens=8 --set width=32 \
    --set filters=[32,32,32,32,16] --layers 1 --heads 2 --head-width 32 --set feedForward=64 --set hidden=256 \
    --local 16 --set local.skip=32 --forecast 2 \
    --curriculum local@8000:2e6,16000:2e6 --targets-per-step 8000 \
    --lr 2e-3 --rate encoder=0.1 --warmup 100e3 --schedule cosine:0.05 --eval-every 0.5e6 --eval-targets 240e3 --threads 1
fi

longwave export --checkpoint "$runs/small" --out checkpoints/piano-small
longwave eval --checkpoint "$runs/small" --data "$runs/data" --split test --context 2000,16000
