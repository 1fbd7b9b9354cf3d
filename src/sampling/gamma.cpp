#include <algorithm>
#include <cmath>

#include "checked.hpp"
#include "levels.hpp"
#include "noise_input.hpp"
#include "onestep/tensor/flow_map.hpp"
#include "require.hpp"
#include "sampler_table.hpp"

namespace onestep {

// Kim et al. 2023, Algorithm 3.  G: flow map;  t, s, next: t_n, sqrt(1 - gamma^2) t_{n+1}, t_{n+1}.
Tensor sample_gamma(const FlowMapFunction& flow_map, Tensor x, const NoiseSource& noise,
                    const std::vector<double>& levels, const std::vector<double>& targets) {
  const auto [G, z] = checked(flow_map, x, noise, levels);
  if (targets.size() + 1 != levels.size()) {
    refuse("targets has " + std::to_string(targets.size()) + " levels; " + std::to_string(levels.size()) +
           " levels need one fewer than that");
  }
  for (std::size_t k = 0; k < targets.size(); ++k) {
    require_within("targets[" + std::to_string(k) + "]", targets[k], 0, levels[k + 1]);
  }

  for (std::uint32_t k = 0; k + 1 < levels.size(); ++k) {
    const double t = levels[k], s = targets[k], next = levels[k + 1];
    // Along the trajectory to s, then noise up to the next level: gamma t_{n+1} z.
    x = jump(x, G(x, t, s), t, s);
    if (s < next) x = x + std::sqrt(next * next - s * s) * z(k + 1);
  }
  return G(x, levels.back(), 0);
}

std::vector<double> gamma_targets(const std::vector<double>& levels, double gamma, const ModelInfo& info) {
  require_options(GammaSampler{.gamma = gamma});
  require_falling(levels, 0);
  std::vector<double> targets;
  for (std::size_t k = 1; k < levels.size(); ++k) {
    if (info.noise_input != "timestep" || info.timestep_sigmas.empty()) {  // Kim et al. 2023, Algorithm 3
      targets.push_back(std::sqrt(1 - gamma * gamma) * levels[k]);
    } else if (gamma == 0) {
      targets.push_back(levels[k]);
    } else {  // Zheng et al. 2024, Algorithm 4, as their code rounds it
      const double timestep = std::floor((1 - gamma) * encode_noise(info, levels[k]));
      // The lowest timestep has noise too, and may have more than a level below it.
      targets.push_back(std::min(info.timestep_sigmas[static_cast<std::size_t>(timestep)], levels[k]));
    }
  }
  return targets;
}

}  // namespace onestep
