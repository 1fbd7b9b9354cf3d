#include <cmath>

#include "levels.hpp"
#include "onestep/tensor/diffusion.hpp"

namespace onestep {

// Song et al. 2021, Eq. 12 and 16, divided by sqrt(alpha_bar): what they call sigma_t is `fresh` here.
Tensor sample_ddim(const DenoiserFunction& denoise, const NoiseSource& z, const std::vector<double>& levels,
                   double eta) {
  require_falling(levels, 0);
  Tensor x = levels.front() * z(0);
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const double sigma = levels[i];
    const double next = i + 1 < levels.size() ? levels[i + 1] : 0;
    const double fresh = eta * next * std::sqrt(1 - (next / sigma) * (next / sigma));
    x = jump(x, denoise(x, sigma), sigma, std::sqrt(next * next - fresh * fresh));
    if (fresh > 0) x = x + fresh * z(static_cast<std::uint32_t>(i + 1));
  }
  return x;
}

}  // namespace onestep
