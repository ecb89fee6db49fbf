#!/usr/bin/env bash
# The shipped checkpoint: the preset `longwave`, 3.16M parameters, trained at contexts up to 1,000,000 samples (62.5 s).
#
#   bash runs/piano.sh FOLDER [RUNS]
#
# FOLDER holds recordings with train.txt, valid.txt and test.txt (we took 8 CC0 and CC BY piano recordings, 18.9 minutes
# of training audio); RUNS is where datasets and runs go (default: runs/piano). All stages resume when run again.
#
# Arithmetic, on 2 cores at about 100 GFLOP/s:
#   1. the local path and the head alone: 20M targets x 6 x 0.7 MMAC = 84 TFLOP,    about 25 minutes
#   2. everything, context 8,000 -> 32,000 -> 128,000 samples:
#      10.5M targets x 6 x 2.6 MMAC = 164 TFLOP,                                     about 45 minutes
#   3. everything, context 1,000,000: 4 steps of 1M targets x 6 x 4 MMAC = 96 TFLOP, about 16 minutes
# Expected: below 2.2 bits/sample on held-out segments after 1M targets of stage 1.
set -euo pipefail
folder=${1:?usage: bash runs/piano.sh FOLDER [RUNS]}
runs=${2:-runs/piano}
longwave() { node "$(dirname "$0")/../dist/cli/main.js" "$@"; }
# a run that was stopped goes on; a new one starts with the options given
train() {
  if [ -e "$1/run.json" ]; then longwave train --resume --out "$1"; else longwave train --out "$@"; fi
}
model=(--preset longwave --set tokens=64)

longwave prepare "$folder" --out "$runs/data"

train "$runs/local" --data "$runs/data" "${model[@]}" \
  --curriculum local@8000:20e6 --targets-per-step 8000 \
  --lr 2e-3 --warmup 100e3 --schedule cosine:0.1 --eval-every 1e6 --eval-targets 480e3

# the encoder learns at a tenth of the rate, that of the paper: at more it runs away
train "$runs/piano" --data "$runs/data" --init "$runs/local" "${model[@]}" \
  --curriculum 8000:4e6,32000:2.5e6,128000:4e6 --targets-per-step 8000 \
  --lr 1e-3 --rate encoder=0.1 --warmup 300e3 --schedule cosine:0.05 --eval-every 0.5e6 --eval-targets 256e3

train "$runs/million" --data "$runs/data" --init "$runs/piano" "${model[@]}" \
  --curriculum 1000000:4e6 --targets-per-step 1000000 --lr 2e-4 --rate encoder=0.1 \
  --warmup 1e6 --schedule cosine:0.1 --eval-every 1e12 --save-every 1

longwave export --checkpoint "$runs/million" --out checkpoints/piano
longwave eval --checkpoint "$runs/million" --data "$runs/data" --split test --context 8000,32000,128000
