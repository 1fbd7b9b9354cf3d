#pragma once

#include <vector>

#include "onestep/model_info.hpp"
#include "onestep/tensor/sampler.hpp"

namespace onestep {

/// gamma-sampling (Kim et al. 2023, Algorithm 3), one network call a level: jumps from levels[k] to targets[k], then
/// adds noise up to levels[k + 1]; the last jump goes to 0. x [N, ...]: at levels.front(). levels: not empty, falling,
/// above 0. targets: one fewer than levels, targets[k] in [0, levels[k + 1]]. targets[k] = levels[k + 1] adds no noise:
/// n steps of a flow map (Geng et al. 2025; Frans et al. 2024). targets 0: multi-step consistency sampling.
Tensor sample_gamma(const FlowMapFunction& flow_map, Tensor x, const NoiseSource& z, const std::vector<double>& levels,
                    const std::vector<double>& targets);

/// The targets that gamma, in [0, 1], asks for: sqrt(1 - gamma^2) of the next level (Kim et al. 2023); of a model with
/// timesteps, the level of timestep (1 - gamma) t (Zheng et al. 2024).
std::vector<double> gamma_targets(const std::vector<double>& levels, double gamma, const ModelInfo& info = {});

}  // namespace onestep
