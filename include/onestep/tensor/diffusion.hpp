#pragma once

#include <limits>
#include <vector>

#include "onestep/tensor/sampler.hpp"

namespace onestep {

/// Karras et al. 2022, Algorithm 2: noise added before each step. Churn 0 is the deterministic Algorithm 1.
struct Churn {
  double churn = 0;                                            ///< S_churn, in [0, infinity).
  double sigma_min = 0;                                        ///< S_tmin: no noise is added at levels below it.
  double sigma_max = std::numeric_limits<double>::infinity();  ///< S_tmax: nor above it.
  double noise = 1;                                            ///< S_noise: deviation of the added noise, about 1.
};

/// Euler's method on the probability-flow ODE from levels.front() to 0, one network call a level.
/// levels: not empty, falling, above 0; the final 0 is implied.
Tensor sample_euler(const DenoiserFunction& denoise, const NoiseSource& z, const std::vector<double>& levels);

/// DDIM (Song et al. 2021, Eq. 12), one network call a level. eta, in [0, 1], is the share of fresh noise: 0 is
/// deterministic, Euler's method, and the sampler of progressive distillation (Salimans & Ho 2022); 1 is Euler
/// ancestral. Draw k is the noise of step k.
Tensor sample_ddim(const DenoiserFunction& denoise, const NoiseSource& z, const std::vector<double>& levels,
                   double eta = 0);

/// DPM-Solver-2 (Lu et al. 2022a): two network calls a level, one at the last (NFE = 2 * levels - 1).
Tensor sample_dpm2(const DenoiserFunction& denoise, const NoiseSource& z, const std::vector<double>& levels);

/// DPM-Solver++ 2M (Lu et al. 2022b): second order from one network call a level.
Tensor sample_dpmpp_2m(const DenoiserFunction& denoise, const NoiseSource& z, const std::vector<double>& levels);

/// Heun's method: two network calls a level, one at the last (NFE = 2 * levels - 1). Draw k is the noise of step k.
Tensor sample_heun(const DenoiserFunction& denoise, const NoiseSource& z, const std::vector<double>& levels,
                   const Churn& churn = {});

}  // namespace onestep
