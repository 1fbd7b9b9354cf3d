#pragma once

#include <torch/types.h>

#include <array>

#include "frechet.hpp"
#include "kernel_distance.hpp"

namespace onestep {

/// What a classifier says of samples that come a few at a time.
class ClassScores {
 public:
  /// logits: [n, K]; always of one K.
  void add(const torch::Tensor& logits);

  /// Takes in what other processes know, as MomentSums does.
  void sum_over(const SumOver& sum);
  std::int64_t class_count() const { return class_count_; }  ///< K; 0: nothing is known.

  /// Inception score (Salimans et al. 2016): the exponential of the mean KL divergence of p(y | x) from p(y), the mean
  /// over ten parts, by place_of. Of one sample or more.
  Estimate inception_score() const;

 private:
  static constexpr std::int64_t parts = 10;
  struct PartSums {
    std::int64_t count = 0;
    torch::Tensor probabilities = {};  // float64 [K]
    double negative_entropy = 0;       // sum of p log p
  };
  std::int64_t count_ = 0, class_count_ = 0;
  std::array<PartSums, parts> sums_;
};

}  // namespace onestep
