#pragma once

#include <torch/types.h>

namespace onestep {

/// Sliced Wasserstein-2 distance (Bonneel et al. 2015) of two sets of points, float32 [N, D] and [M, D]: the root of
/// the mean over `projections` random directions of the squared distance between the sets' projections, each sorted.
/// The directions are always the same. The sets may differ in size: the larger's quantiles are interpolated.
double sliced_wasserstein(const torch::Tensor& a, const torch::Tensor& b, std::int64_t projections = 256);

}  // namespace onestep
