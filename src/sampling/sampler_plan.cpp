#include "sampler_plan.hpp"

#include <algorithm>
#include <sstream>

#include "checked.hpp"
#include "levels.hpp"
#include "onestep/error.hpp"
#include "onestep/tensor/custom_sampler.hpp"
#include "require.hpp"
#include "sampler_table.hpp"
#include "schedule.hpp"

namespace onestep {
namespace {

template <typename S>
bool suits(const SamplerRow<S>& row, Role role) {
  return std::find(row.roles.begin(), row.roles.end(), role) != row.roles.end();
}

/// A sampler that does not suit the model draws something, and it is never what was wanted.
template <typename S>
void require_suitable(const SamplerRow<S>& row, const ModelInfo& info) {
  if (suits(row, info.role)) return;
  std::string suitable;
  for_each_sampler([&](const auto& other) {
    if (suits(other, info.role)) suitable += (suitable.empty() ? "" : ", ") + std::string(other.name);
  });
  const char* reason = info.role == Role::diffusion
                           ? "a diffusion model's denoised sample is a mean of many, not a sample"
                       : info.role == Role::consistency
                           ? "a consistency model jumps to the trajectory's end rather than giving its slope"
                           : "a flow map is told where to jump";
  refuse(std::string("sampler ") + row.name + " does not suit " + info.name + ": " + reason + "; use " + suitable);
}

/// What a number of steps means.
struct Steps {
  int otherwise;  ///< The number where none is given.
  bool takes_recommended;
};

Steps steps_of(const Sampler& sampler) {
  return std::visit(
      []<typename S>(const S& s) -> Steps {
        if constexpr (NamedSampler<S>) return {row_of(s).steps, row_of(s).takes_recommended};
        return {};
      },
      sampler);
}

std::vector<double> levels_of_steps(int steps, const std::string& schedule_name, bool takes_recommended,
                                    const ModelInfo& info) {
  const auto recommended = info.levels.find(steps);
  if (takes_recommended && schedule_name.empty() && recommended != info.levels.end()) return recommended->second;
  const Schedule& schedule = find_schedule(schedule_name, info);
  if (!takes_recommended || !schedule.ends_at_sigma_min) return schedule_levels(schedule, info, steps);
  // At sigma_min a consistency model has nothing left to denoise.
  std::vector<double> levels = schedule_levels(schedule, info, steps + 1);
  levels.pop_back();
  return levels;
}

std::vector<double> resolve_levels(const Levels& given, Steps meaning, const ModelInfo& info) {
  if (given.values.empty()) {
    const int steps = given.steps.value_or(meaning.otherwise);
    require_whole("steps", steps, 1, 10000);
    return levels_of_steps(steps, given.schedule, meaning.takes_recommended, info);
  }
  if (given.steps) refuse("steps and levels say the same in two ways; give one of them");
  if (!given.schedule.empty()) refuse("levels and schedule say the same in two ways; give one of them");
  require_falling(given.values, meaning.takes_recommended ? info.boundary_sigma : 0);
  // 1e-6, relative: a level that was printed in six digits is still the model's own.
  if (given.values.front() > info.sigma_max * (1 + 1e-6)) {
    std::ostringstream message;
    message << "levels[0] = " << given.values.front() << " must be at most the model's sigma_max = " << info.sigma_max;
    refuse(message.str());
  }
  return given.values;
}

template <typename S>
SamplerPlan plan(const S& sampler, const ModelInfo& info, bool force) {
  const SamplerRow<S>& row = row_of(sampler);
  require_options(sampler);
  SamplerPlan plan;
  plan.name = row.name;
  plan.levels = resolve_levels(sampler.levels, {row.steps, row.takes_recommended}, info);
  if (!force) require_suitable(row, info);
  const auto count = static_cast<std::int64_t>(plan.levels.size());
  plan.calls = row.calls * (count - 1) + 1;
  plan.draws = row.draws(sampler, count);
  plan.sample = [&row, &info, sampler, levels = plan.levels](const FlowMapFunction& f, const Tensor& x,
                                                             const NoiseSource& z) {
    return row.sample(sampler, {f, x, z, levels, info});
  };
  return plan;
}

SamplerPlan plan(const std::shared_ptr<const CustomSampler>& sampler, const ModelInfo& info, bool) {
  if (!sampler || !sampler->sample) refuse("the sampler of one's own is empty; its `sample` must be a function");
  for_each_sampler([&](const auto& row) {
    if (row.name == sampler->name)
      refuse("the sampler of one's own can't be named " + sampler->name + ", as another is");
  });
  SamplerPlan plan;
  plan.name = sampler->name;
  plan.levels = resolve_levels(sampler->levels, steps_of(default_sampler(info)), info);
  const auto count = static_cast<std::int64_t>(plan.levels.size());
  plan.calls = sampler->calls ? sampler->calls(count) : count;
  require_whole("calls of sampler " + plan.name, plan.calls, 1, 1'000'000);
  plan.draws = count;
  plan.sample = [sampler, levels = plan.levels](const FlowMapFunction& f, const Tensor& x, const NoiseSource& z) {
    Tensor samples;
    try {
      samples = sampler->sample(checked(f), x, checked(z, x), levels);
    } catch (const Error&) {  // such as what f and z throw
      throw;
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& error) {
      const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
      const std::string text = torch_error ? torch_error->what_without_backtrace() : error.what();
      refuse("sampler " + sampler->name + " failed: " + text.substr(0, text.find('\n')));
    }
    require_like("the result of sampler " + sampler->name, samples, x);
    return samples;
  };
  return plan;
}

SamplerPlan plan(std::monostate, const ModelInfo& info, bool force) {
  return plan_sampler(default_sampler(info), info, force);
}

}  // namespace

SamplerPlan plan_sampler(const Sampler& sampler, const ModelInfo& info, bool force) {
  return std::visit([&](const auto& s) { return plan(s, info, force); }, sampler);
}

}  // namespace onestep
