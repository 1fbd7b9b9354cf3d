#pragma once

#include "run/step.hpp"

namespace onestep::engine {

/// Gives buffers that are not in use at the same time the same memory. Returns the floats a sample needs.
std::int64_t plan_memory(const std::vector<std::unique_ptr<Step>>& steps, std::vector<Buffer>& buffers);

}  // namespace onestep::engine
