#include "onestep/tensor/consistency.hpp"

#include <cmath>

#include "levels.hpp"

namespace onestep {

// Song et al. 2023, Algorithm 1.  f: consistency function;  z(k): k-th unit Gaussian draw.
Tensor sample_consistency_from(const DenoiserFunction& f, const Tensor& start, const NoiseSource& z,
                               const std::vector<double>& levels, double epsilon) {
  require_falling(levels, epsilon);
  Tensor x = f(start, levels.front());
  for (std::size_t k = 1; k < levels.size(); ++k) {
    const double tau = levels[k];
    x = f(x + std::sqrt(tau * tau - epsilon * epsilon) * z(static_cast<std::uint32_t>(k)), tau);
  }
  return x;
}

Tensor sample_consistency(const DenoiserFunction& f, const NoiseSource& z, const std::vector<double>& levels,
                          double epsilon) {
  require_falling(levels, epsilon);
  return sample_consistency_from(f, levels.front() * z(0), z, levels, epsilon);
}

}  // namespace onestep
