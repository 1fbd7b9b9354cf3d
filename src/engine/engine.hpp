#pragma once

#include <torch/script.h>

#include <memory>

#include "onestep/tensor/network.hpp"

namespace onestep::engine {

/// Compiles a TorchScript network of float32 for the CPU. `one`: a sample to try it on. Throws NotCompiled, whose
/// message says what stands in the way; the module can then be run as it is.
std::unique_ptr<Network> compile(const torch::jit::Module& module, const NetworkInput& one);

}  // namespace onestep::engine
