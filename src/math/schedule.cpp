#include "schedule.hpp"

#include <algorithm>
#include <cmath>

namespace onestep {

std::vector<double> karras_levels(int steps, double sigma_min, double sigma_max, double rho) {
  std::vector<double> levels(steps);
  const double first = std::pow(sigma_max, 1 / rho);
  const double last = std::pow(sigma_min, 1 / rho);
  for (int i = 0; i < steps; ++i) {
    levels[i] = std::pow(first + i / std::max(steps - 1.0, 1.0) * (last - first), rho);
  }
  levels.front() = sigma_max;
  if (steps > 1) levels.back() = sigma_min;
  return levels;
}

}  // namespace onestep
