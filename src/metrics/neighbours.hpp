#pragma once

#include <functional>
#include <vector>

#include "point_set.hpp"

namespace onestep {

/// What distances to neighbours say of samples and a reference set.
struct Neighbourhood {
  /// Kynkäänniemi et al. 2019, Eq. 1 and 2: the share of samples in a ball about some reference point that reaches to
  /// its k-th neighbour, and the same with the sets exchanged.
  double precision = 0, recall = 0;
  /// Naeem et al. 2020, Eq. 3 and 4: balls about reference points that a sample lies in, by k; and the share of balls
  /// in which a sample lies.
  double density = 0, coverage = 0;
  std::vector<std::int64_t> nearest;  ///< Of each sample: its place among the reference points,
  std::vector<double> distance;       ///< and how far it is.
};

/// How many-th neighbour a ball reaches to, of precision and recall, and of density and coverage. Each >= 1.
struct BallSizes {
  int precision = 3, density = 5;
};

/// Sets of more points than those of `sizes`. A point on a ball's surface is inside for precision and recall, outside
/// for density and coverage, as the papers have it. between: called between two blocks of distances; may throw.
Neighbourhood neighbourhood(const Part& samples, const Part& reference, BallSizes sizes,
                            const std::function<void()>& between = {});

/// How often `between` is called.
std::int64_t blocks_of_neighbourhood(std::int64_t samples, std::int64_t reference);

}  // namespace onestep
