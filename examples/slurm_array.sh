#!/bin/sh
# Draws a million garments as a job array of Slurm: sbatch examples/slurm_array.sh. Submitted again, it goes on with what is missing.
#SBATCH --array=0-7
#SBATCH --cpus-per-task=2
#SBATCH --requeue
exec onestep generate fashion -n "${SAMPLES:-1000000}" -o "${OUTPUT:-garments}/" --precision fp32 \
  --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --resume
