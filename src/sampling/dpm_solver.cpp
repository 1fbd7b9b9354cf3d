#include <cmath>

#include "checked.hpp"
#include "onestep/tensor/diffusion.hpp"

namespace onestep {

// Lu et al. 2022a, Algorithm 1 (DPM-Solver-2, r = 1/2), for x = data + sigma * noise: lambda = -ln(sigma).
Tensor sample_dpm2(const DenoiserFunction& denoiser, Tensor x, const std::vector<double>& levels) {
  const auto D = checked(denoiser, x, levels);
  for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
    const double t = levels[i], next = levels[i + 1];
    // The level in the middle of the step in lambda, and u there.
    const double middle = std::sqrt(t * next);
    const Tensor u = jump(x, D(x, t), t, middle);
    // The whole step with the noise that is predicted from u.
    const Tensor noise = (u - D(u, middle)) / middle;
    x = x + (next - t) * noise;
  }
  return D(x, levels.back());
}

// Lu et al. 2022b, Algorithm 2 (DPM-Solver++ 2M), likewise; h is the step in lambda. The last step, to level 0, is of
// first order: its h is infinite.
Tensor sample_dpmpp_2m(const DenoiserFunction& denoiser, Tensor x, const std::vector<double>& levels) {
  const auto denoise = checked(denoiser, x, levels);
  Tensor before;
  double h_before = 0;
  for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
    const double h = std::log(levels[i] / levels[i + 1]);
    const Tensor x0 = denoise(x, levels[i]);
    // D: x0, extrapolated along the line through the last two.
    const double weight = before.defined() ? h / (2 * h_before) : 0;  // 1 / (2 r)
    const Tensor D = before.defined() ? (1 + weight) * x0 - weight * before : x0;
    x = jump(x, D, levels[i], levels[i + 1]);
    before = x0;
    h_before = h;
  }
  return denoise(x, levels.back());
}

}  // namespace onestep
