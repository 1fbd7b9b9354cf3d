#pragma once

#include <torch/types.h>

#include "onestep/features.hpp"
#include "point_set.hpp"

namespace onestep {

/// Mean and covariance of points that come a few at a time, in double precision (Chan et al. 1983): memory does not
/// grow with their number.
class MomentSums {
 public:
  /// points: [n, D]; always of one D.
  void add(const torch::Tensor& points);

  std::int64_t count() const { return count_; }
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
