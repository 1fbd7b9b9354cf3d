#include <algorithm>
#include <cmath>
#include <numbers>

#include "checked.hpp"
#include "onestep/tensor/diffusion.hpp"
#include "sampler_table.hpp"

namespace onestep {

// Karras et al. 2022, Algorithm 2.  D: denoiser;  t, t_hat, next: t_i, its raised level, t_{i+1}.
Tensor sample_heun(const DenoiserFunction& denoiser, Tensor x, const NoiseSource& noise,
                   const std::vector<double>& levels, const Churn& churn) {
  require_options(HeunSampler{.churn = churn});
  const auto [D, z] = checked(denoiser, x, noise, levels);
  const double most = std::numbers::sqrt2 - 1;
  for (std::uint32_t i = 0; i < levels.size(); ++i) {
    const double t = levels[i];
    const double next = i + 1 < levels.size() ? levels[i + 1] : 0;

    // Lines 4 to 6: raise the noise to t_hat = t + gamma t.
    const bool churned = churn.amount > 0 && t >= churn.sigma_min && t <= churn.sigma_max;
    const double gamma = churned ? std::min(churn.amount / static_cast<double>(levels.size()), most) : 0;
    const double t_hat = t + gamma * t;
    if (gamma > 0) x = x + std::sqrt(t_hat * t_hat - t * t) * churn.noise * z(i + 1);

    // Lines 7 and 8: an Euler step with the slope at t_hat.
    const Tensor d = (x - D(x, t_hat)) / t_hat;
    const Tensor euler = x + (next - t_hat) * d;

    // Lines 10 and 11: but for the last step again, with the mean of the slopes at both ends.
    if (next > 0) {
      const Tensor d_next = (euler - D(euler, next)) / next;
      x = x + (next - t_hat) * (d + d_next) / 2;
    } else {
      x = euler;
    }
  }
  return x;
}

}  // namespace onestep
