#pragma once

#include <torch/types.h>

namespace onestep {

/// x, which is on the CPU, on `device`. What a GPU is given goes through pinned memory, and nobody waits for it: the
/// device's stream puts it before what comes after.
inline torch::Tensor on_device(const torch::Tensor& x, torch::Device device) {
  return device.is_cpu() ? x : x.contiguous().pin_memory().to(device, /*non_blocking=*/true);
}

}  // namespace onestep
