#include <cmath>

#include "levels.hpp"
#include "onestep/error.hpp"
#include "onestep/tensor/flow_map.hpp"

namespace onestep {

// Kim et al. 2023, Algorithm 3.
Tensor sample_gamma(const FlowMapFunction& flow_map, const NoiseSource& z, const std::vector<double>& levels,
                    const std::vector<double>& targets) {
  require_falling(levels, 0);
  if (targets.size() + 1 != levels.size()) {
    throw Error(ErrorKind::usage, "targets has " + std::to_string(targets.size()) + " levels; " +
                                      std::to_string(levels.size()) + " levels need one fewer than that");
  }
  Tensor x = levels.front() * z(0);
  for (std::size_t k = 0; k + 1 < levels.size(); ++k) {
    const double t = levels[k], s = targets[k], next = levels[k + 1];
    if (!(s >= 0 && s <= next)) {
      throw Error(ErrorKind::usage, "targets[" + std::to_string(k) + "] = " + std::to_string(s) + " must lie in [0, " +
                                        std::to_string(next) + "]");
    }
    x = jump(x, flow_map(x, t, s), t, s);
    if (s < next) x = x + std::sqrt(next * next - s * s) * z(static_cast<std::uint32_t>(k + 1));
  }
  return flow_map(x, levels.back(), 0);
}

}  // namespace onestep
