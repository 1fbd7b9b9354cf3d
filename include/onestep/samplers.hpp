#pragma once

#include <limits>
#include <string>
#include <variant>
#include <vector>

namespace onestep {

/// One- and multi-step consistency sampling (Song et al. 2023, Algorithm 1). NFE = number of levels.
struct ConsistencySampler {
  /// Number of steps, in [1, 10000]: the model's recommended levels for it. One step is sigma_max alone.
  /// Where the model recommends none: those of the schedule; of a schedule that ends at sigma_min, the first `steps` of
  /// `steps` + 1.
  int steps = 1;
  /// Noise levels in place of the recommended ones: falling, in (boundary_sigma, sigma_max]. Empty: by `steps`.
  std::vector<double> levels = {};
  std::string schedule = {};  ///< Of level_schedules(), in place of the recommended levels. Empty: what fits the model.
};

/// gamma-sampling of consistency trajectory models (Kim et al. 2023, Algorithm 3), trajectory consistency distillation
/// (Zheng et al. 2024) and flow maps (Geng et al. 2025; Frans et al. 2024). NFE = number of levels.
struct GammaSampler {
  int steps = 1;                    ///< As of ConsistencySampler.
  std::vector<double> levels = {};  ///< As of ConsistencySampler.
  std::string schedule = {};        ///< As of ConsistencySampler.
  /// The share of fresh noise, in [0, 1]. 0: none, the n-step sampler of a flow map; 1: consistency sampling. A jump
  /// towards level tau ends at sqrt(1 - gamma^2) tau, in a model with timesteps at timestep (1 - gamma) t of it.
  double gamma = 0;
};

/// Euler's method on the probability-flow ODE (Song et al. 2021). NFE = number of levels.
struct EulerSampler {
  int steps = 35;                   ///< In [1, 10000].
  std::vector<double> levels = {};  ///< In place of them: falling, in (0, sigma_max]; the final 0 is implied.
  std::string schedule = {};        ///< Of level_schedules(). Empty: what fits the model.
};

/// DDIM (Song et al. 2021, Eq. 12). NFE = number of levels.
struct DdimSampler {
  int steps = 35;                   ///< In [1, 10000].
  std::vector<double> levels = {};  ///< As of EulerSampler.
  std::string schedule = {};        ///< As of EulerSampler.
  double eta = 0;                   ///< The share of fresh noise, in [0, 1]. 0: none; 1: Euler ancestral.
};

/// DPM-Solver-2 (Lu et al. 2022a). NFE = 2 * number of levels - 1.
struct Dpm2Sampler {
  int steps = 18;                   ///< In [1, 10000].
  std::vector<double> levels = {};  ///< As of EulerSampler.
  std::string schedule = {};        ///< As of EulerSampler.
};

/// DPM-Solver++ 2M (Lu et al. 2022b). NFE = number of levels.
struct Dpmpp2mSampler {
  int steps = 18;                   ///< In [1, 10000].
  std::vector<double> levels = {};  ///< As of EulerSampler.
  std::string schedule = {};        ///< As of EulerSampler.
};

/// Heun's method (Karras et al. 2022, Algorithms 1 and 2). NFE = 2 * number of levels - 1.
struct HeunSampler {
  int steps = 18;                                                    ///< In [1, 10000].
  std::vector<double> levels = {};                                   ///< As of EulerSampler.
  std::string schedule = {};                                         ///< As of EulerSampler.
  double churn = 0;                                                  ///< S_churn, in [0, infinity); 0: deterministic.
  double churn_sigma_min = 0;                                        ///< S_tmin: no noise is added at levels below it.
  double churn_sigma_max = std::numeric_limits<double>::infinity();  ///< S_tmax: nor above it.
  double churn_noise = 1;                                            ///< S_noise: deviation of the added noise, >= 0.
};

/// Empty: what suits the model, with its defaults: one step for a consistency model or a flow map, Heun for a diffusion
/// model, Euler for one that predicts a flow, whose largest levels Heun's second slope does not reach.
using Sampler = std::variant<std::monostate, ConsistencySampler, GammaSampler, EulerSampler, HeunSampler, DdimSampler,
                             Dpm2Sampler, Dpmpp2mSampler>;

/// A sampler or a schedule, for people to choose from.
struct Choice {
  std::string name;
  std::string suits;  ///< The roles, or the models, that it suits.
  std::string what;   ///< What it does, and its source.
};

std::vector<Choice> samplers();
std::vector<Choice> level_schedules();

}  // namespace onestep
