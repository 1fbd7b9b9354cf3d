#pragma once

#include "run/conditions.hpp"
#include "run/step.hpp"

namespace onestep::engine {

/// A network for samples of one shape, as steps over buffers.
struct Program {
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<Buffer> buffers;
  std::int64_t workspace = 0;                   ///< Floats a sample.
  std::int64_t shared_bytes = 0;                ///< A sample.
  std::vector<std::int64_t> output_sizes = {};  ///< Of one sample, [1, ...].
  std::unique_ptr<Conditions> conditions;
};

}  // namespace onestep::engine
