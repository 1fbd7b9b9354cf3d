#pragma once

#include <torch/types.h>

#include <functional>
#include <optional>

#include "lower/gather.hpp"

namespace onestep::engine {

/// What an operator on images that is linear, and treats all channels alike, makes of them: weighted sums of pixels.
struct PixelWeights {
  Gather gather;
  std::vector<double> weights;  ///< [pixels][taps]
};

/// Those of one that goes through a dimension after the other, as interpolation and averages do, found by applying it.
/// apply: it, from [1, channels, from...] to [1, channels, to...], in float64. Nothing: it is another operator, or it
/// would take too long.
std::optional<PixelWeights> pixel_weights(const Extents& from, const Extents& to,
                                          const std::function<torch::Tensor(const torch::Tensor&)>& apply);

}  // namespace onestep::engine
