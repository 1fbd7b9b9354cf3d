#pragma once

#include <memory>

#include "onestep/tensor/network.hpp"

namespace torch::jit {
struct Module;
}

namespace onestep::engine {

/// Compiles a network for a GPU: for each shape of its input, libtorch's operators in a row, captured in a graph and
/// replayed. `as_it_is`: the network, for what can't be compiled; `expected`: what it makes of `trial` in float32.
/// precision: of products. Throws NotCompiled, whose message says what stands in the way.
std::unique_ptr<Network> compile_for_gpu(const std::string& name, const Signature& signature,
                                         const torch::jit::Module& module, std::unique_ptr<Network> as_it_is,
                                         const NetworkInput& trial, const torch::Tensor& expected, Precision precision);

/// Whether bf16 is faster than float32 on the device.
bool has_fast_bf16(const torch::Device& device);

}  // namespace onestep::engine
