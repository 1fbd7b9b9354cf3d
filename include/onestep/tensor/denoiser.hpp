#pragma once

#include "onestep/model_info.hpp"
#include "onestep/tensor/network.hpp"

namespace onestep {

/// network + preconditioning: (x [N, ...], sigma) -> denoised sample. For a consistency model, the trajectory's start;
/// for a diffusion model, the mean of the clean data.
class Denoiser {
 public:
  /// label: int64 [N], or undefined for an unconditional model. The network must outlive the denoiser.
  Denoiser(Network& network, const ModelInfo& info, torch::Tensor label)
      : network_(network), info_(info), label_(std::move(label)) {}

  torch::Tensor operator()(const torch::Tensor& x, double sigma) const;

 private:
  Network& network_;
  const ModelInfo& info_;
  torch::Tensor label_;
};

}  // namespace onestep
