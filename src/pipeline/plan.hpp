#pragma once

#include <cstdint>

#include "onestep/generator.hpp"
#include "sampler_plan.hpp"

namespace onestep {

/// What one batch of a request needs.
struct Plan : SamplerPlan {
  double guidance = 1;
  std::vector<std::int64_t> sample_shape, data_shape;  ///< Of one sample, at the sizes asked for.
};

/// Everything about a request that can be refused is refused here, before the first network call. Throws Error (usage).
/// `info` must outlive the plan.
Plan make_plan(const Request& request, const ModelInfo& info);

/// Replaces the plan's sampling by that of an edit, if one is asked for. Throws Error (usage).
void plan_edit(Plan& plan, const Edit& edit, const ModelInfo& info);

/// Network evaluations a sample: guidance without an input for it costs two a call.
std::int64_t nfe(const Plan& plan, const ModelInfo& info);

}  // namespace onestep
