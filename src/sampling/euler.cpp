#include "checked.hpp"
#include "onestep/tensor/diffusion.hpp"

namespace onestep {

// Karras et al. 2022, Algorithm 1 without its correction.
Tensor sample_euler(const DenoiserFunction& denoiser, Tensor x, const std::vector<double>& levels) {
  const auto D = checked(denoiser, x, levels);
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const double sigma = levels[i];
    const double next = i + 1 < levels.size() ? levels[i + 1] : 0;
    x = jump(x, D(x, sigma), sigma, next);
  }
  return x;
}

}  // namespace onestep
