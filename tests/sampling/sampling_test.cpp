// Where data is Gaussian N(mu, s^2), the denoiser and the consistency function are known exactly, and so is every
// sampler's right answer.

#include <gtest/gtest.h>

#include <cmath>

#include "noise.hpp"
#include "onestep/error.hpp"
#include "onestep/tensor/consistency.hpp"
#include "onestep/tensor/diffusion.hpp"
#include "onestep/tensor/flow_map.hpp"
#include "schedule.hpp"

namespace onestep {
namespace {

constexpr double mu = 0.3, s = 0.5, epsilon = 0.002, sigma_max = 80;

Tensor denoise(const Tensor& x, double sigma) { return (s * s * x + sigma * sigma * mu) / (s * s + sigma * sigma); }

// The point at level `to` of the trajectory through (x, from).
Tensor flow(const Tensor& x, double from, double to) {
  return mu + (x - mu) * std::sqrt((s * s + to * to) / (s * s + from * from));
}

Tensor consistency(const Tensor& x, double sigma) { return flow(x, sigma, epsilon); }

NoiseSource noise(std::vector<std::int64_t> shape, torch::Dtype dtype = torch::kFloat32) {
  return [shape, dtype](std::uint32_t draw) {
    Tensor z = torch::empty(shape);
    gaussian_noise(1, draw, {z.data_ptr<float>(), static_cast<std::size_t>(z.numel())});
    return z.to(dtype);
  };
}

/// Pure noise at the first level.
Tensor start(const NoiseSource& z, const std::vector<double>& levels) { return levels.front() * z(0); }

class InDimensions : public testing::TestWithParam<std::vector<std::int64_t>> {};

TEST_P(InDimensions, OneStepIsExact) {
  const auto z = noise(GetParam());
  const Tensor expected = consistency(sigma_max * z(0).to(torch::kFloat64), sigma_max);
  const Tensor sample = sample_consistency(consistency, sigma_max * z(0), z, {sigma_max}, epsilon);
  ASSERT_EQ(sample.sizes().vec(), GetParam());
  // Values of up to 3: float32 rounds them by 2e-7, a few times over.
  EXPECT_LT((sample - expected).abs().max().item<double>(), 1e-6);
}

// Element for element the same arithmetic as on a flat vector, whose accuracy the tests of order below measure.
TEST_P(InDimensions, HeunDoesNotSeeTheShape) {
  const auto levels = karras_levels(18, 0.002, sigma_max, 7);
  const auto z = noise(GetParam());
  const Tensor sample = sample_heun(denoise, start(z, levels), z, levels);
  ASSERT_EQ(sample.sizes().vec(), GetParam());
  const auto flat = noise({sample.numel()});
  EXPECT_TRUE(torch::equal(sample.flatten(), sample_heun(denoise, start(flat, levels), flat, levels)));
}

INSTANTIATE_TEST_SUITE_P(Sampling, InDimensions,
                         testing::Values(std::vector<std::int64_t>{2, 3, 50}, std::vector<std::int64_t>{2, 3, 8, 9},
                                         std::vector<std::int64_t>{2, 3, 4, 5, 6}));

// Each further step adds fresh noise, so that samples keep the data's mean and variance.
TEST(Consistency, KeepsMeanAndVarianceOverSteps) {
  const std::int64_t n = 1'000'000;
  const auto z = noise({n});
  const Tensor x = sample_consistency(consistency, sigma_max * z(0), z, {sigma_max, 2, 0.5}, epsilon);
  // Five standard errors, s / sqrt(n) each, and what one step from sigma_max leaves of the noise's zero mean,
  // mu * s / sigma_max = 0.0019, times what the later steps keep of it.
  EXPECT_NEAR(x.mean().item<double>(), mu, 0.0025 + 0.0019);
  EXPECT_NEAR(x.std().item<double>(), s, 0.002);  // five standard errors: s / sqrt(2 n) = 0.00035
}

double error(const std::function<Tensor(const Tensor& x, const std::vector<double>& levels)>& sampler, int steps) {
  const auto levels = karras_levels(steps, 0.002, sigma_max, 7);
  const Tensor x = sigma_max * noise({64}, torch::kFloat64)(0);
  return (sampler(x, levels) - flow(x, sigma_max, 0)).abs().max().item<double>();
}

// Twice the steps: an error that falls as h^p falls by 2^p. Measured between 128 and 256 steps, where higher orders
// still bend the slope by a tenth or so.
TEST(Euler, IsOfFirstOrder) {
  const auto run = [](const Tensor& x, const auto& levels) { return sample_euler(denoise, x, levels); };
  EXPECT_NEAR(std::log2(error(run, 128) / error(run, 256)), 1, 0.15);
}

TEST(Heun, IsOfSecondOrder) {
  const auto run = [](const Tensor& x, const auto& levels) { return sample_heun(denoise, x, {}, levels); };
  EXPECT_NEAR(std::log2(error(run, 128) / error(run, 256)), 2, 0.2);
}

TEST(Dpm2, IsOfSecondOrder) {
  const auto run = [](const Tensor& x, const auto& levels) { return sample_dpm2(denoise, x, levels); };
  EXPECT_NEAR(std::log2(error(run, 128) / error(run, 256)), 2, 0.2);
}

TEST(Dpmpp2m, IsOfSecondOrder) {
  const auto run = [](const Tensor& x, const auto& levels) { return sample_dpmpp_2m(denoise, x, levels); };
  EXPECT_NEAR(std::log2(error(run, 128) / error(run, 256)), 2, 0.2);
}

TEST(Ddim, WithoutFreshNoiseIsEuler) {
  const auto levels = karras_levels(18, 0.002, sigma_max, 7);
  const Tensor x = start(noise({64}, torch::kFloat64), levels);
  // The same step, once with sqrt(next^2) for next: a rounding in double.
  EXPECT_LT((sample_ddim(denoise, x, {}, levels) - sample_euler(denoise, x, levels)).abs().max().item<double>(), 1e-12);
}

TEST(Ddim, KeepsTheVarianceWithFreshNoise) {
  const std::int64_t n = 100'000;
  const auto z = noise({n});
  const auto levels = karras_levels(512, 0.002, sigma_max, 7);
  for (const double eta : {0.5, 1.0}) {
    const Tensor x = sample_ddim(denoise, start(z, levels), z, levels, eta);
    EXPECT_NEAR(x.mean().item<double>(), mu, 0.008);  // five standard errors
    EXPECT_NEAR(x.std().item<double>(), s, 0.011);    // as many, 0.006, and the bias, of first order: 0.005
  }
}

// What the flow map's contract asks for: an x0 for which the straight jump lands on the trajectory.
Tensor flow_map(const Tensor& x, double sigma, double target) {
  return (flow(x, sigma, target) - target / sigma * x) / (1 - target / sigma);
}

TEST(Gamma, WithoutFreshNoiseIsExactInAnyNumberOfSteps) {
  const auto z = noise({64}, torch::kFloat64);
  const Tensor expected = flow(sigma_max * z(0), sigma_max, 0);
  for (const std::vector<double>& levels : {std::vector<double>{80}, {80, 1}, {80, 5, 1, 0.1}}) {
    const std::vector<double> targets(levels.begin() + 1, levels.end());
    EXPECT_LT((sample_gamma(flow_map, start(z, levels), z, levels, targets) - expected).abs().max().item<double>(),
              1e-12);
  }
}

TEST(Gamma, KeepsMeanAndVarianceAtAnyGamma) {
  const std::int64_t n = 400'000;
  for (const double gamma : {0.3, 1.0}) {
    const std::vector<double> levels{80, 2, 0.5};
    const auto z = noise({n});
    const Tensor x = sample_gamma(flow_map, start(z, levels), z, levels, gamma_targets(levels, gamma));
    EXPECT_NEAR(x.mean().item<double>(), mu, 0.004 + 0.0019);  // five standard errors; see Consistency
    EXPECT_NEAR(x.std().item<double>(), s, 0.003);             // five standard errors
  }
}

TEST(Gamma, OfOneIsConsistencySampling) {
  const auto z = noise({64}, torch::kFloat64);
  const auto f = [](const Tensor& x, double sigma) { return flow_map(x, sigma, 0); };
  const Tensor expected = sample_consistency(f, 80 * z(0), z, {80, 2, 0.5}, 0);
  EXPECT_LT((sample_gamma(flow_map, 80 * z(0), z, {80, 2, 0.5}, {0, 0}) - expected).abs().max().item<double>(), 1e-12);
}

// Zheng et al. 2024: of a model with timesteps, the level of timestep (1 - gamma) t, rounded down.
TEST(Gamma, OfAModelWithTimestepsJumpsToATimestep) {
  ModelInfo info;
  info.noise_input = "timestep";
  info.timestep_sigmas = {0.1, 0.5, 1, 5, 20, 80};
  const std::vector<double> levels{80, 20, 1};  // timesteps 5, 4, 2
  EXPECT_EQ(gamma_targets(levels, 0, info), (std::vector<double>{20, 1}));
  EXPECT_EQ(gamma_targets(levels, 0.3, info), (std::vector<double>{1, 0.5}));  // 2.8 and 1.4
  EXPECT_EQ(gamma_targets(levels, 1, info), (std::vector<double>{0.1, 0.1}));
  // A level below the first timestep is no nearer to 0 than that: the jump ends there, without noise.
  EXPECT_EQ(gamma_targets({80, 0.05}, 0.3, info), std::vector<double>{0.05});
  info.noise_input = "log_sigma";  // a ModelInfo that fits no file
  EXPECT_EQ(gamma_targets(levels, 0, info), (std::vector<double>{20, 1}));
}

TEST(Gamma, RefusesTargetsThatAreNotOnTheWay) {
  const auto z = noise({1});
  EXPECT_THROW(sample_gamma(flow_map, 80 * z(0), z, {80, 2}, {3}), Error);
  EXPECT_THROW(sample_gamma(flow_map, 80 * z(0), z, {80, 2}, {-1}), Error);
  EXPECT_THROW(sample_gamma(flow_map, 80 * z(0), z, {80, 2}, {std::nan("")}), Error);
  EXPECT_THROW(sample_gamma(flow_map, 80 * z(0), z, {80, 2}, {}), Error);
}

TEST(Heun, KeepsTheVarianceUnderChurn) {
  const std::int64_t n = 200'000;
  const auto z = noise({n});
  const auto levels = karras_levels(64, 0.002, sigma_max, 7);
  const Tensor x = sample_heun(denoise, start(z, levels), z, levels, {.amount = 20});
  EXPECT_NEAR(x.mean().item<double>(), mu, 0.006);  // five standard errors
  EXPECT_NEAR(x.std().item<double>(), s, 0.01);     // five standard errors and the method's own bias
}

TEST(Levels, ThatDoNotFallAreRefusedByNameAndValue) {
  try {
    sample_consistency(consistency, torch::zeros({1}), noise({1}), {80, 90}, epsilon);
    FAIL() << "levels that rise were accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_STREQ(e.what(), "levels[1] = 90 must be below levels[0] = 80");
  }
}

TEST(Levels, MustBeFiniteAboveTheBoundaryAndNotEmpty) {
  for (const std::vector<double>& levels :
       {std::vector<double>{}, {std::nan("")}, {INFINITY}, {80, epsilon}, {80, 0}, {80, -1}}) {
    EXPECT_THROW(sample_consistency(consistency, torch::zeros({1}), noise({1}), levels, epsilon), Error);
  }
}

}  // namespace
}  // namespace onestep
