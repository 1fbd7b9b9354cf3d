#pragma once

#include <vector>

#include "onestep/model_info.hpp"
#include "onestep/tensor/sampler.hpp"

namespace onestep {

/// One- and multi-step consistency sampling (Song et al. 2023, Algorithm 1), one network call a level.
/// x [N, ...]: at levels.front(). levels: not empty, falling, in (epsilon, sigma_max]; epsilon >= 0: the level at which
/// f is the identity. epsilon 0 re-noises by the whole level, as ECT does (Geng et al. 2024).
Tensor sample_consistency(const DenoiserFunction& f, Tensor x, const NoiseSource& z, const std::vector<double>& levels,
                          double epsilon);

/// The epsilon that a model's file asks for: its boundary, or 0 where it re-noises by the whole level.
double renoise_epsilon(const ModelInfo& info);

}  // namespace onestep
