// A sampler on a denoiser of one's own, a C++ lambda. Where data is Gaussian N(mu, s^2), the denoiser and the point
// where a trajectory ends are known exactly, so that the sampler's error can be printed.
#include <cmath>
#include <iostream>
#include <onestep/tensor/diffusion.hpp>
#include <onestep/tensor/noise.hpp>

int main() {
  const double mu = 0.3, s = 0.5;
  const auto denoise = [&](const torch::Tensor& x, double sigma) {
    return (s * s * x + sigma * sigma * mu) / (s * s + sigma * sigma);
  };
  const torch::Tensor z = onestep::seeded_noise({0, 1, 2, 3}, {1, 8, 8})(0);

  double before = 0;
  for (const int steps : {8, 16, 32, 64}) {
    std::vector<double> levels(steps);
    for (int i = 0; i < steps; ++i) levels[i] = 80 * std::pow(1 - static_cast<double>(i) / steps, 7);
    const torch::Tensor x = onestep::sample_heun(denoise, 80 * z, {}, levels);
    const torch::Tensor exact = mu + (80 * z - mu) * (s / std::sqrt(s * s + 80 * 80));
    const double error = (x - exact).abs().max().item<double>();
    std::cout << steps << " steps: error " << error << (before > 0 ? ", smaller by " : "");
    if (before > 0) std::cout << before / error;
    std::cout << '\n';
    before = error;
  }
  return before < 1e-2 ? 0 : 1;
}
