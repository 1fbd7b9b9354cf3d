#include "noise.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace onestep {
namespace {

using Counter = std::array<std::uint32_t, 4>;

// Salmon et al. 2011: the known-answer vectors of Random123, kat_vectors, philox4x32 10.
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(GaussianNoise, DoesNotDependOnHowMuchIsAskedFor) {
  std::vector<float> all(1001), part(7);
  gaussian_noise(42, 3, all);
  gaussian_noise(42, 3, part);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin()));
}

TEST(GaussianNoise, UsesBothHalvesOfTheSeedAndTheDraw) {
  std::vector<float> a(4), b(4), c(4), d(4);
  gaussian_noise(1, 0, a);
  gaussian_noise(1 + (std::uint64_t{1} << 32), 0, b);
  gaussian_noise(1, 1, c);
  gaussian_noise(2, 0, d);
  EXPECT_NE(a, b);
  EXPECT_NE(a, c);
  EXPECT_NE(a, d);
}

// 10^7 draws from 10^4 seeds. The bounds are five standard errors: of a mean 1/sqrt(n), of a variance sqrt(2/n), of a
// fourth moment sqrt(96/n); the noise is fixed, so the test gives the same answer every time.
TEST(GaussianNoise, IsGaussian) {
  constexpr std::size_t seeds = 10'000, each = 1'000, n = seeds * each;
  std::vector<float> z(n);
  for (std::size_t seed = 0; seed < seeds; ++seed) {
    gaussian_noise(seed, 0, std::span(z).subspan(seed * each, each));
  }
  double first = 0, second = 0, fourth = 0, neighbours = 0, across_seeds = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double square = double{z[i]} * z[i];
    first += z[i];
    second += square;
    fourth += square * square;
    if (i + 1 < n) neighbours += double{z[i]} * z[i + 1];
    if (i + each < n) across_seeds += double{z[i]} * z[i + each];
  }
  const double error = 5 / std::sqrt(double{n});
  EXPECT_NEAR(first / n, 0, error);
  EXPECT_NEAR(second / n, 1, error * std::sqrt(2.0));
  EXPECT_NEAR(fourth / n, 3, error * std::sqrt(96.0));
  EXPECT_NEAR(neighbours / n, 0, error);
  EXPECT_NEAR(across_seeds / n, 0, error);

  // Kolmogorov-Smirnov: sqrt(n) times the largest distance exceeds 1.95 once in 1,000 times.
  std::sort(z.begin(), z.end());
  double distance = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double cdf = std::erfc(-z[i] / std::sqrt(2.0)) / 2;
    distance = std::max({distance, cdf - double(i) / n, double(i + 1) / n - cdf});
  }
  EXPECT_LT(distance * std::sqrt(double{n}), 1.95);
}

TEST(GaussianNoise, IsUncorrelatedAcrossDraws) {
  constexpr std::size_t n = 1'000'000;
  std::vector<float> a(n), b(n);
  gaussian_noise(7, 0, a);
  gaussian_noise(7, 1, b);
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += double{a[i]} * b[i];
  EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(double{n}));  // five standard errors
}

TEST(PlaneNoise, BelongsToItsPlaceHoweverItIsCut) {
  std::vector<float> all(100), part(7);
  plane_noise(42, 3, -50, -9, all);
  for (const std::int64_t x : {-50, -47, -4, -1, 0, 1, 43}) {
    plane_noise(42, 3, x, -9, part);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin() + x + 50)) << x;
  }
}

TEST(PlaneNoise, UsesSeedLayerAndBothCoordinates) {
  const auto z = [](std::uint64_t seed, std::uint32_t layer, std::int64_t x, std::int64_t y) {
    std::vector<float> values(4);
    plane_noise(seed, layer, x, y, values);
    return values;
  };
  const std::vector<std::vector<float>> all{z(1, 0, 0, 0),  z(2, 0, 0, 0), z(1 + (std::uint64_t{1} << 32), 0, 0, 0),
                                            z(1, 1, 0, 0),  z(1, 0, 4, 0), z(1, 0, 0, 1),
                                            z(1, 0, -4, 0), z(1, 0, 0, -1)};
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(all[i], all[j]) << i << " " << j;
  }
  // Of the sample's noise it is independent: another stream.
  std::vector<float> sample(4);
  gaussian_noise(1, 0, sample);
  EXPECT_NE(all[0], sample);
}

TEST(PlaneNoise, BeginsAnewAfterTheLastCoordinate) {
  std::vector<float> across(8), first(4);
  const std::int64_t end = std::int64_t{1} << 31;
  plane_noise(1, 0, end - 4, end, across);
  plane_noise(1, 0, -end, -end, first);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), across.begin() + 4));
}

TEST(RandomLabel, CoversAllLabelsEvenly) {
  std::vector<int> counts(10);
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) ++counts.at(random_label(seed, 10));
  for (const int count : counts) EXPECT_NEAR(count, 1'000, 5 * 30);  // five standard deviations: sqrt(10^4 * 0.09) = 30
}

}  // namespace
}  // namespace onestep
