#include "sampler_table.hpp"

#include <limits>

#include "onestep/tensor/consistency.hpp"
#include "onestep/tensor/diffusion.hpp"
#include "onestep/tensor/flow_map.hpp"
#include "require.hpp"

namespace onestep {

const SamplerTable& sampler_table() {
  using enum Role;
  constexpr double any = std::numeric_limits<double>::infinity();
  static const SamplerTable table{
      SamplerRow<ConsistencySampler>{
          .name = "consistency",
          .description = "one step, or several with fresh noise between them (Song et al. 2023, Algorithm 1)",
          .roles = {consistency},
          .steps = 1,
          .takes_recommended = true,
          .draws = [](const ConsistencySampler&, std::int64_t levels) { return levels; },
          .sample =
              [](const ConsistencySampler&, const SamplerInput& in) {
                return sample_consistency(consistency_function_of(in.f), in.x, in.z, in.levels,
                                          renoise_epsilon(in.info));
              },
      },
      SamplerRow<GammaSampler>{
          .name = "gamma",
          .description = "jumps along the trajectory (Kim et al. 2023; Zheng et al. 2024; Geng et al. 2025)",
          .roles = {consistency, flow_map},
          .steps = 1,
          .takes_recommended = true,
          .options = {{"gamma", "share of fresh noise between jumps", 0, 1,
                       [](GammaSampler& s) -> double& { return s.gamma; }}},
          .draws = [](const GammaSampler& s, std::int64_t levels) { return s.gamma > 0 ? levels : 1; },
          .sample =
              [](const GammaSampler& s, const SamplerInput& in) {
                return sample_gamma(in.f, in.x, in.z, in.levels, gamma_targets(in.levels, s.gamma, in.info));
              },
      },
      SamplerRow<HeunSampler>{
          .name = "heun",
          .description = "second order, two calls a step (Karras et al. 2022)",
          .roles = {diffusion, flow_map},
          .steps = 18,
          .calls = 2,
          .options = {{"churn", "noise added between steps, S_churn", 0, any,
                       [](HeunSampler& s) -> double& { return s.churn.amount; }},
                      {"churn_sigma_min", "S_tmin: no noise is added at levels below it", 0, any,
                       [](HeunSampler& s) -> double& { return s.churn.sigma_min; }},
                      {"churn_sigma_max", "S_tmax: no noise is added at levels above it", 0, any,
                       [](HeunSampler& s) -> double& { return s.churn.sigma_max; }},
                      {"churn_noise", "S_noise: deviation of the added noise", 0, any,
                       [](HeunSampler& s) -> double& { return s.churn.noise; }}},
          // The last step has noise added too.
          .draws = [](const HeunSampler& s, std::int64_t levels) { return s.churn.amount > 0 ? levels + 1 : 1; },
          .sample =
              [](const HeunSampler& s, const SamplerInput& in) {
                return sample_heun(denoiser_of(in.f), in.x, in.z, in.levels, s.churn);
              },
      },
      SamplerRow<EulerSampler>{
          .name = "euler",
          .description = "first order, one call a step (Song et al. 2021)",
          .roles = {diffusion, flow_map},
          .steps = 35,
          .sample = [](const EulerSampler&,
                       const SamplerInput& in) { return sample_euler(denoiser_of(in.f), in.x, in.levels); },
      },
      SamplerRow<DdimSampler>{
          .name = "ddim",
          .description = "DDIM (Song et al. 2021; Salimans & Ho 2022); eta 0 is euler, eta 1 is euler_ancestral",
          .roles = {diffusion, flow_map},
          .steps = 35,
          .options = {{"eta", "share of fresh noise", 0, 1, [](DdimSampler& s) -> double& { return s.eta; }}},
          .draws = [](const DdimSampler& s, std::int64_t levels) { return s.eta > 0 ? levels : 1; },
          .sample = [](const DdimSampler& s,
                       const SamplerInput& in) { return sample_ddim(denoiser_of(in.f), in.x, in.z, in.levels, s.eta); },
      },
      SamplerRow<EulerAncestralSampler>{
          .name = "euler_ancestral",
          .description = "first order, with all of the noise fresh (Song et al. 2021)",
          .roles = {diffusion, flow_map},
          .steps = 35,
          .draws = [](const EulerAncestralSampler&, std::int64_t levels) { return levels; },
          .sample =
              [](const EulerAncestralSampler&, const SamplerInput& in) {
                return sample_ddim(denoiser_of(in.f), in.x, in.z, in.levels, /*eta=*/1);
              },
      },
      SamplerRow<Dpm2Sampler>{
          .name = "dpm2",
          .description = "DPM-Solver-2: second order, two calls a step (Lu et al. 2022a)",
          .roles = {diffusion, flow_map},
          .steps = 18,
          .calls = 2,
          .sample = [](const Dpm2Sampler&,
                       const SamplerInput& in) { return sample_dpm2(denoiser_of(in.f), in.x, in.levels); },
      },
      SamplerRow<Dpmpp2mSampler>{
          .name = "dpmpp_2m",
          .description = "DPM-Solver++ 2M: second order, one call a step (Lu et al. 2022b)",
          .roles = {diffusion, flow_map},
          .steps = 18,
          .sample = [](const Dpmpp2mSampler&,
                       const SamplerInput& in) { return sample_dpmpp_2m(denoiser_of(in.f), in.x, in.levels); },
      },
  };
  return table;
}

void require_option(const SamplerOption& option, double value) {
  if (value == option.otherwise) return;  // infinity is none but a default
  require_within(option.name, value, option.low, option.high);
}

}  // namespace onestep
