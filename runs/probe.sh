#!/usr/bin/env bash
# Noise that comes again after 5, 20 and 60 s at 16 kHz: what only a long memory can predict (src/data/echo.ts).
#
#   bash runs/probe.sh
#
# A flagship of about 25,000 parameters with recall learns delays below a second, then 5, 20 and 60 s at contexts up to a
# million samples; the same without recall is trained beside it. 16M + 13M targets x 6 x 0.15 MMAC = 26 TFLOP, and 28M
# samples are scored: 12 minutes on one quiet core. Expected: 2 bits/sample from whoever sees less than the delay (the
# bound), from the flagship without recall as well, and next to nothing from the one with it. Writes
# docs/results/probe.{json,md,svg}.
set -euo pipefail
cd "$(dirname "$0")/.."
npm run build
npx tsc -p bench/tsconfig.json
node out/bench/probe.js
