#pragma once

#include <memory>
#include <optional>

#include "bf16.hpp"
#include "onestep/tensor/network.hpp"
#include "trace.hpp"

namespace onestep::engine {

/// Compiles a network of float32 for the CPU, for x of the trial's shape. `expected`: what libtorch makes of `trial`,
/// samples of other values and labels than the one that was traced among them. unit: products of large matrices are
/// bf16. Throws NotCompiled, whose message says what stands in the way; the module can then be run as it is.
std::unique_ptr<Network> compile(const std::string& name, const Signature& signature, const Trace& trace,
                                 const NetworkInput& trial, const torch::Tensor& expected,
                                 std::optional<kernels::bf16::Unit> unit = std::nullopt);

/// No rewrite is trusted that changes what the network says. `reduced`: products are of fewer bits than float32's.
/// Throws NotCompiled.
void require_near(const torch::Tensor& output, const torch::Tensor& expected, bool reduced);

}  // namespace onestep::engine
