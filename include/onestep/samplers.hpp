#pragma once

#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "onestep/model_info.hpp"

namespace onestep {

/// The noise levels that a sampler visits: a number of steps, or the levels themselves.
struct Levels {
  /// In [1, 10000]. None: the sampler's own default, which samplers() tells.
  std::optional<int> steps = {};
  /// In place of steps and schedule: standard deviations of the noise in units of the data, falling, in (0, sigma_max],
  /// of the samplers consistency and gamma in (boundary_sigma, sigma_max]. A final 0 is implied.
  std::vector<double> values = {};
  /// How steps are spaced, a name of level_schedules(). Empty: of the samplers consistency and gamma, the levels that
  /// the model recommends for so many steps; where it recommends none, and of all others, the schedule that fits the
  /// model.
  std::string schedule = {};
};

// Samplers, each with its options. The range of an option is in samplers(), which is where it is checked.

/// One- and multi-step consistency sampling (Song et al. 2023, Algorithm 1). NFE = number of levels, by default 1.
struct ConsistencySampler {
  Levels levels = {};  ///< Of a schedule that ends at sigma_min: the first `steps` of `steps` + 1.
};

/// gamma-sampling of consistency trajectory models (Kim et al. 2023, Algorithm 3), trajectory consistency distillation
/// (Zheng et al. 2024) and flow maps (Geng et al. 2025; Frans et al. 2024). NFE = number of levels, by default 1.
struct GammaSampler {
  Levels levels = {};  ///< As of ConsistencySampler.
  /// The share of fresh noise, in [0, 1]. 0: none, the n-step sampler of a flow map; 1: consistency sampling. A jump
  /// towards level tau ends at sqrt(1 - gamma^2) tau, in a model with timesteps at timestep (1 - gamma) t of it.
  double gamma = 0;
};

/// Karras et al. 2022, Algorithm 2: noise added before each step. Amount 0 is the deterministic Algorithm 1.
struct Churn {
  double amount = 0;                                           ///< S_churn, in [0, infinity).
  double sigma_min = 0;                                        ///< S_tmin: no noise is added at levels below it.
  double sigma_max = std::numeric_limits<double>::infinity();  ///< S_tmax: nor above it.
  double noise = 1;                                            ///< S_noise: deviation of the added noise, about 1.
};

/// Heun's method (Karras et al. 2022, Algorithms 1 and 2). NFE = 2 * number of levels - 1, by default of 18 levels.
struct HeunSampler {
  Levels levels = {};  ///< That it visits.
  Churn churn = {};    ///< By default none.
};

/// Euler's method on the probability-flow ODE (Song et al. 2021). NFE = number of levels, by default 35.
struct EulerSampler {
  Levels levels = {};  ///< That it visits.
};

/// DDIM (Song et al. 2021, Eq. 12). NFE = number of levels, by default 35.
struct DdimSampler {
  Levels levels = {};  ///< That it visits.
  double eta = 0;      ///< The share of fresh noise, in [0, 1]. 0: none, Euler's method; 1: Euler ancestral.
};

/// DDIM with all its noise fresh: eta = 1, which others call Euler ancestral. NFE = number of levels, by default 35.
struct EulerAncestralSampler {
  Levels levels = {};  ///< That it visits.
};

/// DPM-Solver-2 (Lu et al. 2022a). NFE = 2 * number of levels - 1, by default of 18 levels.
struct Dpm2Sampler {
  Levels levels = {};  ///< That it visits.
};

/// DPM-Solver++ 2M (Lu et al. 2022b). NFE = number of levels, by default 18.
struct Dpmpp2mSampler {
  Levels levels = {};  ///< That it visits.
};

/// A sampler of one's own, for those who hold torch::Tensor: onestep/tensor/custom_sampler.hpp.
struct CustomSampler;

/// Empty: default_sampler of the model. Such as HeunSampler{.levels = {.steps = 18}, .churn = {.amount = 40}}.
using Sampler =
    std::variant<std::monostate, std::shared_ptr<const CustomSampler>, ConsistencySampler, GammaSampler, HeunSampler,
                 EulerSampler, DdimSampler, EulerAncestralSampler, Dpm2Sampler, Dpmpp2mSampler>;

/// What suits the model: one step for a consistency model or a flow map, Heun for a diffusion model, Euler for one that
/// predicts a flow, whose largest levels Heun's second slope does not reach.
Sampler default_sampler(const ModelInfo& info);

// Samplers by name, for command lines, forms and JSON.

/// An option of a sampler: a number in [low, high]; finite, unless its default is infinity.
struct SamplerOption {
  std::string name;                         ///< Such as churn_sigma_min.
  std::string description;                  ///< What it does, and its symbol in the paper.
  double low = 0, high = 0, otherwise = 0;  ///< The ends of its range, and, `otherwise`, its default.
};
/// A sampler, for people to choose from.
struct SamplerDescription {
  std::string name;                    ///< That make_sampler takes.
  std::vector<Role> roles;             ///< Of the models that it suits.
  std::string description;             ///< What it does, and its source.
  int steps = 0;                       ///< By default.
  std::vector<SamplerOption> options;  ///< Further to its levels.
};

/// All samplers that have a name.
std::vector<SamplerDescription> samplers();

/// The sampler of that name, its options by theirs. Throws Error (usage) on an unknown name of either.
Sampler make_sampler(const std::string& name, Levels levels = {}, const std::map<std::string, double>& options = {});

/// The opposite of make_sampler: what a sampler consists of.
struct SamplerParts {
  std::string name;                       ///< Empty for a Sampler that is.
  Levels levels;                          ///< As make_sampler takes them.
  std::map<std::string, double> options;  ///< Those that are not at their defaults.
};
SamplerParts parts_of(const Sampler& sampler);  ///< A default is no part.

/// The range of an option in words: "0 to 1", "0 or more".
std::string range_text(const SamplerOption& option);

/// A schedule, for people to choose from.
struct Choice {
  std::string name;         ///< That Levels::schedule takes.
  std::string suits;        ///< The models that it suits.
  std::string description;  ///< What it does, and its source.
};
/// All schedules.
std::vector<Choice> level_schedules();

}  // namespace onestep
