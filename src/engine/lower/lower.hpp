#pragma once

#include <optional>

#include "kernels/bf16.hpp"
#include "run/packed_weights.hpp"
#include "run/program.hpp"
#include "trace/trace.hpp"

namespace onestep::engine {

/// Turns a trace into steps, several operations into one where a kernel does them together, and leaves to libtorch what
/// no kernel does. unit: products may be in bf16. Throws NotCompiled.
Program lower(const Trace& trace, std::optional<kernels::bf16::Unit> unit, PackedWeights& packed_weights);

}  // namespace onestep::engine
