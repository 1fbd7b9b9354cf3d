#pragma once

#include <functional>
#include <vector>

#include "onestep/tensor/sampler.hpp"

namespace onestep {

/// What is known of a sample [N, ...]: some of its coordinates in an orthonormal basis A.
struct Observation {
  std::function<Tensor(const Tensor& x)> to_basis;    ///< A: [N, ...] to coordinates [N, ...], of any shape.
  std::function<Tensor(const Tensor& u)> from_basis;  ///< Its inverse, which is its transpose.
  Tensor mask;   ///< Omega: 1 where a coordinate is known, 0 elsewhere; broadcast over coordinates.
  Tensor known;  ///< y: the known coordinates; what stands where the mask is 0 is not looked at.

  /// x with its known coordinates put back: A^-1 (Omega * y + (1 - Omega) * A x). Throws Error (usage) where the parts
  /// do not fit x or each other.
  Tensor put_back(const Tensor& x) const;
};

// Observations. All throw Error (usage) on an argument that breaks a rule.

/// Some values are known: those of `x` [N, ...] where `mask`, broadcast to it, is 1. Any number of dimensions: the gap
/// in a sound, the missing frames of a clip.
Observation observe_values(const Tensor& x, const Tensor& mask);

/// The luma of colours is known, their chroma is not. luma: [N, 1, ...], weights .299, .587, .114 of red, green, blue
/// (ITU-R BT.601). Samples [N, 3, ...].
Observation observe_luma(const Tensor& luma);

/// The largest factor of observe_block_means: its basis has factor^4 values.
inline constexpr int largest_block = 64;

/// The mean of every square of factor x factor pixels is known. means: [N, C, H, W]; samples [N, C, factor H, factor
/// W], factor in [2, largest_block].
Observation observe_block_means(const Tensor& means, int factor);

/// Editing by sampling under a linear constraint (Song et al. 2023, Algorithm 4): consistency sampling that starts from
/// the observation with its unknown part zero, and puts the known part back after every network call. x [N, ...]: pure
/// noise at levels.front(). z, levels, epsilon: as of sample_consistency. The known part of the result is that of the
/// observation.
Tensor sample_edit(const DenoiserFunction& f, Tensor x, const NoiseSource& z, const std::vector<double>& levels,
                   double epsilon, const Observation& observation);

}  // namespace onestep
