#include "onestep/tensor/consistency.hpp"

#include <cmath>

#include "checked.hpp"
#include "require.hpp"

namespace onestep {

// Song et al. 2023, Algorithm 1.  f: consistency function;  z(k): k-th unit Gaussian draw;  levels: tau_0 > tau_1 > ...
Tensor sample_consistency(const DenoiserFunction& denoiser, Tensor x, const NoiseSource& noise,
                          const std::vector<double>& levels, double epsilon) {
  require_within("epsilon", epsilon, 0, INFINITY);
  const auto [f, z] = checked(denoiser, x, noise, levels, epsilon);
  // x <- f(x_T, T)
  x = f(x, levels.front());
  for (std::uint32_t k = 1; k < levels.size(); ++k) {
    const double tau = levels[k];
    // x_tau <- x + sqrt(tau^2 - epsilon^2) z;  x <- f(x_tau, tau)
    x = f(x + std::sqrt(tau * tau - epsilon * epsilon) * z(k), tau);
  }
  return x;
}

double renoise_epsilon(const ModelInfo& info) { return info.renoise_by_level ? 0 : info.boundary_sigma; }

}  // namespace onestep
