#pragma once

#include <torch/types.h>

namespace onestep::engine {

/// No rewrite is trusted that changes what the network says. `reduced`: products are of fewer bits than float32's.
/// Throws NotCompiled.
void require_near(const torch::Tensor& output, const torch::Tensor& expected, bool reduced);

}  // namespace onestep::engine
