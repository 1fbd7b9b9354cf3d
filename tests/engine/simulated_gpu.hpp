#pragma once

#include <torch/types.h>

#include <limits>

namespace onestep::simulated_gpu {

// libtorch's device for others' hardware, simulated on the CPU, with what makes a GPU hard to use rightly: the host
// sees a result only after it waited for it; a graph is captured beside the default stream, without waiting or copies
// from the host, computes nothing while it is captured, and does the same again where it is replayed, on the same
// memory.

inline const torch::Device device(torch::kPrivateUse1, 0);

/// What was done since the last reset().
struct Counts {
  int operators = 0;  ///< Started by the host, one at a time.
  int waits = 0;      ///< Of the host for the device.
  int captures = 0, replays = 0;
  int convolutions_in_tf32 = 0;  ///< That would have been: they were allowed it.
  std::size_t most_in_use = 0;   ///< Bytes of memory.
};
Counts counts();
void reset();

/// Capturing fails from now on, or does not.
void refuse_captures(bool refuse);

/// From now on there are no more bytes than these.
void limit_memory(std::size_t bytes);
inline constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

}  // namespace onestep::simulated_gpu
