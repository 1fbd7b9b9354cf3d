#include "levels.hpp"
#include "onestep/tensor/diffusion.hpp"

namespace onestep {

// Karras et al. 2022, Algorithm 1 without its correction.
Tensor sample_euler(const DenoiserFunction& denoise, const NoiseSource& z, const std::vector<double>& levels) {
  require_falling(levels, 0);
  Tensor x = levels.front() * z(0);
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const double sigma = levels[i];
    const double next = i + 1 < levels.size() ? levels[i + 1] : 0;
    x = jump(x, denoise(x, sigma), sigma, next);
  }
  return x;
}

}  // namespace onestep
