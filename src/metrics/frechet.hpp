#pragma once

#include <torch/types.h>

#include <functional>
#include <span>

#include "onestep/features.hpp"
#include "point_set.hpp"

namespace onestep {

/// Adds up numbers over several processes, in place.
using SumOver = std::function<void(std::span<double>)>;

/// A size that all processes which know it agree on; 0: that of one which does not.
std::int64_t common_size(std::int64_t size, const SumOver& sum);

/// Mean and covariance of points that come a few at a time, in double precision (Chan et al. 1983): memory does not
/// grow with their number.
class MomentSums {
 public:
  /// points: [n, D]; always of one D.
  void add(const torch::Tensor& points);

  /// Takes in the points of other processes. sum: adds up numbers over all of them, each of which calls this.
  void sum_over(const SumOver& sum);

  std::int64_t count() const { return count_; }
  std::int64_t dimensions() const { return count_ > 0 ? mean_.size(0) : 0; }
  /// Of two points or more.
  FeatureMoments moments() const;

 private:
  std::int64_t count_ = 0;
  torch::Tensor mean_, squares_;  // float64 [D]; [D, D], about the mean
};

FeatureMoments moments_of(const Part& part);

/// Frechet distance between Gaussians of these moments, squared as is usual: |mean_a - mean_b|^2 + tr(A + B - 2 (A
/// B)^(1/2)) (Heusel et al. 2017, Eq. 6). Of one number of dimensions; covariances may be singular.
double frechet_distance(const FeatureMoments& a, const FeatureMoments& b);

}  // namespace onestep
