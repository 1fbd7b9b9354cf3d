#include "plan.hpp"

#include <limits>

#include "onestep/tensor/denoiser.hpp"
#include "require.hpp"

namespace onestep {
namespace {

double resolve_guidance(const Request& request, const ModelInfo& info) {
  const double guidance = request.guidance.value_or(default_guidance(info));
  require_within("guidance", guidance, 0, std::numeric_limits<double>::infinity());
  if (!guidance_input(info) && guidance != 1 && !info.null_label) {
    refuse("guidance = " + std::to_string(guidance) + " needs a model with a null label or a guidance input; " +
           info.name + " has neither");
  }
  return guidance;
}

}  // namespace

Plan make_plan(const Request& request, const ModelInfo& info) {
  Plan plan{plan_sampler(request.sampler, info, request.force)};
  plan_edit(plan, request.edit, info);
  plan.guidance = resolve_guidance(request, info);
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
