#!/usr/bin/env bash
# The soak: the bundled model runs free for 28.8M samples, 30 minutes of audio at 16 kHz, in int8.
#
#   bash runs/soak.sh [OPTIONS of bench/soak.ts]      for example: --narrow, --samples 1e6, --precision f32 --cache f16
#
# Arithmetic: 28.8M samples at 7,000 to 12,000 samples/s on one core: 30 to 70 minutes. Stopped by Ctrl-C or killed, the same
# command goes on from its last state (every thirtieth of the run) in runs/soak.
# Expected: the memory of the process flat within 16 MiB, every logit a number, every counter exact; docs/results/soak.md.
set -euo pipefail
cd "$(dirname "$0")/.."
npm run --silent soak -- "$@"
