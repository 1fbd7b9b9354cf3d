#include <cmath>

#include "levels.hpp"
#include "onestep/tensor/editing.hpp"

namespace onestep {

Tensor Observation::put_back(const Tensor& x) const { return from_basis(torch::where(mask != 0, known, to_basis(x))); }

// Song et al. 2023, Algorithm 4.
Tensor sample_edit(const DenoiserFunction& f, const NoiseSource& z, const std::vector<double>& levels, double epsilon,
                   const Observation& observation) {
  require_falling(levels, epsilon);
  const Tensor y = observation.from_basis(torch::where(observation.mask != 0, observation.known, 0));
  Tensor x = observation.put_back(f(y + levels.front() * z(0), levels.front()));
  for (std::size_t k = 1; k < levels.size(); ++k) {
    const double tau = levels[k];
    const Tensor noised = x + std::sqrt(tau * tau - epsilon * epsilon) * z(static_cast<std::uint32_t>(k));
    x = observation.put_back(f(noised, tau));
  }
  return x;
}

}  // namespace onestep
