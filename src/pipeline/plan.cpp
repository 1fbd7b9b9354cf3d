#include "plan.hpp"

#include <limits>

#include "conditions.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "require.hpp"

namespace onestep {
namespace {

double resolve_guidance(const Request& request, const ModelInfo& info) {
  const double guidance = request.guidance.value_or(default_guidance(info));
  require_within("guidance", guidance, 0, std::numeric_limits<double>::infinity());
  if (const ConditionInfo* input = guidance_input(info)) {
    require_within("guidance", guidance, input->low, input->high);
    return guidance;
  }
  const ConditionInfo* text = find_condition(info, ConditionKind::tokens);
  if (guidance != 1 && !info.null_label && !(text && !text->null_tokens.empty())) {
    refuse("guidance = " + std::to_string(guidance) + " needs a model with a null label, a text that means none, or " +
           "a guidance input; " + info.name + " has none of them");
  }
  return guidance;
}

/// The free sizes that are asked for, and the defaults of the others.
std::map<std::string, std::int64_t> resolve_sizes(const Request& request, const ModelInfo& info) {
  constexpr std::int64_t largest = 1 << 20;
  std::map<std::string, std::int64_t> sizes = default_sizes(info.sample);
  std::string names;
  for (const auto& [name, size] : sizes) names += (names.empty() ? "" : ", ") + name;
  for (const auto& [name, size] : request.sizes) {
    if (!sizes.contains(name)) {
      refuse("size " + name + " is unknown; " + info.name +
             (names.empty() ? " has one size alone" : " has the free sizes " + names));
    }
    const auto found = info.sample.multiples.find(name);
    const std::int64_t multiple = found == info.sample.multiples.end() ? 1 : found->second;
    if (size < multiple || size > largest || size % multiple != 0) {
      refuse("size " + name + " = " + std::to_string(size) + " must be " +
             (multiple > 1 ? "a multiple of " + std::to_string(multiple) + " in [" : "in [") +
             std::to_string(multiple) + ", " + std::to_string(largest) + "]");
    }
    sizes[name] = size;
  }
  return sizes;
}

/// Values of a sample of that shape.
std::size_t require_countable(const std::vector<std::int64_t>& shape,
                              const std::map<std::string, std::int64_t>& sizes) {
  constexpr std::size_t most = std::size_t{1} << 31;
  std::size_t values = 1;
  for (const std::int64_t side : shape) {
    if (static_cast<std::size_t>(side) > most / values) {
      std::string text;
      for (const auto& [name, size] : sizes)
        text += (text.empty() ? "sizes " : ", ") + name + " = " + std::to_string(size);
      refuse(text + " make samples of more than 2^31 values");
    }
    values *= static_cast<std::size_t>(side);
  }
  return values;
}

}  // namespace

Plan make_plan(const Request& request, const ModelInfo& info) {
  Plan plan;
  static_cast<SamplerPlan&>(plan) = plan_sampler(request.sampler, info, request.force);
  const std::map<std::string, std::int64_t> sizes = resolve_sizes(request, info);
  plan.sample_shape = shape_at(info.sample.sizes, sizes);
  plan.data_shape = shape_at(info.data.sizes, sizes);
  const std::size_t sample_size = require_countable(plan.sample_shape, sizes);
  require_countable(plan.data_shape, sizes);
  plan_edit(plan, request.edit, info);
  require_conditions(request, info);
  plan.guidance = resolve_guidance(request, info);
  if (request.seeds.empty()) refuse("seeds is empty: give one seed a sample");
  if (request.batch < 1) refuse("batch = " + std::to_string(request.batch) + " must be 1 or more");
  if (!request.labels.empty() && info.label_count == 0) refuse(info.name + " has no labels to ask for");
  for (const std::int64_t label : request.labels) {
    if (label < 0 || label >= info.label_count) {
      refuse("label " + std::to_string(label) + " must lie in [0, " + std::to_string(info.label_count - 1) + "]");
    }
  }
  const std::size_t wanted = request.seeds.size() * static_cast<std::size_t>(plan.draws) * sample_size;
  if (!request.noise.empty() && request.noise.size() != wanted) {
    refuse("noise has " + std::to_string(request.noise.size()) + " values; " + plan.name + " needs " +
           std::to_string(plan.draws) + " draws x " + std::to_string(request.seeds.size()) + " samples x " +
           std::to_string(sample_size) + " values a sample");
  }
  require_finite("noise", request.noise);
  if (!request.noise.empty()) {
    // A sampler of the user's own may ask for any draw.
    plan.sample = [draws = plan.draws, sample = plan.sample](const FlowMapFunction& f, const Tensor& x,
                                                             const NoiseSource& z) {
      return sample(f, x, [&](std::uint32_t draw) {
        require_whole("draw of the noise that was given", draw, 0, draws - 1);
        return z(draw);
      });
    };
  }
  return plan;
}

std::int64_t nfe(const Plan& plan, const ModelInfo& info) {
  return plan.calls * (calls_twice(info, plan.guidance) ? 2 : 1);
}

}  // namespace onestep
