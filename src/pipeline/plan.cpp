#include "plan.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "levels.hpp"
#include "noise_input.hpp"
#include "onestep/tensor/consistency.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/diffusion.hpp"
#include "onestep/tensor/flow_map.hpp"
#include "preconditioning.hpp"
#include "schedule.hpp"

namespace onestep {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorKind::usage, message); }

struct Row {
  const char* name;
  std::vector<Role> roles;
  const char* what;
};

const std::vector<Row>& table() {
  using enum Role;
  static const std::vector<Row> rows{
      {"consistency",
       {consistency},
       "one step, or several with fresh noise between them (Song et al. 2023, Algorithm 1); --steps, --levels"},
      {"gamma",
       {consistency, flow_map},
       "jumps along the trajectory (Kim et al. 2023; Zheng et al. 2024; Geng et al. 2025); --gamma 0 adds no noise "
       "between them, 1 all of it"},
      {"heun", {diffusion, flow_map}, "second order, two calls a step (Karras et al. 2022); --churn"},
      {"euler", {diffusion, flow_map}, "first order, one call a step (Song et al. 2021)"},
      {"ddim",
       {diffusion, flow_map},
       "DDIM (Song et al. 2021; Salimans & Ho 2022); --eta 0 is euler, --eta 1 is euler_ancestral"},
      {"dpm2", {diffusion, flow_map}, "DPM-Solver-2: second order, two calls a step (Lu et al. 2022a)"},
      {"dpmpp_2m", {diffusion, flow_map}, "DPM-Solver++ 2M: second order, one call a step (Lu et al. 2022b)"},
  };
  return rows;
}

bool suits(const Row& row, Role role) { return std::find(row.roles.begin(), row.roles.end(), role) != row.roles.end(); }

/// A sampler that does not suit the model draws something, and it is never what was wanted.
void require_suitable(const std::string& sampler, const ModelInfo& info) {
  std::string suitable;
  for (const Row& row : table()) {
    if (!suits(row, info.role)) continue;
    if (row.name == sampler) return;
    suitable += (suitable.empty() ? "" : ", ") + std::string(row.name);
  }
  const char* reason = info.role == Role::diffusion
                           ? "a diffusion model's denoised sample is a mean of many, not a sample"
                       : info.role == Role::consistency
                           ? "a consistency model jumps to the trajectory's end rather than giving its slope"
                           : "a flow map is told where to jump";
  refuse("sampler " + sampler + " does not suit " + info.name + ": " + reason + "; use " + suitable);
}

void require_steps(int steps) {
  if (steps < 1) refuse("steps = " + std::to_string(steps) + " must be 1 or more");
  if (steps > 10000) refuse("steps = " + std::to_string(steps) + " must be 10000 or fewer");
}

void require_within(const char* name, double value, double highest) {
  if (value >= 0 && value <= highest) return;  // also false for NaN
  std::ostringstream message;
  message << name << " = " << value << " must " << (std::isinf(highest) ? "be 0 or more" : "lie in [0, 1]");
  refuse(message.str());
}

constexpr double any = std::numeric_limits<double>::infinity();

/// The given levels, checked against the model's range, or those that `otherwise` makes.
template <typename Options, typename Otherwise>
std::vector<double> settle(const Options& options, double lowest, const ModelInfo& info, Otherwise otherwise) {
  require_steps(options.steps);
  if (options.levels.empty()) return otherwise();
  if (!options.schedule.empty()) refuse("levels and schedule say the same in two ways; give one of them");
  require_falling(options.levels, lowest);
  // 1e-6, relative: a level that was printed in six digits is still the model's own.
  if (options.levels.front() > info.sigma_max * (1 + 1e-6)) {
    std::ostringstream message;
    message << "levels[0] = " << options.levels.front()
            << " must be at most the model's sigma_max = " << info.sigma_max;
    refuse(message.str());
  }
  return options.levels;
}

template <typename Options>
std::vector<double> settle_to_zero(const Options& options, const ModelInfo& info) {
  return settle(options, 0, info,
                [&] { return schedule_levels(find_schedule(options.schedule, info), info, options.steps); });
}

template <typename Options>
std::vector<double> settle_few(const Options& options, const ModelInfo& info) {
  return settle(options, info.boundary_sigma, info, [&] {
    const auto recommended = info.levels.find(options.steps);
    if (options.schedule.empty() && recommended != info.levels.end()) return recommended->second;
    const Schedule& schedule = find_schedule(options.schedule, info);
    if (!schedule.ends_at_sigma_min) return schedule_levels(schedule, info, options.steps);
    std::vector<double> levels = schedule_levels(schedule, info, options.steps + 1);
    levels.pop_back();
    return levels;
  });
}

/// A plan of `calls_a_level` network calls a level, save the last, which takes one.
Plan plan_of(const char* name, std::vector<double> levels, int calls_a_level = 1) {
  Plan plan;
  plan.name = name;
  plan.levels = std::move(levels);
  plan.calls = calls_a_level * (static_cast<std::int64_t>(plan.levels.size()) - 1) + 1;
  return plan;
}

DenoiserFunction denoiser(const FlowMapFunction& f) {
  return [&f](const Tensor& x, double sigma) { return f(x, sigma, sigma); };
}

Plan plan(const ConsistencySampler& options, const ModelInfo& info) {
  Plan plan = plan_of("consistency", settle_few(options, info));
  plan.draws = plan.calls;
  const double epsilon = info.renoise_by_level ? 0 : info.boundary_sigma;
  plan.sample = [levels = plan.levels, epsilon](const FlowMapFunction& f, const NoiseSource& z) {
    return sample_consistency([&f](const Tensor& x, double sigma) { return f(x, sigma, 0); }, z, levels, epsilon);
  };
  return plan;
}

Plan plan(const GammaSampler& options, const ModelInfo& info) {
  require_within("gamma", options.gamma, 1);
  Plan plan = plan_of("gamma", settle_few(options, info));
  if (options.gamma > 0) plan.draws = plan.calls;
  std::vector<double> targets;
  for (std::size_t k = 1; k < plan.levels.size(); ++k) {
    const double level = plan.levels[k];
    if (info.timestep_sigmas.empty()) {
      targets.push_back(std::sqrt(1 - options.gamma * options.gamma) * level);
    } else {  // Zheng et al. 2024, Algorithm 4, as their code rounds it
      const double timestep = std::floor((1 - options.gamma) * encode_noise(info, level));
      targets.push_back(options.gamma == 0 ? level : info.timestep_sigmas[static_cast<std::size_t>(timestep)]);
    }
  }
  plan.sample = [levels = plan.levels, targets](const FlowMapFunction& f, const NoiseSource& z) {
    return sample_gamma(f, z, levels, targets);
  };
  return plan;
}

Plan plan(const EulerSampler& options, const ModelInfo& info) {
  Plan plan = plan_of("euler", settle_to_zero(options, info));
  plan.sample = [levels = plan.levels](const FlowMapFunction& f, const NoiseSource& z) {
    return sample_euler(denoiser(f), z, levels);
  };
  return plan;
}

Plan plan(const DdimSampler& options, const ModelInfo& info) {
  require_within("eta", options.eta, 1);
  Plan plan = plan_of("ddim", settle_to_zero(options, info));
  if (options.eta > 0) plan.draws = plan.calls;  // the last step adds none
  plan.sample = [levels = plan.levels, eta = options.eta](const FlowMapFunction& f, const NoiseSource& z) {
    return sample_ddim(denoiser(f), z, levels, eta);
  };
  return plan;
}

Plan plan(const Dpm2Sampler& options, const ModelInfo& info) {
  Plan plan = plan_of("dpm2", settle_to_zero(options, info), 2);
  plan.sample = [levels = plan.levels](const FlowMapFunction& f, const NoiseSource& z) {
    return sample_dpm2(denoiser(f), z, levels);
  };
  return plan;
}

Plan plan(const Dpmpp2mSampler& options, const ModelInfo& info) {
  Plan plan = plan_of("dpmpp_2m", settle_to_zero(options, info));
  plan.sample = [levels = plan.levels](const FlowMapFunction& f, const NoiseSource& z) {
    return sample_dpmpp_2m(denoiser(f), z, levels);
  };
  return plan;
}

Plan plan(const HeunSampler& options, const ModelInfo& info) {
  require_within("churn", options.churn, any);
  require_within("churn_sigma_min", options.churn_sigma_min, any);
  require_within("churn_sigma_max", options.churn_sigma_max, any);
  require_within("churn_noise", options.churn_noise, any);
  Plan plan = plan_of("heun", settle_to_zero(options, info), 2);
  if (options.churn > 0) plan.draws = static_cast<std::int64_t>(plan.levels.size()) + 1;
  const Churn churn{options.churn, options.churn_sigma_min, options.churn_sigma_max, options.churn_noise};
  plan.sample = [levels = plan.levels, churn](const FlowMapFunction& f, const NoiseSource& z) {
    return sample_heun(denoiser(f), z, levels, churn);
  };
  return plan;
}

Plan plan(std::monostate, const ModelInfo& info) {
  if (info.role == Role::consistency) return plan(ConsistencySampler{}, info);
  if (info.role == Role::flow_map) return plan(GammaSampler{}, info);
  return info.prediction == "flow" ? plan(EulerSampler{}, info) : plan(HeunSampler{}, info);
}

double settle_guidance(const Request& request, const ModelInfo& info) {
  const double guidance = request.guidance.value_or(default_guidance(info));
  require_within("guidance", guidance, any);
  if (std::isinf(guidance)) refuse("guidance = inf must be a finite number");
  if (!guidance_input(info) && guidance != 1 && !info.null_label) {
    refuse("guidance = " + std::to_string(guidance) + " needs a model with a null label or a guidance input; " +
           info.name + " has neither");
  }
  return guidance;
}

}  // namespace

Plan make_plan(const Request& request, const ModelInfo& info) {
  Plan plan = std::visit([&](const auto& sampler) { return onestep::plan(sampler, info); }, request.sampler);
  if (!request.force) require_suitable(plan.name, info);
  plan_edit(plan, request.edit, info);
  plan.guidance = settle_guidance(request, info);
  if (request.seeds.empty()) refuse("seeds is empty: give one seed a sample");
  if (request.batch < 1) refuse("batch = " + std::to_string(request.batch) + " must be 1 or more");
  if (!request.labels.empty() && info.label_count == 0) refuse(info.name + " has no labels to ask for");
  for (const std::int64_t label : request.labels) {
    if (label < 0 || label >= info.label_count) {
      refuse("label " + std::to_string(label) + " must lie in [0, " + std::to_string(info.label_count - 1) + "]");
    }
  }
  std::size_t sample_size = 1;
  for (const std::int64_t size : info.sample.shape) sample_size *= static_cast<std::size_t>(size);
  const std::size_t wanted = request.seeds.size() * static_cast<std::size_t>(plan.draws) * sample_size;
  if (!request.noise.empty() && request.noise.size() != wanted) {
    refuse("noise has " + std::to_string(request.noise.size()) + " values; " + plan.name + " needs " +
           std::to_string(plan.draws) + " draws x " + std::to_string(request.seeds.size()) + " samples x " +
           std::to_string(sample_size) + " values a sample");
  }

  // The sampler begins with levels.front() * z(0); the model, where its prediction says.
  const double scale = initial_scale(info, plan.levels.front()) / plan.levels.front();
  plan.sample = [scale, sample = std::move(plan.sample)](const FlowMapFunction& f, const NoiseSource& z) {
    return sample(f, [&](std::uint32_t draw) { return draw == 0 && scale != 1 ? scale * z(0) : z(draw); });
  };
  return plan;
}

std::int64_t nfe(const Plan& plan, const ModelInfo& info) {
  return plan.calls * (calls_twice(info, plan.guidance) ? 2 : 1);
}

std::vector<Choice> samplers() {
  std::vector<Choice> choices;
  for (const Row& row : table()) {
    std::string roles;
    for (const Role role : row.roles) roles += (roles.empty() ? "" : ", ") + std::string(name_of(role));
    choices.push_back({row.name, roles, row.what});
  }
  return choices;
}

std::vector<Choice> level_schedules() {
  std::vector<Choice> choices;
  for (const Schedule& schedule : schedules()) choices.push_back({schedule.name, schedule.for_models, schedule.what});
  return choices;
}

}  // namespace onestep
