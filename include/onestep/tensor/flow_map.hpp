#pragma once

#include <vector>

#include "onestep/tensor/sampler.hpp"

namespace onestep {

/// gamma-sampling (Kim et al. 2023, Algorithm 3), one network call a level: jumps from levels[k] to targets[k], then
/// adds noise up to levels[k + 1]; the last jump goes to 0. targets: one fewer than levels, targets[k] in
/// [0, levels[k + 1]]. targets[k] = levels[k + 1] adds no noise: n steps of a flow map (Geng et al. 2025; Frans et al.
/// 2024). targets 0: multi-step consistency sampling.
Tensor sample_gamma(const FlowMapFunction& flow_map, const NoiseSource& z, const std::vector<double>& levels,
                    const std::vector<double>& targets);

}  // namespace onestep
