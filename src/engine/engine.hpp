#pragma once

#include <torch/script.h>

#include <memory>
#include <optional>

#include "bf16.hpp"
#include "onestep/tensor/network.hpp"

namespace onestep::engine {

/// Compiles a TorchScript network of float32 for the CPU. `one`: a sample to try it on. unit: products of large
/// matrices are bf16. Throws NotCompiled, whose message says what stands in the way; the module can then be run as it
/// is.
std::unique_ptr<Network> compile(const torch::jit::Module& module, const NetworkInput& one,
                                 std::optional<kernels::bf16::Unit> unit = std::nullopt);

}  // namespace onestep::engine
