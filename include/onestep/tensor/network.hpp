#pragma once

#include <torch/torch.h>

namespace onestep {

/// The raw network, F(c_in x, c_noise, label): what a back end has to provide.
class Network {
 public:
  virtual ~Network() = default;

  /// x: float32 [N, ...]; noise: float32 [N], c_noise; label: int64 [N], or undefined for an unconditional model.
  /// Returns float32 of x's shape.
  virtual torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& noise, const torch::Tensor& label) = 0;
};

}  // namespace onestep
