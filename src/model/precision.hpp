#pragma once

#include "torchscript_network.hpp"

namespace onestep {

/// Draws a few samples with both networks, as the model's own sampler does, with at most eight calls: near means within
/// one 8-bit level on average. The numbers are compared, not their clamped pictures.
Verdict compare_precisions(const ModelInfo& info, torch::Device device, Network& exact, Network& reduced);

}  // namespace onestep
