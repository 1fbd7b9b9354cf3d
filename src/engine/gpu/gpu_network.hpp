#pragma once

#include "engine.hpp"

namespace onestep::engine {

/// compile(), of engine.hpp, for a network on a GPU: for each shape of its inputs, libtorch's operators in a row,
/// captured in a graph and replayed.
std::unique_ptr<Network> compile_for_gpu(const torch::jit::Module& module, std::unique_ptr<Network> as_it_is,
                                         const NetworkInput& trial, const std::function<torch::Tensor()>& expected,
                                         Precision precision);

/// Whether bf16 is faster than float32 on the GPU.
bool has_fast_bf16(const torch::Device& device);

}  // namespace onestep::engine
