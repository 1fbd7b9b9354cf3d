#pragma once

#include "program.hpp"
#include "trace.hpp"

namespace onestep::engine {

/// A tensor argument or result of an operation that libtorch runs.
struct TorchTensor {
  ValueId value = 0;
  torch::Tensor constant = {};  ///< Or:
  View view = {};
  bool is_condition = false;  ///< The view is of the sample's conditions.
};

/// An operation that nothing here knows, run by libtorch for each sample alone.
std::unique_ptr<Step> torch_call_step(const Operation& operation, std::vector<TorchTensor> inputs,
                                      std::vector<TorchTensor> results);

}  // namespace onestep::engine
