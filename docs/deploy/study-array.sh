#!/usr/bin/env bash
# A study as a Slurm array job: a task for each cell. See README.md in this folder. From the folder of the checkout:
#
#   job=$(sbatch --parsable --array=0-8 docs/deploy/study-array.sh plans/seed-135m.toml --device cuda --data-dir /scratch/data)
#   sbatch --dependency=afterok:$job --wrap 'target/release/examples/study --plan plans/seed-135m.toml --merge'
#
# What follows the plan is passed to `study`. `study --dry-run` prints the cells and what each needs: change what is asked
# for here accordingly.
#SBATCH --job-name=kallm-study
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=24:00:00
#SBATCH --output=%x-%A-%a.log
# Ten minutes before the time is up the cell is told to save; then it is queued again and continues.
#SBATCH --signal=B:TERM@600
#SBATCH --requeue
set -euo pipefail

: "${SLURM_ARRAY_TASK_ID:?submit this with sbatch --array=0-N}"
plan=${1:?expected the path of a plan}
shift
program=${KALLM_STUDY:-target/release/examples/study}

"$program" --plan "$plan" --cell "$SLURM_ARRAY_TASK_ID" "$@" &
cell=$!
# Slurm signals this script alone. The signal ends the first `wait`; the second gives what the program made of it.
trap 'stopped=1; kill -TERM "$cell" 2>/dev/null || true' TERM
status=0
wait "$cell" || status=$?
if [ -n "${stopped:-}" ]; then
  status=0
  wait "$cell" || status=$?
fi

# 143: stopped by the signal after a checkpoint.
if [ "$status" -eq 143 ] && [ -n "${SLURM_JOB_ID:-}" ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
