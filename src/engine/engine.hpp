#pragma once

#include <memory>
#include <optional>

#include "bf16.hpp"
#include "onestep/tensor/network.hpp"
#include "trace.hpp"

namespace onestep::engine {

/// Compiles a network of float32 for the CPU. `one`: the sample on which it was traced. unit: products of large
/// matrices are bf16. Throws NotCompiled, whose message says what stands in the way; the module can then be run as it
/// is.
std::unique_ptr<Network> compile(const Trace& trace, const NetworkInput& one,
                                 std::optional<kernels::bf16::Unit> unit = std::nullopt);

}  // namespace onestep::engine
