#pragma once

#include "run/step.hpp"
#include "trace/trace.hpp"

namespace onestep::engine {

/// A tensor argument or result of operations that libtorch runs.
struct TorchTensor {
  ValueId value = 0;
  torch::Tensor constant = {};  ///< Or:
  View view = {};
  bool is_condition = false;  ///< The view is of the sample's conditions, which are float32 there.
  torch::ScalarType type = torch::kFloat32;
};

/// Operations that nothing here knows, run by libtorch one after the other, for each sample alone.
std::unique_ptr<Step> torch_call_step(std::vector<Operation> operations, std::vector<TorchTensor> inputs,
                                      std::vector<TorchTensor> results);

}  // namespace onestep::engine
