#pragma once

#include <torch/types.h>

namespace onestep {

/// What the tests take for a GPU: CUDA's first where libtorch has CUDA (cuda_gpu_test.cpp), else one that is simulated
/// on the CPU (simulated_gpu.cpp).
extern const torch::Device gpu_under_test;

}  // namespace onestep
