#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "onestep/generator.hpp"
#include "onestep/tensor/sampler.hpp"

namespace onestep {

/// A sampler with its levels settled: what one batch needs.
struct Plan {
  std::string name;
  std::vector<double> levels;
  std::int64_t calls = 0;  ///< Of the network, a batch.
  std::int64_t draws = 1;  ///< Gaussians a sample.
  double guidance = 1;
  std::function<Tensor(const FlowMapFunction&, const NoiseSource&)> sample;
};

/// Everything about a request that can be refused is refused here, before the first network call. Throws Error (usage).
Plan make_plan(const Request& request, const ModelInfo& info);

/// Replaces the plan's sampling by that of an edit, if one is asked for. Throws Error (usage).
void plan_edit(Plan& plan, const Edit& edit, const ModelInfo& info);

/// Network evaluations a sample: guidance without an input for it costs two a call.
std::int64_t nfe(const Plan& plan, const ModelInfo& info);

}  // namespace onestep
