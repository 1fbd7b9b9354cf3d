#pragma once

#include <vector>

#include "onestep/samplers.hpp"
#include "onestep/tensor/sampler.hpp"

namespace onestep {

// From x [N, ...] at levels.front() to level 0. levels: not empty, falling, above 0; the final 0 is implied.

/// Euler's method on the probability-flow ODE, one network call a level.
Tensor sample_euler(const DenoiserFunction& denoiser, Tensor x, const std::vector<double>& levels);

/// DDIM (Song et al. 2021, Eq. 12), one network call a level. eta, in [0, 1], is the share of fresh noise: 0 is
/// deterministic, Euler's method, and the sampler of progressive distillation (Salimans & Ho 2022); 1 is Euler
/// ancestral. Draw k is the noise of step k.
Tensor sample_ddim(const DenoiserFunction& denoiser, Tensor x, const NoiseSource& z, const std::vector<double>& levels,
                   double eta = 0);

/// DPM-Solver-2 (Lu et al. 2022a): two network calls a level, one at the last (NFE = 2 * levels - 1).
Tensor sample_dpm2(const DenoiserFunction& denoiser, Tensor x, const std::vector<double>& levels);

/// DPM-Solver++ 2M (Lu et al. 2022b): second order from one network call a level.
Tensor sample_dpmpp_2m(const DenoiserFunction& denoiser, Tensor x, const std::vector<double>& levels);

/// Heun's method: two network calls a level, one at the last (NFE = 2 * levels - 1). Draw k is the noise of step k.
Tensor sample_heun(const DenoiserFunction& denoiser, Tensor x, const NoiseSource& z, const std::vector<double>& levels,
                   const Churn& churn = {});

}  // namespace onestep
