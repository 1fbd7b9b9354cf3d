#pragma once

#include "onestep/generator.hpp"
#include "onestep/tensor/denoiser.hpp"
#include "onestep/tensor/model.hpp"

namespace onestep {

/// The samples that are drawn together.
struct Rows {
  std::vector<std::uint64_t> seeds;
  std::vector<std::int64_t> labels;  ///< One a seed; empty for a model without labels.
  std::size_t first = 0;             ///< The place of seeds[0] in the request.
};

/// Throws Error (usage) on a condition that the model has not, lacks, or that breaks its rule.
void require_conditions(const Request& request, const ModelInfo& info);

/// `count` seeds of the request from `first` on, with their labels.
Rows rows_of(const Request& request, const ModelInfo& info, std::size_t first, std::size_t count);

/// What the rows are asked to show; texts go through the model's text encoder.
Condition condition_of(const Model& model, const Request& request, const Rows& rows, double guidance);

}  // namespace onestep
