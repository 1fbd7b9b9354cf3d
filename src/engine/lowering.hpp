#pragma once

#include "bf16.hpp"
#include "conditions.hpp"
#include "program.hpp"
#include "trace.hpp"

namespace onestep::engine {

/// A network as steps over buffers.
struct Program {
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<Buffer> buffers;
  std::int64_t workspace = 0;       ///< Floats a sample.
  std::int64_t scratch_bytes = 0;   ///< A worker.
  std::int64_t shared_doubles = 0;  ///< A sample.
  std::unique_ptr<Conditions> conditions;
};

/// Turns a trace into steps, several operations into one where a kernel does them together, and leaves to libtorch what
/// no kernel does. unit: products may be in bf16. Throws NotCompiled.
Program lower(const Trace& trace, std::optional<kernels::bf16::Unit> unit = std::nullopt);

}  // namespace onestep::engine
