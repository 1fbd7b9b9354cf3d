#include "distance.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "noise.hpp"

namespace onestep {
namespace {

/// Gaussian points with this mean and deviation in every dimension.
Points gaussian(int count, int dimensions, float mean, float deviation, std::uint64_t seed) {
  Points points(count, dimensions);
  gaussian_noise(seed, 0, {points.data(), static_cast<std::size_t>(points.size())});
  return (points.array() * deviation + mean).matrix();
}

TEST(FrechetDistance, OfASetToItselfIsZero) {
  const Points a = gaussian(500, 8, 0, 1, 1);
  EXPECT_NEAR(frechet_distance(a, a), 0, 1e-9);  // square roots of rounded eigenvalues
}

// For shifted and scaled copies of one set the formula is exact whatever the sample: d * shift^2 + tr(S) (scale - 1)^2.
TEST(FrechetDistance, OfAShiftedAndScaledCopyFollowsFromTheFormula) {
  const Points a = gaussian(400, 5, 0, 1, 2);
  const Points centred = a.rowwise() - a.colwise().mean();
  const double trace = centred.cast<double>().squaredNorm() / 399;
  const Points b = (centred.array() * 3 + 0.5F).matrix();
  EXPECT_NEAR(frechet_distance(centred, b), 5 * 0.25 + trace * 4, 1e-4);  // float32 points, distances of about 20
}

TEST(FrechetDistance, IsSymmetric) {
  const Points a = gaussian(300, 6, 0, 1, 3), b = gaussian(200, 6, 1, 2, 4);
  EXPECT_NEAR(frechet_distance(a, b), frechet_distance(b, a), 1e-8);  // double, in another order
}

// Between N(0, 1) and N(m, s^2) in every one of d dimensions, a direction sees a shift of m times the sum of its
// components, whose mean square is m^2, and a scale of s.
TEST(SlicedWasserstein, OfGaussiansFollowsFromTheirMoments) {
  const Points a = gaussian(20'000, 4, 0, 1, 5), b = gaussian(20'000, 4, 0.5F, 2, 6);
  // 20,000 samples: a direction's mean is known to 0.02 and its deviation to 0.015; 1024 directions average the square
  // of their components' sum to 4 %.
  EXPECT_NEAR(sliced_wasserstein(a, b, 1024), std::sqrt(0.25 + 1), 0.03);
}

TEST(SlicedWasserstein, OfASetToItselfIsZeroAndTheSizesMayDiffer) {
  const Points a = gaussian(1000, 3, 0, 1, 7);
  EXPECT_EQ(sliced_wasserstein(a, a), 0);
  const Points twice = a.replicate(2, 1);
  EXPECT_LT(sliced_wasserstein(a, twice), 0.03);  // quantiles of 1000 values, interpolated
}

}  // namespace
}  // namespace onestep
