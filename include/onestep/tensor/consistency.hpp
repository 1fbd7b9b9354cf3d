#pragma once

#include <vector>

#include "onestep/tensor/sampler.hpp"

namespace onestep {

/// One- and multi-step consistency sampling (Song et al. 2023, Algorithm 1), one network call a level.
/// levels: not empty, falling, in (epsilon, sigma_max]; epsilon >= 0: the level at which f is the identity. epsilon 0
/// re-noises by the whole level, as ECT does (Geng et al. 2024).
Tensor sample_consistency(const DenoiserFunction& f, const NoiseSource& z, const std::vector<double>& levels,
                          double epsilon);

/// The same from an x [N, ...] that has the noise of levels.front() already.
Tensor sample_consistency_from(const DenoiserFunction& f, const Tensor& x, const NoiseSource& z,
                               const std::vector<double>& levels, double epsilon);

}  // namespace onestep
