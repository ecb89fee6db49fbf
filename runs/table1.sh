#!/usr/bin/env bash
# The comparison: WaveNet, SampleRNN, SaShiMi and the flagship, with and without its forecast, on the same recordings, with the same targets and with the same time.
#
#   bash runs/table1.sh FOLDER [RUNS] [OPTIONS]       results: docs/results/table1.md, .json and .svg
#   bash runs/table1.sh --smoke [RUNS]                all of it in small, on the bundled recording, in a minute
#
# FOLDER holds recordings with train.txt, valid.txt and test.txt, or folders with such lists (real/, rendered/): all are trained on
# together and scored apart. RUNS is where datasets and runs go (default: runs/table1-piano). Stopped by Ctrl-C or killed, the same
# command goes on where it was; results of one model stay when another one's recipe changes. For each model:
#   1. three learning rates (bench/table1/recipes.ts), 0.8M targets each, and up to three more while the lowest or the highest is
#      the best; the best on the validation split is taken
#   2. 10M targets, 8000 a step, at that rate; cosine schedule to 5%; the last weights score test and valid, 60 s of each piece
#   3. one hour of training, at that rate; the schedule ends where the speed of 2. says that the hour does; scored the same;
#      a model whose 2. took as long is not trained again; left out with --minutes 0, until a later call with another number
#   4. generation on one thread, int8 and float32
#
# Arithmetic, on 2 cores (targets/s of a quiet machine, from docs/log.md and bench-models.md):
#   WaveNet 4.1 MMAC a target 6,000/s; SampleRNN 3.8 MMAC 4,700/s; SaShiMi 0.6 MMAC 18,000/s; `longwave` 0.7 MMAC 14,000/s, then 2.6 5,000/s;
#   `longwave` without its forecast as with it
#   1. 2.4M to 4.8M targets a model:  7, 9, 2, 5 and 5 minutes, or twice that
#   2. 10M targets a model:           28, 35, 9, 19 and 19 minutes
#   3.                                5 hours
#   scores, twice 17 minutes of audio (16M samples) at three times the speed of training: 15, 19, 5, 30 and 30 minutes
#   in all                            about 10 hours
# Expected, held-out bits/sample on real piano: 2.1 for the flagship, whose forecast alone has 2.16; 2.9 to 3.5 for the others at 10M.
#
# Several at a time, on one machine or more: --models, --threads 1 and a RUNS for each; what RUNS/done and RUNS/plans of one hold may then be
# copied into another's, where a last call without --models makes the table of all.
#
# The second data set, spoken digits, is runs/digits.sh: the same script with --name digits --rate 8000 --targets 4e6. Windows that are
# rescaled as SaShiMi's were (docs/papers/sashimi.md) are a data set more: --rescale 8.192 --name piano-rescaled.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -e dist/cli/main.js ] || npm run --silent build
tool=out/bench/table1.js
if [ ! -e $tool ] || [ -n "$(find bench src -name '*.ts' -newer $tool -print -quit)" ]; then
  node_modules/.bin/tsc -p bench/tsconfig.json
fi
exec node $tool "$@"
