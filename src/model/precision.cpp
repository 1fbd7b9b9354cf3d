#include "precision.hpp"

#include <sstream>

#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/device.hpp"
#include "onestep/tensor/noise.hpp"
#include "preconditioning.hpp"
#include "sampler_plan.hpp"

namespace onestep {

Verdict compare_precisions(const ModelInfo& info, torch::Device device, Network& exact, Network& reduced) {
  const torch::InferenceMode guard;
  const std::vector<std::uint64_t> seeds{0, 1};
  // What many steps amount to shows in few; all of them would take longer than many a command does.
  const Sampler sampler =
      info.role == Role::diffusion ? Sampler(EulerSampler{.levels = {.steps = 8}}) : default_sampler(info);
  const SamplerPlan plan = plan_sampler(sampler, info, false);
  const Condition condition = trial_condition(info, static_cast<std::int64_t>(seeds.size()));
  const NoiseSource seeded = seeded_noise(seeds, info.sample.shape);
  const auto drawn = [&](Network& network) {
    const Denoiser denoiser(network, info, condition);
    const NoiseSource z = [&](std::uint32_t draw) { return on_device(seeded(draw), device); };
    return plan.sample([&](const Tensor& x, double sigma, double target) { return denoiser(x, sigma, target); },
                       initial_scale(info, plan.levels.front()) * z(0), z);
  };
  constexpr double levels = 255;
  const double difference = (drawn(exact) - drawn(reduced)).abs().mean().item<double>();
  const double found = difference / (info.data.range_high - info.data.range_low) * levels;
  std::ostringstream text;
  text.precision(2);
  text << "samples differ from those of fp32 by " << found << " of an 8-bit level on average, allowed is 1";
  return {found <= 1, text.str()};  // false for NaN
}

}  // namespace onestep
