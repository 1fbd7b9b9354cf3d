#pragma once

#include <functional>

#include "point_set.hpp"

namespace onestep {

/// A mean over parts of a set, and how uncertain it is.
struct Estimate {
  double value = 0, standard_error = 0;  ///< The deviation between the parts by the root of their number; of one, 0.
};

Estimate estimate(const std::vector<double>& of_parts);

/// Where sample i stands when a set is parted, in [0, 1): a hash of i (SplitMix64, Steele et al. 2014). A set's order,
/// such as labels in turn or one after the other, does a part no harm; an even spread would, for points of a block
/// would be less alike than chance has it.
double place_of(std::int64_t i);

/// Kernel distance (KID, Binkowski et al. 2018): the unbiased estimate of the squared maximum mean discrepancy with the
/// kernel (x.y / D + 1)^3, the mean over blocks: each set in the order of place_of, cut into equal pieces. There is a
/// block for each 1000 points of the smaller set, but ten of them where they have two points. Each part: two points or
/// more. between: called between two blocks; may throw.
Estimate kernel_distance(const Part& a, const Part& b, const std::function<void()>& between = {});

}  // namespace onestep
