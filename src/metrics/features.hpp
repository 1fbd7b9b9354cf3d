#pragma once

#include <torch/types.h>

#include <memory>
#include <string>

#include "onestep/features.hpp"

namespace onestep {

/// Samples as points.
struct Features {
  torch::Tensor points;       ///< float32 [N, D].
  torch::Tensor logits = {};  ///< float32 [N, K] of a network that classifies; else undefined.
};

/// A feature network, or the values as they are.
class FeatureNetwork {
 public:
  /// Throws Error (file) where the network can't be loaded.
  explicit FeatureNetwork(FeatureOptions options);
  ~FeatureNetwork();

  /// samples: float32 [N, ...], of the range that the network takes; pictures get its size and channels. Throws Error
  /// (file) where the network fails or returns another shape, Error (numerical) for NaN or infinity.
  Features of(const torch::Tensor& samples) const;

 private:
  struct Module;
  Features of_a_batch(const torch::Tensor& samples) const;
  [[noreturn]] void fail(const std::string& what) const;

  FeatureOptions options_;
  std::unique_ptr<Module> module_;
};

}  // namespace onestep
