#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace onestep {

/// Which of the processes of a command this is, where mpirun or srun started it several times.
struct Rank {
  std::int64_t index = 0, count = 1;
};

/// Of a process that is alone: 0 of 1. Throws Error (usage) where several were started, and onestep was built without
/// MPI.
Rank this_rank();

/// Adds up numbers of all ranks, in place. To be called by all; a rank that dies ends the others.
void sum_over_ranks(std::span<double> numbers);

/// For work that is to go on when a rank dies, which MPI would not have it do. Where several processes of this command
/// were started, each runs the command once more in a process of its own, a worker, which has the same this_rank() and
/// knows nothing of MPI; waits until the workers of all ranks have ended, whatever ended them; and returns the highest
/// of their exit codes, where one that was killed has rank_failed. Nothing: this process is alone or a worker, and is
/// to do the work.
std::optional<int> run_in_workers();

/// Thrown when they have ended.
struct EndedInWorkers {
  int code = 0;
};

/// Whether this is worker 0, or no worker: what all would say alike, this one says.
bool is_first_worker();

/// Of worker 0: nothing while others are at work; then how many of them did not do their part.
std::optional<std::int64_t> failed_workers();

/// Exit code where a rank did not do its part.
constexpr int rank_failed = 7;

/// To be called before the process ends well: MPI takes one that does not say so for one that failed.
void end_ranks();

}  // namespace onestep
