#include <algorithm>
#include <cmath>
#include <numbers>

#include "levels.hpp"
#include "onestep/tensor/diffusion.hpp"

namespace onestep {

// Karras et al. 2022, Algorithm 2.
Tensor sample_heun(const DenoiserFunction& denoise, const NoiseSource& z, const std::vector<double>& levels,
                   const Churn& churn) {
  require_falling(levels, 0);
  const double most = std::numbers::sqrt2 - 1;
  Tensor x = levels.front() * z(0);
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const double t = levels[i];
    const double next = i + 1 < levels.size() ? levels[i + 1] : 0;

    // Raise the noise to t_hat = t + gamma t.
    const bool churned = churn.churn > 0 && t >= churn.sigma_min && t <= churn.sigma_max;
    const double gamma = churned ? std::min(churn.churn / static_cast<double>(levels.size()), most) : 0;
    const double t_hat = t + gamma * t;
    if (gamma > 0) x = x + std::sqrt(t_hat * t_hat - t * t) * churn.noise * z(static_cast<std::uint32_t>(i + 1));

    // Step with the slope at t_hat, then again with the mean of the slopes at both ends.
    const Tensor d = (x - denoise(x, t_hat)) / t_hat;
    const Tensor euler = x + (next - t_hat) * d;
    if (next > 0) {
      const Tensor d_next = (euler - denoise(euler, next)) / next;
      x = x + (next - t_hat) * (d + d_next) / 2;
    } else {
      x = euler;
    }
  }
  return x;
}

}  // namespace onestep
