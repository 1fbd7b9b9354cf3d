#include <cmath>

#include "checked.hpp"
#include "onestep/tensor/diffusion.hpp"
#include "sampler_table.hpp"

namespace onestep {

// Song et al. 2021, Eq. 12 and 16, divided by sqrt(alpha_bar): what they call sigma_t is `fresh` here.
Tensor sample_ddim(const DenoiserFunction& denoiser, Tensor x, const NoiseSource& noise,
                   const std::vector<double>& levels, double eta) {
  require_options(DdimSampler{.eta = eta});
  const auto [D, z] = checked(denoiser, x, noise, levels);
  for (std::uint32_t i = 0; i < levels.size(); ++i) {
    const double sigma = levels[i];
    const double next = i + 1 < levels.size() ? levels[i + 1] : 0;
    // Eq. 16: the deviation of the fresh noise.
    const double fresh = eta * next * std::sqrt(1 - (next / sigma) * (next / sigma));
    // Eq. 12: the predicted x0 and the direction that points to x, then the fresh noise.
    x = jump(x, D(x, sigma), sigma, std::sqrt(next * next - fresh * fresh));
    if (fresh > 0) x = x + fresh * z(i + 1);
  }
  return x;
}

}  // namespace onestep
