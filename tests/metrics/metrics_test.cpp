#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <cmath>
#include <functional>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

#include "class_scores.hpp"
#include "frechet.hpp"
#include "kernel_distance.hpp"
#include "neighbours.hpp"
#include "noise.hpp"
#include "sliced_wasserstein.hpp"

namespace onestep {
namespace {

using torch::Tensor;

/// Gaussian points with this mean and deviation in every dimension.
Tensor gaussian(std::int64_t count, std::int64_t dimensions, double mean, double deviation, std::uint64_t seed) {
  Tensor points = torch::empty({count, dimensions});
  gaussian_noise(seed, 0, {points.data_ptr<float>(), static_cast<std::size_t>(points.numel())});
  return points * deviation + mean;
}

FeatureMoments moments(const Tensor& points) {
  MomentSums sums;
  sums.add(points);
  return sums.moments();
}

double frechet(const Tensor& a, const Tensor& b) { return frechet_distance(moments(a), moments(b)); }

/// A set with the numbers of all its points.
struct Whole {
  explicit Whole(const Tensor& points) : rows(static_cast<std::size_t>(points.size(0))) {
    set.append(points);
    std::iota(rows.begin(), rows.end(), 0);
  }
  operator Part() const { return {set, rows}; }  // NOLINT

  PointSet set;
  std::vector<std::int64_t> rows;
};

TEST(FrechetDistance, OfASetToItselfIsZero) {
  const Tensor a = gaussian(500, 8, 0, 1, 1);
  EXPECT_NEAR(frechet(a, a), 0, 1e-9);  // square roots of rounded eigenvalues
}

// For shifted and scaled copies of one set the formula is exact whatever the sample: d * shift^2 + tr(S) (scale - 1)^2.
TEST(FrechetDistance, OfAShiftedAndScaledCopyFollowsFromTheFormula) {
  const Tensor a = gaussian(400, 5, 0, 1, 2), centred = a - a.mean(0);
  const double trace = centred.to(torch::kFloat64).square().sum().item<double>() / 399;
  EXPECT_NEAR(frechet(centred, centred * 3 + 0.5), 5 * 0.25 + trace * 4,
              1e-4);  // float32 points, distances of about 20
}

TEST(FrechetDistance, IsSymmetric) {
  const Tensor a = gaussian(300, 6, 0, 1, 3), b = gaussian(200, 6, 1, 2, 4);
  EXPECT_NEAR(frechet(a, b), frechet(b, a), 1e-8);  // double, in another order
}

// Fewer points than dimensions, and deviations from 1e-6 to 1e3: the covariance has no inverse. Scaled by s, every
// set is (s - 1)^2 tr(S) from itself about the mean.
TEST(FrechetDistance, OfSingularCovariancesIsRightToRounding) {
  const Tensor a = gaussian(20, 40, 0, 1, 5) * torch::logspace(-6, 3, 40), centred = a - a.mean(0);
  const double trace = centred.to(torch::kFloat64).square().sum().item<double>() / 19;
  // float32 means of points of size 1000 are off by 1e-4, which is nothing beside a trace of a million.
  EXPECT_NEAR(frechet(centred, centred * 2) / trace, 1, 1e-6);
  // The product of two square roots loses half the digits of double precision.
  EXPECT_NEAR(frechet(a, a) / trace, 0, 1e-7);
}

TEST(MomentSums, OfPartsAreThoseOfTheWhole) {
  const Tensor a = gaussian(700, 7, 1000, 1, 6);
  MomentSums sums;
  for (const Tensor& part : a.split(137)) sums.add(part);
  EXPECT_EQ(sums.count(), 700);
  const FeatureMoments whole = moments(a), parts = sums.moments();
  for (std::size_t i = 0; i < 49; ++i) {
    // Sums of squares about the mean: a mean of 1000 takes no digits of a deviation of 1.
    EXPECT_NEAR(parts.covariance[i], whole.covariance[i], 1e-10);
    if (i < 7) {
      EXPECT_NEAR(parts.mean[i], whole.mean[i], 1e-9);
    }
  }
}

/// What two processes that each call `work` with a function that adds up their numbers do.
void in_two_processes(const std::function<void(int process, const SumOver& sum)>& work) {
  std::vector<double> total;
  std::barrier all(2);
  std::mutex mutex;
  const SumOver sum = [&](std::span<double> numbers) {
    {
      const std::lock_guard lock(mutex);
      total.resize(numbers.size());
      for (std::size_t i = 0; i < numbers.size(); ++i) total[i] += numbers[i];
    }
    all.arrive_and_wait();
    std::copy(total.begin(), total.end(), numbers.begin());
    all.arrive_and_wait();
    {
      const std::lock_guard lock(mutex);
      total.clear();
    }
    all.arrive_and_wait();
  };
  std::jthread other([&] { work(1, sum); });
  work(0, sum);
}

TEST(MomentSums, OfTwoProcessesAreThoseOfTheWhole) {
  const Tensor a = gaussian(700, 7, 1000, 1, 6);
  const FeatureMoments whole = moments(a);
  for (const std::int64_t first : {0, 1, 300}) {  // of which one may know of nothing
    std::array<MomentSums, 2> sums;
    in_two_processes([&](int process, const SumOver& sum) {
      sums[process].add(process == 0 ? a.narrow(0, 0, first) : a.narrow(0, first, 700 - first));
      sums[process].sum_over(sum);
    });
    for (const MomentSums& one : sums) {
      EXPECT_EQ(one.count(), 700);
      const FeatureMoments found = one.moments();
      for (std::size_t i = 0; i < 49; ++i) EXPECT_NEAR(found.covariance[i], whole.covariance[i], 1e-10);
      for (std::size_t i = 0; i < 7; ++i) EXPECT_NEAR(found.mean[i], whole.mean[i], 1e-9);
    }
  }
}

TEST(InceptionScore, OfTwoProcessesKnowsTheSamplesOfBoth) {
  std::array<ClassScores, 2> scores;
  in_two_processes([&](int process, const SumOver& sum) {
    // Each knows half of the classes.
    if (process == 0) scores[0].add(torch::eye(4).narrow(0, 0, 2).repeat({2000, 1}) * 1000);
    if (process == 1) scores[1].add(torch::eye(4).narrow(0, 2, 2).repeat({2000, 1}) * 1000);
    scores[process].sum_over(sum);
  });
  for (const ClassScores& one : scores) EXPECT_NEAR(one.inception_score().value, 4, 0.04);  // as below
}

TEST(PointSet, ThatIsLargerThanItsMemoryGivesWhatItWasGiven) {
  constexpr std::int64_t count = 20'000, dimensions = 2048;  // 164 MB
  PointSet set;
  const auto value = [](std::int64_t row) { return static_cast<float>(row % 8191); };
  for (std::int64_t row = 0; row < count; row += 500) {
    const Tensor numbers = torch::arange(row, row + 500, torch::kFloat32).remainder(8191);
    set.append(numbers.unsqueeze(1) + torch::arange(dimensions).unsqueeze(0) / 4096.0F);
  }
  EXPECT_EQ(set.count(), count);
  PointSet moved = std::move(set);
  const std::vector<std::int64_t> rows{19'999, 0, 17'000, 17'001, 17'002, 16'383, 16'384, 16'385, 3, 18'000};
  const Tensor found = moved.gather(rows);
  for (std::size_t k = 0; k < rows.size(); ++k) {
    EXPECT_EQ(found[k][0].item<double>(), value(rows[k])) << rows[k];
    EXPECT_EQ(found[k][2047].item<double>(), value(rows[k]) + 2047.0 / 4096) << rows[k];
  }
}

// Points that are all x on one side, all y on the other: k(x, x) + k(y, y) - 2 k(x, y).
TEST(KernelDistance, OfTwoPlacesFollowsFromTheKernel) {
  const Tensor x = torch::tensor({{1.0F, 2.0F}}).repeat({50, 1}), y = torch::tensor({{3.0F, -1.0F}}).repeat({40, 1});
  const auto kernel = [](double product) { return std::pow(product / 2 + 1, 3); };
  const Estimate found = kernel_distance(Whole(x), Whole(y));
  EXPECT_DOUBLE_EQ(found.value, kernel(5) + kernel(10) - 2 * kernel(1));
  EXPECT_EQ(found.standard_error, 0);
}

TEST(KernelDistance, OfSetsOfOneDistributionIsZeroWithinItsError) {
  double worst = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Estimate found =
        kernel_distance(Whole(gaussian(500, 6, 0, 1, 100 + seed)), Whole(gaussian(600, 6, 0, 1, 200 + seed)));
    EXPECT_GT(found.standard_error, 0);
    worst = std::max(worst, std::abs(found.value) / found.standard_error);
  }
  // A mean of ten: t-distributed with 9 degrees of freedom, beyond 5 once in 1400, and this is the largest of 20.
  EXPECT_LT(worst, 5);
}

TEST(KernelDistance, TakesAsFewAsTwoPoints) {
  const Estimate found = kernel_distance(Whole(gaussian(2, 3, 0, 1, 1)), Whole(gaussian(2, 3, 0, 1, 1)));
  EXPECT_TRUE(std::isfinite(found.value));
  EXPECT_EQ(found.standard_error, 0);  // of one block nothing is known
}

// A reference on a line, 0 to 9: the ball of k = 3 about an inner point reaches 2 units, to the ends of its two sides.
TEST(Neighbourhood, OnALineIsCounted) {
  const Tensor line = torch::arange(10, torch::kFloat32).unsqueeze(1);
  const Tensor samples = torch::tensor({4.5F, 4.6F, 11.0F, 12.1F, 30.0F}).unsqueeze(1);
  const Neighbourhood found = neighbourhood(Whole(samples), Whole(line), {.precision = 3, .density = 2});
  // The ball about 9 reaches to 6: 12 lies on its surface, 12.1 outside.
  EXPECT_DOUBLE_EQ(found.precision, 3.0 / 5);
  // The third neighbours of the samples are 7.6, 7.5, 6.5, 7.6 and 25.4 away: all of the line.
  EXPECT_DOUBLE_EQ(found.recall, 1);
  // With k = 2 a ball about an inner point has the radius 1, about an end 2, and its surface is outside: 4.5 and 4.6
  // lie about 4 and 5, and 11 on the surface about 9.
  EXPECT_DOUBLE_EQ(found.density, 4.0 / (2 * 5));
  EXPECT_DOUBLE_EQ(found.coverage, 2.0 / 10);
  EXPECT_EQ(found.nearest, (std::vector<std::int64_t>{4, 5, 9, 9, 9}));
  EXPECT_NEAR(found.distance[1], 0.4, 1e-6);  // float32's 4.6
  EXPECT_NEAR(found.distance[4], 21, 1e-9);
}

TEST(Neighbourhood, OfASetToItselfIsWhole) {
  const Tensor a = gaussian(1500, 16, 3, 1, 7);  // more than a block
  const Neighbourhood found = neighbourhood(Whole(a), Whole(a), {});
  EXPECT_EQ(found.precision, 1);
  EXPECT_EQ(found.recall, 1);
  EXPECT_EQ(found.density, 1);  // itself and four nearer than the fifth
  EXPECT_EQ(found.coverage, 1);
  for (std::size_t i = 0; i < 1500; ++i) {
    ASSERT_EQ(found.nearest[i], static_cast<std::int64_t>(i));
    ASSERT_EQ(found.distance[i], 0);
  }
}

TEST(Neighbourhood, OfFarAndOfHalfTheModesIsNothingAndHalf) {
  const Tensor x = gaussian(300, 8, 0, 1, 8), both = torch::cat({x, x + 1000});
  const Neighbourhood far = neighbourhood(Whole(x), Whole(x + 1000), {});
  EXPECT_EQ(far.precision + far.recall + far.density + far.coverage, 0);
  const Neighbourhood half = neighbourhood(Whole(x), Whole(both), {});
  EXPECT_EQ(half.precision, 1);
  EXPECT_EQ(half.recall, 0.5);
  EXPECT_EQ(half.coverage, 0.5);
}

// Of k classes that are known for sure, each as often, the score is k; of none known, 1. In turn or one after the
// other.
TEST(InceptionScore, CountsWhatIsToldApart) {
  ClassScores sure, none;
  sure.add(torch::eye(4).repeat({1000, 1}) * 1000);
  ClassScores sorted;
  sorted.add(torch::eye(4).repeat_interleave(1000, 0) * 1000);
  none.add(torch::zeros({37, 4}));
  // A part of 400 has 100 of a class, give or take 9: that takes 3 / 800 from the entropy.
  EXPECT_NEAR(sure.inception_score().value, 4, 0.04);
  EXPECT_NEAR(sorted.inception_score().value, 4, 0.04);
  EXPECT_LT(sure.inception_score().standard_error, 0.01);
  EXPECT_NEAR(none.inception_score().value, 1, 1e-12);
}

// Between N(0, 1) and N(m, s^2) in every one of d dimensions, a direction sees a shift of m times the sum of its
// components, whose mean square is m^2, and a scale of s.
TEST(SlicedWasserstein, OfGaussiansFollowsFromTheirMoments) {
  const Tensor a = gaussian(20'000, 4, 0, 1, 5), b = gaussian(20'000, 4, 0.5, 2, 6);
  // 20,000 samples: a direction's mean is known to 0.02 and its deviation to 0.015; 1024 directions average the square
  // of their components' sum to 4 %.
  EXPECT_NEAR(sliced_wasserstein(a, b, 1024), std::sqrt(0.25 + 1), 0.03);
}

TEST(SlicedWasserstein, OfASetToItselfIsZeroAndTheSizesMayDiffer) {
  const Tensor a = gaussian(1000, 3, 0, 1, 7);
  EXPECT_EQ(sliced_wasserstein(a, a), 0);
  EXPECT_LT(sliced_wasserstein(a, a.repeat({2, 1})), 0.03);  // quantiles of 1000 values, interpolated
}

}  // namespace
}  // namespace onestep
