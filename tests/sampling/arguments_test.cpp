// Wrong arguments of every entry of include/onestep/tensor that samples: each is an Error that names what is wrong.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "onestep/error.hpp"
#include "onestep/tensor/consistency.hpp"
#include "onestep/tensor/diffusion.hpp"
#include "onestep/tensor/flow_map.hpp"
#include "onestep/tensor/noise.hpp"

namespace onestep {
namespace {

std::string refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  return "no error";
}

void expect_refused(const std::string& what, const std::string& beginning, const std::function<void()>& work) {
  const std::string text = refusal(work);
  EXPECT_EQ(text.substr(0, beginning.size()), beginning) << what;
}

/// A sampler with arguments that all are right.
struct Call {
  DenoiserFunction denoiser = [](const Tensor& x, double) { return 0.5 * x; };
  Tensor x = torch::ones({2, 3, 4});
  NoiseSource z = [](std::uint32_t) { return torch::ones({2, 3, 4}); };
  std::vector<double> levels = {80, 5, 1};
};
struct Sampling {
  std::string name;
  bool takes_noise;
  std::function<void(const Call&)> sample;
};

std::vector<Sampling> all() {
  const auto flow_map = [](const Call& c) -> FlowMapFunction {
    if (!c.denoiser) return {};
    return [&c](const Tensor& x, double sigma, double) { return c.denoiser(x, sigma); };
  };
  return {
      {"consistency", true, [](const Call& c) { sample_consistency(c.denoiser, c.x, c.z, c.levels, 0.002); }},
      {"gamma", true,
       [=](const Call& c) {
         sample_gamma(flow_map(c), c.x, c.z, c.levels, {0.5, 0.5});
       }},
      {"euler", false, [](const Call& c) { sample_euler(c.denoiser, c.x, c.levels); }},
      {"ddim", true, [](const Call& c) { sample_ddim(c.denoiser, c.x, c.z, c.levels, 1); }},
      {"dpm2", false, [](const Call& c) { sample_dpm2(c.denoiser, c.x, c.levels); }},
      {"dpmpp_2m", false, [](const Call& c) { sample_dpmpp_2m(c.denoiser, c.x, c.levels); }},
      {"heun", true, [](const Call& c) { sample_heun(c.denoiser, c.x, c.z, c.levels, {.amount = 9}); }},
  };
}

TEST(Arguments, ThatAreRightAreTaken) {
  for (const Sampling& sampling : all()) EXPECT_EQ(refusal([&] { sampling.sample({}); }), "no error") << sampling.name;
}

TEST(Arguments, AnXThatIsNoBatchIsRefused) {
  for (const Sampling& sampling : all()) {
    for (const Tensor& x : {Tensor(), torch::ones({}), torch::ones({0, 3}), torch::ones({2, 0}),
                            torch::ones({2, 3}, torch::kInt64), torch::ones({2, 3}, torch::kComplexFloat),
                            torch::ones({2, 3}, torch::kBool), torch::ones({2, 3}).to_sparse()}) {
      Call call;
      call.x = x;
      expect_refused(sampling.name, "x ", [&] { sampling.sample(call); });
    }
  }
}

TEST(Arguments, LevelsThatDoNotFallAreRefused) {
  for (const Sampling& sampling : all()) {
    for (const std::vector<double>& levels : {std::vector<double>{},
                                              {80, 80, 1},
                                              {1, 5, 80},
                                              {80, 5, 0},
                                              {80, 5, -1},
                                              {80, 5, std::nan("")},
                                              {std::numeric_limits<double>::infinity(), 5, 1}}) {
      Call call;
      call.levels = levels;
      expect_refused(sampling.name, "levels", [&] { sampling.sample(call); });
    }
  }
}

/// What a user's function may return in place of a tensor like x.
std::vector<Tensor> unlike_x() {
  return {Tensor(),
          torch::ones({2, 3, 5}),
          torch::ones({2, 3}),
          torch::ones({1, 3, 4}),
          torch::ones({}),
          torch::ones({2, 3, 4}, torch::kFloat64),
          torch::ones({2, 3, 4}, torch::kBool),
          torch::ones({2, 3, 4}).to_sparse(),
          torch::ones({2, 3, 4}, torch::kMeta)};
}

TEST(Arguments, ADenoiserThatReturnsNoTensorLikeXIsRefused) {
  for (const Sampling& sampling : all()) {
    const std::string name = sampling.name == "gamma" ? "the flow map" : "the denoiser";
    for (const Tensor& wrong : unlike_x()) {
      Call call;
      call.denoiser = [&](const Tensor&, double) { return wrong; };
      expect_refused(sampling.name, name + "'s result at sigma = ", [&] { sampling.sample(call); });
      call.denoiser = [&](const Tensor& x, double sigma) { return sigma >= 80 ? x : wrong; };
      expect_refused(sampling.name, name + "'s result at sigma = ", [&] { sampling.sample(call); });
    }
    Call call;
    call.denoiser = {};
    expect_refused(sampling.name, name + " is empty", [&] { sampling.sample(call); });
  }
}

TEST(Arguments, NoiseThatIsNotLikeXIsRefused) {
  for (const Sampling& sampling : all()) {
    if (!sampling.takes_noise) continue;
    for (const Tensor& wrong : unlike_x()) {
      Call call;
      call.z = [&](std::uint32_t) { return wrong; };
      expect_refused(sampling.name, "draw 1 of the noise ", [&] { sampling.sample(call); });
    }
    Call call;
    call.z = {};
    expect_refused(sampling.name, "draw 1 of the noise ", [&] { sampling.sample(call); });
  }
}

TEST(Arguments, OptionsOutOfTheirRangesAreRefused) {
  const Call c;
  for (const double wrong : {-0.1, 1.1, std::nan(""), std::numeric_limits<double>::infinity()}) {
    expect_refused("ddim", "eta = ", [&] { sample_ddim(c.denoiser, c.x, c.z, c.levels, wrong); });
    expect_refused("gamma", "gamma = ", [&] { gamma_targets(c.levels, wrong); });
  }
  for (const double wrong : {-0.1, std::nan(""), -std::numeric_limits<double>::infinity()}) {
    expect_refused("churn", "churn = ", [&] { sample_heun(c.denoiser, c.x, c.z, c.levels, {.amount = wrong}); });
    expect_refused("S_tmin", "churn_sigma_min = ", [&] {
      sample_heun(c.denoiser, c.x, c.z, c.levels, {.amount = 1, .sigma_min = wrong});
    });
    expect_refused("S_tmax", "churn_sigma_max = ", [&] {
      sample_heun(c.denoiser, c.x, c.z, c.levels, {.amount = 1, .sigma_max = wrong});
    });
    expect_refused("S_noise", "churn_noise = ", [&] {
      sample_heun(c.denoiser, c.x, c.z, c.levels, {.amount = 1, .noise = wrong});
    });
    expect_refused("epsilon", "epsilon = ", [&] { sample_consistency(c.denoiser, c.x, c.z, c.levels, wrong); });
  }
}

TEST(Arguments, SeedsAndShapesThatMakeNoNoiseAreRefused) {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  expect_refused("no seeds", "seeds is empty", [] { seeded_noise({}, {3}); });
  for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{0}, {-1}, {3, 0}, {most}, {most, most}}) {
    expect_refused("shape", "noise of shape [", [&] { seeded_noise({1, 2}, shape); });
  }
  EXPECT_EQ(seeded_noise({7}, {})(0).sizes(), torch::IntArrayRef({1}));
  // 2^60 bytes: more than any machine has.
  EXPECT_THROW(seeded_noise({1}, {std::int64_t{1} << 58})(0), Error);
}

}  // namespace
}  // namespace onestep
