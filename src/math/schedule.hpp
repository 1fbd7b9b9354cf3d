#pragma once

#include <vector>

namespace onestep {

/// `steps` noise levels from sigma_max down to sigma_min (Karras et al. 2022, Eq. 5, without the final 0); the ends are
/// exact. steps >= 1; one step is sigma_max alone. 0 < sigma_min < sigma_max; rho > 0, 7 in the paper.
std::vector<double> karras_levels(int steps, double sigma_min, double sigma_max, double rho);

}  // namespace onestep
