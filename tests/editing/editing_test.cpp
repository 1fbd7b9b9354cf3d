#include "onestep/tensor/editing.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "noise.hpp"
#include "onestep/error.hpp"

namespace onestep {
namespace {

constexpr double mu = 0.3, s = 0.5, epsilon = 0.002;

/// Independent values N(mu, s^2): their consistency function.
Tensor f(const Tensor& x, double sigma) {
  return mu + (x - mu) * std::sqrt((s * s + epsilon * epsilon) / (s * s + sigma * sigma));
}

Tensor gaussians(std::vector<std::int64_t> shape, std::uint32_t draw = 0) {
  Tensor z = torch::empty(shape);
  gaussian_noise(3, draw, {z.data_ptr<float>(), static_cast<std::size_t>(z.numel())});
  return z;
}

NoiseSource noise(std::vector<std::int64_t> shape) {
  return [shape](std::uint32_t draw) { return gaussians(shape, draw); };
}

double largest(const Tensor& x) { return x.abs().max().item<double>(); }

struct Task {
  std::string name;
  std::vector<std::int64_t> shape;
  Observation observation;
};

std::vector<Task> tasks() {
  const auto half = [](std::int64_t size) { return (torch::arange(size) < size / 2).to(torch::kFloat32); };
  return {
      {"picture", {3, 2, 6, 8}, observe_values(gaussians({3, 2, 6, 8}, 9), half(8))},
      {"sound", {3, 1, 50}, observe_values(gaussians({3, 1, 50}, 9), half(50))},
      {"clip", {2, 1, 4, 3, 5}, observe_values(gaussians({2, 1, 4, 3, 5}, 9), half(4).reshape({4, 1, 1}))},
      {"colours", {2, 3, 5, 7}, observe_luma(gaussians({2, 1, 5, 7}, 9))},
      {"blocks of 2", {2, 3, 6, 4}, observe_block_means(gaussians({2, 3, 3, 2}, 9), 2)},
      {"blocks of 5", {1, 1, 10, 15}, observe_block_means(gaussians({1, 1, 2, 3}, 9), 5)},
  };
}

// 2e-6: float32 sums of up to 25 products of about 1.
TEST(Observation, ItsBasisIsOrthonormal) {
  for (const Task& task : tasks()) {
    const Tensor x = gaussians(task.shape), y = gaussians(task.shape, 1);
    const Tensor u = task.observation.to_basis(x);
    EXPECT_LT(largest(task.observation.from_basis(u) - x), 2e-6) << task.name;
    const double before = (x * y).mean().item<double>();
    EXPECT_NEAR((u * task.observation.to_basis(y)).mean().item<double>(), before, 2e-6) << task.name;
  }
}

TEST(Observation, IsWhatItsNameSays) {
  const Tensor x = gaussians({2, 3, 6, 4});
  const Tensor luma = 0.299 * x.select(1, 0) + 0.587 * x.select(1, 1) + 0.114 * x.select(1, 2);
  EXPECT_LT(largest(observe_luma(luma.unsqueeze(1)).put_back(x) - x), 2e-6);  // nothing new is known
  EXPECT_LT(largest(observe_block_means(torch::avg_pool2d(x, 2), 2).put_back(x) - x), 2e-6);
}

TEST(Edit, KeepsWhatIsKnown) {
  for (const Task& task : tasks()) {
    const Tensor x =
        sample_edit(f, 80 * gaussians(task.shape), noise(task.shape), {80, 5, 1}, epsilon, task.observation);
    ASSERT_EQ(x.sizes().vec(), task.shape) << task.name;
    const Tensor wrong = (task.observation.to_basis(x) - task.observation.known) * task.observation.mask;
    EXPECT_LT(largest(wrong), 2e-6) << task.name;  // back and forth in the basis, as above
  }
}

// Of independent values the unknown ones are drawn as if nothing were known: the conditional mean and variance.
TEST(Edit, DrawsTheUnknownPartFromItsConditionalDistribution) {
  const std::vector<std::int64_t> shape{1, 1, 400'000};
  const Tensor mask = (torch::arange(400'000) % 2).to(torch::kFloat32);
  const Tensor x = sample_edit(f, 80 * gaussians(shape), noise(shape), {80, 2, 0.5}, epsilon,
                               observe_values(torch::ones(shape), mask));
  const Tensor unknown = x.masked_select(mask == 0);
  // Five standard errors of 200,000 values, and the 0.0019 of the noise's zero mean that one step from 80 leaves.
  EXPECT_NEAR(unknown.mean().item<double>(), mu, 0.0056 + 0.0019);
  EXPECT_NEAR(unknown.std().item<double>(), s, 0.004);
}

TEST(Edit, WithNothingKnownDrawsAsConsistencySampling) {
  const std::vector<std::int64_t> shape{2, 1, 9};
  const Observation nothing = observe_values(torch::full(shape, NAN), torch::zeros({9}));
  const Tensor x = sample_edit(f, 80 * gaussians(shape), noise(shape), {80}, epsilon, nothing);
  EXPECT_TRUE(torch::equal(x, f(80 * gaussians(shape), 80)));
}

TEST(Edit, RefusesWhatBreaksARule) {
  const auto known = observe_values(torch::ones({1, 1, 4}), torch::ones({4}));
  EXPECT_THROW(sample_edit(f, torch::zeros({1, 1, 4}), noise({1, 1, 4}), {1, 80}, epsilon, known), Error);
  EXPECT_THROW(sample_edit(f, torch::zeros({1, 1, 4}), noise({1, 1, 4}), {}, epsilon, known), Error);
  EXPECT_THROW(observe_luma(torch::ones({1, 3, 4, 4})), Error);
  EXPECT_THROW(observe_block_means(torch::ones({1, 1, 4, 4}), 1), Error);
  EXPECT_THROW(observe_block_means(torch::ones({1, 4, 4}), 2), Error);
}

void expect_refused(const std::string& beginning, const std::function<void()>& work) {
  try {
    work();
    ADD_FAILURE() << beginning << "...: no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    EXPECT_EQ(std::string(error.what()).substr(0, beginning.size()), beginning);
  }
}

TEST(Observation, OfWhatIsNoBatchIsRefused) {
  for (const Tensor& wrong :
       {Tensor(), torch::ones({}), torch::ones({0, 1, 4, 4}), torch::ones({1, 1, 4, 4}, torch::kInt)}) {
    expect_refused("x ", [&] { observe_values(wrong, torch::ones({1})); });
    expect_refused("luma ", [&] { observe_luma(wrong); });
    expect_refused("means ", [&] { observe_block_means(wrong, 2); });
  }
  expect_refused("mask is undefined", [] { observe_values(torch::ones({1, 1, 4}), {}); });
  for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{3}, {2, 1, 1, 4}, {2, 1, 4}}) {
    expect_refused("mask has shape", [&] { observe_values(torch::ones({1, 1, 4}), torch::ones(shape)); });
  }
  for (const int factor : {-2, 0, 1, 65, 1 << 30}) {
    expect_refused("factor = ", [&] { observe_block_means(torch::ones({1, 1, 4, 4}), factor); });
  }
}

TEST(Observation, OfOtherSamplesThanItsOwnIsRefused) {
  const Observation means = observe_block_means(torch::ones({2, 1, 3, 3}), 2);
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{2, 1, 5, 6}, {1, 1, 6, 6}, {2, 3, 6, 6}, {2, 36}}) {
    expect_refused("x has shape", [&] { means.put_back(torch::ones(shape)); });
  }
  const Observation luma = observe_luma(torch::ones({2, 1, 4}));
  expect_refused("x has shape", [&] { luma.put_back(torch::ones({2, 1, 4})); });
  expect_refused("what is known by an observation has shape", [&] { luma.put_back(torch::ones({3, 3, 4})); });
  expect_refused("x is undefined", [&] { luma.put_back({}); });
  expect_refused("the mask of an observation has shape", [] {
    observe_values(torch::ones({1, 1, 4}), torch::ones({4})).put_back(torch::ones({1, 1, 5}));
  });
}

TEST(Observation, WhosePartsAreMissingOrDoNotFitIsRefused) {
  const Tensor x = torch::ones({1, 1, 4});
  const Observation whole = observe_values(x, torch::ones({4}));
  const auto spoiled = [&](const std::string& beginning, const std::function<void(Observation&)>& spoil) {
    Observation observation = whole;
    spoil(observation);
    expect_refused(beginning, [&] { observation.put_back(x); });
    expect_refused(beginning, [&] { sample_edit(f, x, noise({1, 1, 4}), {80, 1}, epsilon, observation); });
  };
  spoiled("to_basis and from_basis", [](Observation& o) { o.to_basis = nullptr; });
  spoiled("to_basis and from_basis", [](Observation& o) { o.from_basis = nullptr; });
  spoiled("the mask of an observation is undefined", [](Observation& o) { o.mask = Tensor(); });
  spoiled("what is known by an observation is undefined", [](Observation& o) { o.known = Tensor(); });
  spoiled("the result of to_basis is undefined",
          [](Observation& o) { o.to_basis = [](const Tensor&) { return Tensor(); }; });
  spoiled("the result of from_basis has shape",
          [](Observation& o) { o.from_basis = [](const Tensor& u) { return u.flatten(); }; });
}

TEST(Edit, ADenoiserThatReturnsAnotherShapeIsRefused) {
  const Observation known = observe_values(torch::ones({1, 1, 4}), torch::ones({4}));
  const auto run = [&](const DenoiserFunction& denoiser) {
    sample_edit(denoiser, torch::ones({1, 1, 4}), noise({1, 1, 4}), {80, 1}, epsilon, known);
  };
  expect_refused("the denoiser's result at sigma = 80", [&] { run([](const Tensor& x, double) { return x[0]; }); });
  expect_refused("the denoiser is empty", [&] { run({}); });
  expect_refused("x is undefined", [&] { sample_edit(f, {}, noise({1, 1, 4}), {80, 1}, epsilon, known); });
}

}  // namespace
}  // namespace onestep
