#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "onestep/samplers.hpp"
#include "onestep/tensor/sampler.hpp"

namespace onestep {

/// A sampler with its levels resolved for a model.
struct SamplerPlan {
  std::string name;
  std::vector<double> levels;
  std::int64_t calls = 0;  ///< Of the network, a batch.
  std::int64_t draws = 1;  ///< Gaussians a sample: z(0) to begin with, and those that are added.
  /// From x at levels.front() to samples of x's shape, type and device.
  std::function<Tensor(const FlowMapFunction& f, const Tensor& x, const NoiseSource& z)> sample;
};

/// Throws Error (usage) on what breaks a rule of the sampler, and, unless `force`, on one that does not suit the
/// model's role. `info` must outlive the plan.
SamplerPlan plan_sampler(const Sampler& sampler, const ModelInfo& info, bool force);

}  // namespace onestep
