#pragma once

#include <map>
#include <string>

#include "onestep/model_info.hpp"
#include "onestep/tensor/network.hpp"

namespace onestep {

/// What a sample is asked to show.
struct Condition {
  torch::Tensor label = {};  ///< int64 [N], on the CPU, or undefined for a model without labels.
  /// The guidance scale. A model with a guidance input is given it; any other is called with and without its label, in
  /// one batch, unless it is 1: F = F(null) + guidance * (F(label) - F(null)) (Ho & Salimans 2022).
  double guidance = 1;
  /// The other conditions by their names, rows of the kind that the model says: [N, ...], on the CPU; of tokens, what
  /// the text encoder makes of them, and their mask, bool [N, L], under `NAME_mask`. A scalar that is not here has its
  /// default.
  std::map<std::string, torch::Tensor> others = {};
  /// Where guidance takes two calls: in place of those of `others`, for the call without. Scalars stay as they are.
  std::map<std::string, torch::Tensor> null_others = {};
};

/// What the model's network takes and gives: x [N, ...], noise [N], target [N] of a flow map, and the conditions.
Signature denoiser_signature(const ModelInfo& info);

/// For trials: `count` labels in turn, 0, 1, ..., and the guidance that the model recommends.
Condition trial_condition(const ModelInfo& info, std::int64_t count);

/// network + preconditioning: (x [N, ...], sigma) -> denoised sample. For a consistency model, the trajectory's start;
/// for a diffusion model, the mean of the clean data; for a flow map, where the jump to `target` points.
class Denoiser {
 public:
  /// The network and info must outlive the denoiser. Throws Error (usage) on a label that is missing, out of range or
  /// of another type, and on a guidance that the model can't follow.
  Denoiser(Network& network, const ModelInfo& info, const Condition& condition);

  /// x: float32 [N, ...]; sigma, target: finite, 0 or more. Throws Error: usage where an argument breaks these rules or
  /// the signature; model where the network fails.
  torch::Tensor operator()(const torch::Tensor& x, double sigma) const { return (*this)(x, sigma, sigma); }
  torch::Tensor operator()(const torch::Tensor& x, double sigma, double target) const;  ///< As above, of a flow map.

 private:
  Network& network_;
  const ModelInfo& info_;
  Condition condition_;
};

/// The network's arguments at one noise level; condition.label may hold null labels.
NetworkInput network_input(const ModelInfo& info, const torch::Tensor& x, double sigma, double target,
                           const Condition& condition);

/// Guided by two calls rather than by an input of the network.
bool calls_twice(const ModelInfo& info, double guidance);

}  // namespace onestep
