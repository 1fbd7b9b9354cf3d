#pragma once

#include "features.hpp"

namespace onestep {

/// Frechet distance between Gaussians fitted to two sets of points of one dimension, squared as is usual:
/// |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Heusel et al. 2017, Eq. 6). Each set: two points or more.
double frechet_distance(const Points& a, const Points& b);

/// Sliced Wasserstein-2 distance (Bonneel et al. 2015): the root of the mean over `projections` random directions of
/// the squared distance between the sets' projections, each sorted. The directions are always the same. The sets may
/// differ in size: the larger's quantiles are interpolated.
double sliced_wasserstein(const Points& a, const Points& b, int projections = 256);

}  // namespace onestep
